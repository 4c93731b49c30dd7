/** A draft that renews the timestamp alone travels like any other: it must name the snapshot that is live. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { refreshRepository } from '../../lib/publish/refresh.ts';
import { draftPath } from '../../lib/workspace/draft-files.ts';
import { engineerWithRelease, METAL, sign } from '../support/engineer.ts';

for (const [what, from, to] of [
  ['another snapshot version', '"version": 1,\n            "length"', '"version": 7,\n            "length"'],
  ['another change', '"renew-timestamp"', '"renew-targets"'],
] as const) {
  test(`sign() refuses a drafted timestamp with ${what}`, async (t) => {
    const engineer = await engineerWithRelease(t, '1.0.0');
    engineer.now = new Date(engineer.now.getTime() + 5 * 86_400_000);
    await refreshRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, roles: 'due' });
    const path = draftPath(engineer.workspace, METAL);
    const text = await readFile(path, 'utf8');
    assert.ok(text.includes(from), text);
    await writeFile(path, text.replace(from, to));
    await assert.rejects(sign(engineer), { code: 'repository/bad-draft' });
  });
}

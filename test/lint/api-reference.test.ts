/** `docs/api/client.md` is what `npm run docs:api` makes of the client's entry: every name that it exports, with its documentation. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectory } from '../support/engineer.ts';

const ROOT = join(import.meta.dirname, '..', '..');

test('docs/api/client.md says what the exports of the client say, and none of them says nothing', async (t) => {
  const directory = await temporaryDirectory(t);
  // It fails for a name without documentation.
  await promisify(execFile)(join(ROOT, 'node_modules', '.bin', 'typedoc'), ['--out', directory, '--logLevel', 'Warn'], { cwd: ROOT });
  const [made, kept] = await Promise.all(
    [join(directory, 'client.md'), join(ROOT, 'docs', 'api', 'client.md')].map(async (path) => readFile(path, 'utf8')),
  );
  assert.ok(made === kept, 'it is of other sources; npm run docs:api makes it again');
});

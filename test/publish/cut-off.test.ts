/** Publishing once more what is live by now: whoever was cut off behind the last write asks for it. */
import assert from 'node:assert/strict';
import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { stateRepository } from '../../lib/publish/publish.ts';
import { readDraft } from '../../lib/workspace/draft-files.ts';
import { openWorkspace } from '../../lib/workspace/workspace.ts';
import { METAL, addVersion, engineerWithRelease, publish, sign } from '../support/engineer.ts';

test('publishRepository() writes nothing and forgets what is left when all of it is live', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  await addVersion(engineer, '1.1.0');
  await sign(engineer);
  const workspace = join(engineer.directory, 'before');
  await cp(engineer.workspace.directory, workspace, { recursive: true });
  await publish(engineer);
  // Killed behind its last write, before it could remember or forget anything; or while it was forgetting.
  const [cutOff, forgetting] = [await openWorkspace(workspace), engineer.workspace];
  await cp(join(workspace, '.gantry', 'objects'), join(forgetting.directory, '.gantry', 'objects'), { recursive: true });
  for (const one of [cutOff, forgetting]) {
    const again = await publish({ ...engineer, workspace: one });
    assert.deepEqual([again.applied, again.plan.writes], [[], []]);
    assert.equal(await readDraft(one, METAL), undefined);
    assert.deepEqual(await readdir(join(one.directory, '.gantry', 'objects')), []);
  }
  await assert.rejects(stateRepository(engineer.workspace, engineer.store, METAL, engineer.now), {
    code: 'publish/nothing',
    details: { repository: 'metal/x86_64' },
  });
});

/** What `publishRepository()` does when it may sign again: with new numbers, never on top of what nobody has seen. */
import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { readLive } from '../../lib/publish/live.ts';
import { publishRepository } from '../../lib/publish/publish.ts';
import { isGantryError } from '../../lib/errors.ts';
import { openWorkspace } from '../../lib/workspace/workspace.ts';
import { METAL, engineerWithRoot, publish, sign, type Engineer } from '../support/engineer.ts';
import { draftSmallRelease } from '../support/small-release.ts';

/** Something is published, and both have a signed release that waits; a crashed publisher has taken the next number. */
async function twoEngineers(t: TestContext): Promise<readonly [Engineer, Engineer]> {
  const engineer = await engineerWithRoot(t);
  await draftSmallRelease(engineer, 'metal');
  await sign(engineer);
  await publish(engineer);
  const directory = join(engineer.directory, 'colleague');
  await cp(engineer.workspace.directory, join(directory, 'my-os'), { recursive: true });
  const colleague = { ...engineer, directory, workspace: await openWorkspace(join(directory, 'my-os')) };
  await draftSmallRelease(engineer, 'metal-a');
  await draftSmallRelease(colleague, 'metal-b');
  await sign(engineer);
  await sign(colleague);
  await writeFile(join(engineer.storeDirectory, 'metal', 'x86_64', '2.targets.json'), '{"left": "by somebody"}');
  return [engineer, colleague];
}

async function releases(engineer: Engineer): Promise<readonly string[]> {
  return (await readLive(engineer.workspace, engineer.store, METAL)).trusted.manifest.updates.map(({ variant }) => variant).toSorted();
}

test('publishRepository() signs again at once when only a number was taken', async (t) => {
  const [engineer] = await twoEngineers(t);
  const options = { now: engineer.now, signAgain: async () => void (await sign(engineer)) };
  await publishRepository(engineer.workspace, engineer.store, METAL, options);
  assert.deepEqual(await releases(engineer), ['metal', 'metal-a']);
});

test('publishRepository() is a conflict when somebody else publishes while it signs again', async (t) => {
  const [engineer, colleague] = await twoEngineers(t);
  const signAgain = async (): Promise<void> => {
    await sign(colleague);
    await publishRepository(colleague.workspace, colleague.store, METAL, {
      now: colleague.now,
      signAgain: async () => void (await sign(colleague)),
    });
    await sign(engineer);
  };
  await assert.rejects(publishRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, signAgain }), (error) => {
    assert.ok(isGantryError(error, 'publish/conflict'));
    assert.equal(error.details.published?.timestamp, 2);
    return true;
  });
  assert.deepEqual(await releases(engineer), ['metal', 'metal-b']);
  await publish(engineer);
  assert.deepEqual(await releases(engineer), ['metal', 'metal-a', 'metal-b']);
});

test('signDrafts() takes the next numbers when those of an unsigned draft were taken meanwhile', async (t) => {
  const [engineer] = await twoEngineers(t);
  await assert.rejects(publish(engineer), { code: 'publish/conflict' });
  await writeFile(join(engineer.storeDirectory, 'metal', 'x86_64', '3.targets.json'), '{"left": "by somebody"}');
  await writeFile(join(engineer.storeDirectory, 'metal', 'x86_64', '2.snapshot.json'), '{"left": "by somebody"}');
  await sign(engineer);
  await publish(engineer);
  assert.deepEqual(await releases(engineer), ['metal', 'metal-a']);
});

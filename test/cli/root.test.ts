/** `gantry root` at the command line: what it says comes next is what works when it is typed. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ADD, cliWorkspace, gantry } from '../support/cli.ts';
import { deskOf, publish, type Desk } from '../support/desk.ts';

async function published(t: TestContext): Promise<Desk> {
  const { workspace } = await cliWorkspace(t);
  const desk = await deskOf(workspace);
  await desk.run(...ADD);
  await publish(desk);
  return desk;
}

interface Rotated {
  readonly step: string;
  readonly next?: string;
}

for (const old of ['online', 'targets']) {
  test(`gantry root rotate leads from step to step when what it names is typed: ${old}`, async (t) => {
    const desk = await published(t);
    await desk.run('key', 'generate', 'new', '--unencrypted');
    const steps: string[] = [];
    for (let turn = 0; turn < 8; turn += 1) {
      const { step, next } = (await desk.json('root', 'rotate', old, 'new')) as unknown as Rotated;
      steps.push(step);
      if (next === undefined) break;
      for (const command of next.split(' && ')) await desk.run(...command.split(' ').slice(1), '--yes');
    }
    assert.deepEqual(steps, ['drafted-both', 'sign-roles', 'drafted-new', 'done']);
    const { roles } = (await desk.json('root', 'show')) as unknown as {
      readonly roles: Record<string, { readonly keyids: readonly string[] }>;
    };
    const { keyId } = (await desk.json('key', 'show', old)) as unknown as { readonly keyId: string };
    assert.ok(Object.values(roles).every(({ keyids }) => !keyids.includes(keyId)));
  });
}

test('gantry root refuses what would strand a role or changes nothing, with one line and a hint', async (t) => {
  const { workspace } = await cliWorkspace(t);
  const desk = await deskOf(workspace);
  await desk.refused(3, /the snapshot role has 0 keys and threshold 1/u, 'root', 'remove-key', 'online');
  await desk.refused(3, /the root role has 3 keys and threshold 4/u, 'root', 'set-threshold', 'root', '4');
  await desk.refused(3, /the threshold of root: it is 2 already/u, 'root', 'set-threshold', 'root', '2');
  await desk.refused(3, /to root: it is there already/u, 'root', 'add-key', 'root-a', '--role', 'root');
  await desk.refused(2, /--role "boss": expected one of root, targets/u, 'root', 'add-key', 'root-a', '--role', 'boss');
  await desk.refused(3, /Cannot find the key "nobody"/u, 'root', 'replace-key', 'nobody', 'root-a');
  await desk.refused(2, /it is in the past/u, 'root', 'expire', '2020-01-01T00:00:00Z');
  await desk.refused(2, /Cannot show root "9": expected a version up to 1/u, 'root', 'show', '9');
});

test('gantry root asks before a change throws signatures away, and several changes go into one root', async (t) => {
  const { workspace } = await cliWorkspace(t);
  const desk = await deskOf(workspace);
  await desk.run('key', 'generate', 'root-d', '--unencrypted');
  await desk.run('root', 'add-key', 'root-d', '--role', 'root');
  const { stdout } = await desk.run('root', 'set-threshold', 'root', '3');
  assert.match(stdout, /- adds key root-d to root\n\s+- changes the threshold of root from 2 to 3/u);
  const dry = await desk.run('root', 'expire', 'in 1 week', '--dry-run');
  assert.match(dry.stdout, /^Nothing was drafted\.$/mu);
  await desk.run('sign');
  assert.equal(((await desk.json('root', 'show')) as unknown as { readonly version: number }).version, 2);
  assert.match((await desk.run('root', 'verify', '1.root.json', '2.root.json')).stdout, /root version 2, signed by/u);
  const alone = await gantry(['root', 'verify', '2.root.json', '1.root.json'], { cwd: workspace });
  assert.equal(alone.code, 1);
});

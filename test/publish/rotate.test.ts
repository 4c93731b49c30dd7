/** A key is replaced step by step, by whoever runs the same command again; hosts never refuse anything. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openRepository } from '../../lib/client/index.ts';
import { rotateKey, type RotationStep } from '../../lib/publish/rotate.ts';
import { refreshRepository } from '../../lib/publish/refresh.ts';
import { publishRepository } from '../../lib/publish/publish.ts';
import { STORE_URL, storeTransport } from '../../lib/publish/store-transport.ts';
import { keyIdOf } from '../../lib/tuf/key.ts';
import { readRootChain } from '../../lib/workspace/root-files.ts';
import { METAL, engineerWithRelease, keyOf, makeKey, sign, type Engineer } from '../support/engineer.ts';

/** A host that was born with the first root, and remembers. @throws when it refuses anything */
async function host(engineer: Engineer): Promise<{ readonly look: () => Promise<number>; readonly close: () => void }> {
  const client = await openRepository({
    root: join(engineer.workspace.directory, '1.root.json'),
    metadataUrl: new URL('metal/x86_64/', STORE_URL),
    stateDirectory: join(engineer.directory, 'host'),
    transport: storeTransport(engineer.store),
  });
  return {
    look: async () => {
      await client.refresh();
      return client.roles().root.version;
    },
    close: () => client.close(),
  };
}

async function publishNow(engineer: Engineer): Promise<void> {
  await publishRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now });
}

for (const old of ['online', 'targets'] as const) {
  test(`rotateKey() replaces the ${old} key while a host looks after every step`, async (t) => {
    const engineer = await engineerWithRelease(t, '1.0.0', new Date());
    const to = await makeKey(engineer, 'new');
    const rotation = { from: keyIdOf(keyOf(engineer, old)), to, toId: keyIdOf(to) };
    const { look, close } = await host(engineer);
    t.after(close);
    const seen: string[] = [];
    for (let step: RotationStep | undefined; step?.kind !== 'done' && seen.length < 20;) {
      step = await rotateKey(engineer.workspace, engineer.store, rotation, engineer.now);
      // Whoever was interrupted asks again: nothing is lost, and nothing is done twice.
      const again = await rotateKey(engineer.workspace, engineer.store, rotation, engineer.now);
      assert.equal(again.kind, step.kind.startsWith('drafted') ? 'sign-root' : step.kind);
      seen.push(step.kind);
      await look();
      if (step.kind === 'sign-roles') {
        const roles = step.roles.includes('targets') ? 'all' : 'online';
        await refreshRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, roles });
      }
      await sign(engineer);
      await look();
      if (step.kind === 'publish-root' || step.kind === 'sign-roles') await publishNow(engineer);
      await look();
    }
    assert.deepEqual(seen, ['drafted-both', 'publish-root', 'sign-roles', 'drafted-new', 'publish-root', 'done']);
    const root = (await readRootChain(engineer.workspace))?.latest.role ?? assert.fail();
    assert.equal(root.version, 3);
    assert.ok(!Object.keys(root.keys).includes(rotation.from));
    assert.equal(await look(), 3);
  });
}

test('rotateKey() refuses a key that the root does not list', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  const [from, to] = [await makeKey(engineer, 'stranger'), await makeKey(engineer, 'new')];
  const rotation = { from: keyIdOf(from), to, toId: keyIdOf(to) };
  await assert.rejects(rotateKey(engineer.workspace, engineer.store, rotation, engineer.now), { code: 'repository/bad-root-edit' });
});

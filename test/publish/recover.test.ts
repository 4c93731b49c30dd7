/** A stolen online key: the root that drops it and the roles that replace what it signed go out together, and hosts come back. */
import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { openRepository } from '../../lib/client/index.ts';
import { openKeySigner } from '../../lib/keys/key-file.ts';
import { publishRepository } from '../../lib/publish/publish.ts';
import { refreshRepository } from '../../lib/publish/refresh.ts';
import { STORE_URL, storeTransport } from '../../lib/publish/store-transport.ts';
import { applyRootEdit } from '../../lib/repository/root-edit.ts';
import type { Store } from '../../lib/store/store.ts';
import { keyIdOf } from '../../lib/tuf/key.ts';
import { parseEnvelope, sealEnvelope } from '../../lib/tuf/role.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import { readRootBase, saveRootEdit } from '../../lib/workspace/edit-root.ts';
import { METAL, engineerWithRelease, keyOf, makeKey, sign, type Engineer } from '../support/engineer.ts';

const FAST_FORWARD = 1_000_000;

/** The key is replaced, the new root is signed, and so are the roles; nothing of it is published. */
async function replaced(t: TestContext): Promise<Engineer> {
  const engineer = await engineerWithRelease(t, '1.0.0', new Date());
  await cp(engineer.keysDirectory, join(engineer.directory, 'stolen'), { recursive: true });
  const by = await makeKey(engineer, 'online-2');
  const base = await readRootBase(engineer.workspace);
  const spec = applyRootEdit(base.spec, { kind: 'replace-key', keyId: keyIdOf(keyOf(engineer, 'online')), by });
  await saveRootEdit(engineer.workspace, base, spec, { now: engineer.now });
  await sign(engineer);
  await refreshRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, roles: 'online' });
  await sign(engineer);
  return engineer;
}

async function recover(engineer: Engineer, store: Store = engineer.store): ReturnType<typeof publishRepository> {
  return publishRepository(engineer.workspace, store, METAL, { now: engineer.now, judgement: 'recover' });
}

async function look(engineer: Engineer): Promise<{ readonly root: number; readonly timestamp: number }> {
  const client = await openRepository({
    root: join(engineer.workspace.directory, '1.root.json'),
    metadataUrl: new URL('metal/x86_64/', STORE_URL),
    stateDirectory: join(engineer.directory, 'host'),
    transport: storeTransport(engineer.store),
  });
  try {
    await client.refresh();
    const { root, timestamp } = client.roles();
    return { root: root.version, timestamp: timestamp.version };
  } finally {
    client.close();
  }
}

/** What the thief serves to a host: the live timestamp under a version that nobody reaches for years. */
async function fastForward(engineer: Engineer): Promise<() => Promise<void>> {
  const path = join(engineer.storeDirectory, 'metal', 'x86_64', 'timestamp.json');
  const before = await readFile(path);
  const thief = await openKeySigner(join(engineer.directory, 'stolen', 'online.pem'), { name: 'online', passphrase: async () => '' });
  const signed = { ...parseEnvelope(before, 'timestamp').signed, version: FAST_FORWARD };
  await writeFile(path, sealEnvelope({ signed, signatures: [await thief.sign(signingPayload(signed))] }).bytes);
  return async () => writeFile(path, before);
}

test('a root that drops the key of live roles is refused, unless its publication replaces them and somebody says so', async (t) => {
  const engineer = await replaced(t);
  await assert.rejects(publishRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now }), {
    code: 'repository/root-transition',
  });
  assert.deepEqual(await look(engineer), { root: 1, timestamp: 1 });
  await recover(engineer);
  assert.deepEqual(await look(engineer), { root: 2, timestamp: 2 });
});

test('without roles that replace what the key signed, it is refused all the same', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0', new Date());
  const by = await makeKey(engineer, 'online-2');
  const base = await readRootBase(engineer.workspace);
  const spec = applyRootEdit(base.spec, { kind: 'replace-key', keyId: keyIdOf(keyOf(engineer, 'online')), by });
  await saveRootEdit(engineer.workspace, base, spec, { now: engineer.now });
  await sign(engineer);
  await assert.rejects(recover(engineer), { code: 'repository/root-transition' });
  assert.deepEqual(await look(engineer), { root: 1, timestamp: 1 });
});

test('a host to which the thief has served a version far ahead comes back with the new root (TUF 6.1)', async (t) => {
  const engineer = await replaced(t);
  const undo = await fastForward(engineer);
  assert.equal((await look(engineer)).timestamp, FAST_FORWARD);
  await undo();
  await assert.rejects(look(engineer), { code: 'client/rollback' });
  await recover(engineer);
  assert.deepEqual(await look(engineer), { root: 2, timestamp: 2 });
});

test('cut off behind the new root, the same command goes on, and nothing else builds on what is there', async (t) => {
  const engineer = await replaced(t);
  let isCut = true;
  const store: Store = new Proxy(engineer.store, {
    get(target, name: keyof Store) {
      if (name !== 'write') return Reflect.get(target, name) as unknown;
      return async (...args: Parameters<Store['write']>) => {
        if (isCut && !String(args[0]).endsWith('root.json')) throw new Error('the power is gone');
        return target.write(...args);
      };
    },
  });
  await assert.rejects(recover(engineer, store), /the power is gone/u);
  await assert.rejects(look(engineer), { code: 'client/untrusted' });
  await assert.rejects(publishRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now }), { code: 'tuf/threshold' });
  isCut = false;
  await recover(engineer, store);
  assert.deepEqual(await look(engineer), { root: 2, timestamp: 2 });
  await publishRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now });
});

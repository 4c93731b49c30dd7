/** A stolen online key and a timestamp far ahead: every foreign client that has seen it comes back with the new root (TUF 6.1). */
import assert from 'node:assert/strict';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openKeySigner } from '../../lib/keys/key-file.ts';
import { publishRepository } from '../../lib/publish/publish.ts';
import { refreshRepository } from '../../lib/publish/refresh.ts';
import { applyRootEdit } from '../../lib/repository/root-edit.ts';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { keyIdOf } from '../../lib/tuf/key.ts';
import { parseEnvelope, sealEnvelope } from '../../lib/tuf/role.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import { readRootBase, saveRootEdit } from '../../lib/workspace/edit-root.ts';
import { engineerWithRelease, keyOf, makeKey, METAL, sign, type Engineer } from '../support/engineer.ts';
import { PEER_NAMES, PeerRefused, readWithPeer, skipReason } from '../support/peers.ts';

const FAST_FORWARD = 1_000_000;

/** @returns what puts the true timestamp back */
async function fastForward(engineer: Engineer): Promise<() => Promise<void>> {
  const path = join(engineer.storeDirectory, 'metal', 'x86_64', 'timestamp.json');
  const before = await readFile(path);
  const thief = await openKeySigner(join(engineer.directory, 'stolen', 'online.pem'), { name: 'online', passphrase: async () => '' });
  const signed = { ...parseEnvelope(before, 'timestamp').signed, version: FAST_FORWARD };
  await writeFile(path, sealEnvelope({ signed, signatures: [await thief.sign(signingPayload(signed))] }).bytes);
  return async () => writeFile(path, before);
}

for (const peer of PEER_NAMES) {
  const skip = await skipReason(peer);
  test(`${peer} comes back after a fast-forward, once the stolen key is out of the root`, { skip }, async (t) => {
    const engineer = await engineerWithRelease(t, '1.0.0', new Date());
    await cp(engineer.keysDirectory, join(engineer.directory, 'stolen'), { recursive: true });
    const server = await startStaticServer({ directory: engineer.storeDirectory });
    t.after(async () => server.close());
    const [out, state] = [join(engineer.directory, 'out'), join(engineer.directory, 'state')];
    for (const folder of [out, state]) await mkdir(folder);
    const look = async (): ReturnType<typeof readWithPeer> =>
      readWithPeer(peer, {
        rootFile: join(engineer.workspace.directory, '1.root.json'),
        metadataUrl: new URL('metal/x86_64/', server.url),
        targetsUrl: new URL('targets/', server.url),
        out,
        state,
      });
    const undo = await fastForward(engineer);
    assert.equal((await look()).timestamp, FAST_FORWARD);
    await undo();
    await assert.rejects(look(), PeerRefused);
    const by = await makeKey(engineer, 'online-2');
    const base = await readRootBase(engineer.workspace);
    const spec = applyRootEdit(base.spec, { kind: 'replace-key', keyId: keyIdOf(keyOf(engineer, 'online')), by });
    await saveRootEdit(engineer.workspace, base, spec, { now: engineer.now });
    await sign(engineer);
    await refreshRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, roles: 'online' });
    await sign(engineer);
    await publishRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, judgement: 'recover' });
    const { root, timestamp } = await look();
    assert.deepEqual({ root, timestamp }, { root: 2, timestamp: 2 });
  });
}

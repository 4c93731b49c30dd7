/** Delegated roles, by paths and in bins, as every foreign client reads them. */
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { prepareEdit, saveEdit } from '../../lib/publish/edit.ts';
import { delegatedIn } from '../../lib/repository/draft-roles.ts';
import type { Change } from '../../lib/repository/draft.ts';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { keyIdOf } from '../../lib/tuf/key.ts';
import { addObject } from '../../lib/workspace/objects.ts';
import { engineerWithRelease, keyOf, METAL, publish, sign, type Engineer } from '../support/engineer.ts';
import { PEER_NAMES, readWithPeer, skipReason } from '../support/peers.ts';

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

async function put(engineer: Engineer, path: string, role?: string): Promise<Change> {
  const { sha256, lengthBytes } = await addObject(engineer.workspace, bytesOf(`content of ${path}`));
  return { kind: 'put-target', path, file: { length: lengthBytes, hashes: { sha256 } }, ...(role === undefined ? {} : { role }) };
}

async function publishChanges(engineer: Engineer, ...changes: readonly Change[]): Promise<void> {
  const edit = await prepareEdit(engineer.workspace, engineer.store, METAL, {
    now: engineer.now,
    changesFor: () => changes,
    delegated: () => delegatedIn(changes),
  });
  await saveEdit(engineer.workspace, edit);
  await sign(engineer);
  await publish(engineer);
}

for (const peer of PEER_NAMES) {
  const skip = await skipReason(peer);
  test(`${peer} follows a repository through a delegation by path, a split, and the delegation taken back`, { skip }, async (t) => {
    const engineer = await engineerWithRelease(t, '1.0.0', new Date());
    const server = await startStaticServer({ directory: engineer.storeDirectory });
    t.after(async () => server.close());
    const state = join(engineer.directory, 'state');
    await mkdir(state);
    const look = async (timestamp: number): Promise<void> => {
      const out = join(engineer.directory, `out-${timestamp}`);
      await mkdir(out);
      const read = await readWithPeer(peer, {
        rootFile: join(engineer.workspace.directory, '1.root.json'),
        metadataUrl: new URL('metal/x86_64/', server.url),
        targetsUrl: new URL('targets/', server.url),
        out,
        state,
      });
      assert.equal(read.timestamp, timestamp);
      // What hosts need is found by all of them, whatever is delegated.
      assert.match(await readFile(join(out, 'manifest.json'), 'utf8'), /"1\.0\.0"/u);
    };
    const [team, online] = [keyOf(engineer, 'root-a'), keyOf(engineer, 'online')];
    const teamKeys = { keys: { [keyIdOf(team)]: team }, threshold: 1 };
    await publishChanges(
      engineer,
      { kind: 'add-delegation', name: 'apps', paths: ['apps/*'], terminating: true, ...teamKeys },
      await put(engineer, 'apps/editor.tar', 'apps'),
      await put(engineer, 'notes.txt'),
    );
    await look(2);
    await publishChanges(engineer, { kind: 'split-targets', bins: 4, keys: { [keyIdOf(online)]: online }, threshold: 1 });
    await look(3);
    await publishChanges(engineer, { kind: 'remove-delegation', name: 'apps' });
    await look(4);
  });
}

/** Roots that a ceremony made, each signed by other holders, are accepted by every foreign client that knows only the first one. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { publishRepository } from '../../lib/publish/publish.ts';
import { specOf } from '../../lib/repository/root-draft.ts';
import { applyRootEdit } from '../../lib/repository/root-edit.ts';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { keyIdOf } from '../../lib/tuf/key.ts';
import { readRootBase, saveRootEdit } from '../../lib/workspace/edit-root.ts';
import { requireRootChain } from '../../lib/workspace/root-files.ts';
import { ceremonySpec, draftFirst, newCeremony, rootFile, signedFile, takeInOrder, type Ceremony } from '../support/ceremony.ts';
import { addVersion, METAL, sign } from '../support/engineer.ts';
import { PEER_NAMES, readWithPeer, skipReason } from '../support/peers.ts';

async function signedBy(ceremony: Ceremony, holders: readonly string[]): Promise<void> {
  const sent = await rootFile(ceremony);
  const files = [];
  for (const holder of holders) files.push(await signedFile(ceremony, holder, sent));
  await takeInOrder(ceremony.engineer.workspace, files, ceremony.engineer.now);
}

/** Three roots: the first, one that replaces a holder and raises the threshold, one that takes a holder away. */
async function threeRoots(ceremony: Ceremony): Promise<void> {
  const { engineer, keys } = ceremony;
  const { workspace, now } = engineer;
  await draftFirst(ceremony);
  await signedBy(ceremony, ['eve', 'ann', 'cleo']);
  await addVersion(engineer, '1.0.0');
  await sign(engineer);
  await publishRepository(workspace, engineer.store, METAL, { now });
  const eve = keyIdOf(keys['eve'] ?? assert.fail());
  const replaced = applyRootEdit(ceremonySpec(ceremony), { kind: 'replace-key', keyId: eve, by: keys['fay'] ?? assert.fail() });
  const raised = applyRootEdit(replaced, { kind: 'set-threshold', role: 'root', threshold: 4 });
  await saveRootEdit(workspace, await readRootBase(workspace), raised, { now });
  await signedBy(ceremony, ['fay', 'bob', 'dan', 'ann']);
  const { role } = (await requireRootChain(workspace)).latest;
  assert.equal(role.version, 2);
  const lowered = applyRootEdit(specOf(role), { kind: 'set-threshold', role: 'root', threshold: 2 });
  const without = applyRootEdit(lowered, { kind: 'remove-key', keyId: keyIdOf(keys['ann'] ?? assert.fail()) });
  await saveRootEdit(workspace, await readRootBase(workspace), without, { now });
  await signedBy(ceremony, ['cleo', 'ann', 'dan', 'fay']);
  await publishRepository(workspace, engineer.store, METAL, { now });
}

for (const peer of PEER_NAMES) {
  const skip = await skipReason(peer);
  test(`${peer} follows the roots of a ceremony`, { skip }, async (t) => {
    const ceremony = await newCeremony(t, new Date());
    await threeRoots(ceremony);
    const { engineer } = ceremony;
    const server = await startStaticServer({ directory: engineer.storeDirectory });
    t.after(async () => server.close());
    const out = join(engineer.directory, 'out');
    await mkdir(out);
    const report = await readWithPeer(peer, {
      rootFile: join(engineer.workspace.directory, '1.root.json'),
      metadataUrl: new URL('metal/x86_64/', server.url),
      targetsUrl: new URL('targets/', server.url),
      out,
    });
    assert.equal(report.root, 3);
    assert.ok(report.downloaded.includes('manifest.json'));
  });
}

/** One run of `large-repository.ts`: prints the peak of its memory in KiB. */
import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../lib/files/atomic.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import { emptyManifest } from '../../lib/release/manifest.ts';
import { binOf } from '../../lib/repository/delegations.ts';
import { draftFrom, finishDraft, pendingRequest, signDraft, type Change } from '../../lib/repository/draft.ts';
import { parseExpiryPolicy } from '../../lib/repository/expiry.ts';
import { openRootChain } from '../../lib/repository/root-chain.ts';
import { trustRepository, withDelegated } from '../../lib/repository/trusted.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { readSignedRole } from '../../lib/tuf/role.ts';

const PATH = 'one-more.img';
const folder = process.argv[2] ?? '.';
const read = async (name: string): Promise<Uint8Array> => readFile(join(folder, name));
const chain = openRootChain([readSignedRole(await read('1.root.json'), 'root')]);
const targets = readSignedRole(await read('1.targets.json'), 'targets');
const bin = binOf(targets.role.delegations, PATH);
const top = trustRepository(chain, emptyManifest(), {
  root: chain.latest.role,
  published: {
    targets,
    snapshot: readSignedRole(await read('1.snapshot.json'), 'snapshot'),
    timestamp: readSignedRole(await read('timestamp.json'), 'timestamp'),
  },
});
const published = bin === undefined ? top : withDelegated(top, new Map([[bin, readSignedRole(await read(`1.${bin}.json`), 'targets')]]));
const options = { now: new Date(), policy: parseExpiryPolicy({}) };
const file = { length: 5, hashes: { sha256: sha256Hex(Buffer.from('a new')) } };
const change: Change = { kind: 'put-target', path: PATH, file, ...(bin === undefined ? {} : { role: bin }) };
let draft = draftFrom(published, [change], { ...options, versions: { targets: 2, snapshot: 2, timestamp: 2 } });
const signer = signerFromKeyObject(createPrivateKey(await readFile(join(folder, 'key.pem'), 'utf8')));
for (let request = pendingRequest(draft, published); request !== undefined; request = pendingRequest(draft, published)) {
  draft = signDraft(draft, [await signer.sign(request.payload)], published, options);
}
const { roles, newTargets, newDelegated } = finishDraft(draft, published);
if (newTargets !== undefined) await writeFileAtomic(join(folder, '2.targets.json'), newTargets.bytes);
for (const [name, role] of newDelegated) await writeFileAtomic(join(folder, `2.${name}.json`), role.bytes);
await writeFileAtomic(join(folder, '2.snapshot.json'), roles.snapshot.bytes);
// The next run starts where this one did.
await writeFileAtomic(join(folder, 'next-timestamp.json'), roles.timestamp.bytes);
console.log(process.resourceUsage().maxRSS);

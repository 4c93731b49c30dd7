/** Where a repository stands that is only read: its files from anywhere, verified from one trusted root. */
import type { ExpiryPolicy, Urgency } from '../repository/expiry.ts';
import { extendRootChain, openRootChain } from '../repository/root-chain.ts';
import { trustRepository } from '../repository/trusted.ts';
import { emptyManifest } from '../release/manifest.ts';
import { readSignedRole } from '../tuf/role.ts';
import type { Root } from '../tuf/types.ts';
import { readSnapshotTree, type ReadFile } from './inspect.ts';
import { rolesOf, worst, type RoleStatus } from './status.ts';

export interface PlaceStatus {
  readonly rootVersion: number;
  readonly live: readonly RoleStatus[];
  readonly urgency: Urgency;
}

/**
 * @param read a file of the folder of `timestamp.json`
 * @throws GantryError `store/missing`, `tuf/…`, `repository/…` when the files do not follow from the root
 */
export async function readPlaceStatus(
  read: ReadFile,
  { root, now, policy }: { readonly root: Uint8Array; readonly now: Date; readonly policy: ExpiryPolicy },
): Promise<PlaceStatus> {
  let chain = openRootChain([readSignedRole(root, 'root')]);
  for (let bytes = await read(`${chain.latest.role.version + 1}.root.json`); bytes !== undefined;) {
    chain = extendRootChain(chain, readSignedRole(bytes, 'root'));
    bytes = await read(`${chain.latest.role.version + 1}.root.json`);
  }
  const published = await readSnapshotTree(read);
  const latest: Root = chain.latest.role;
  const trusted = trustRepository(chain, emptyManifest(), { root: latest, published });
  const live = rolesOf(trusted, latest.version, { now, policy });
  return { rootVersion: latest.version, live, urgency: worst(live.map(({ urgency }) => urgency)) };
}

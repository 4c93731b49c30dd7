/**
 * Signing a draft in a file, where the store is out of reach: exactly the roles that wait, and nothing that follows from it. Parents are
 * drafted where the policy of the workspace is.
 */
import type { KeyNames } from '../repository/meaning.ts';
import { pendingRequests, withSignatures } from '../repository/draft-roles.ts';
import { viewRole, viewRoot } from '../repository/draft-view.ts';
import type { Parcel } from '../repository/parcel.ts';
import { rootAuthorities, rootRequest } from '../repository/root-draft.ts';
import { withSignature } from '../repository/signing.ts';
import type { KeyId, Root } from '../tuf/types.ts';
import type { OpenedParcel } from './parcels.ts';
import { COMPLETE, openSigning, type SignedItem, type Signing, type SigningOptions } from './signing.ts';

/**
 * @param keep puts the parcel on disk after each signature
 * @returns nothing when nothing in it waits
 * @throws GantryError `repository/unexplained`
 */
export async function signParcel(
  opened: OpenedParcel,
  { nameOf, keep, ...options }: SigningOptions & { readonly nameOf: KeyNames; readonly keep: (parcel: Parcel) => Promise<void> },
): Promise<readonly SignedItem[]> {
  const signing = await openSigning(options);
  try {
    return opened.kind === 'root' ? await signRoot(opened, signing, nameOf, keep) : await signRole(opened, signing, nameOf, keep);
  } finally {
    await signing.close();
  }
}

async function signRoot(
  opened: Extract<OpenedParcel, { kind: 'root' }>,
  signing: Signing,
  nameOf: KeyNames,
  keep: (parcel: Parcel) => Promise<void>,
): Promise<readonly SignedItem[]> {
  let { root } = opened;
  const { version } = root.signed;
  const previous: Root | undefined = opened.chain?.roots.find(({ role }) => role.version === version - 1)?.role;
  const authorities = rootAuthorities(root.signed, previous);
  const known = new Set<KeyId>(previous?.roles.root.keyids ?? root.signed.roles.root.keyids);
  const [collected = COMPLETE] = await signing.collect({
    views: [viewRoot(root, previous, nameOf)],
    base: previous === undefined ? 'no root' : `root ${previous.version}`,
    requests: [rootRequest(root, previous)],
    isNewcomer: (keyId) => !known.has(keyId),
    async keep(signature) {
      root = withSignature(root, signature, authorities);
      await keep({ ...opened.parcel, root });
    },
  });
  return [{ role: 'root', version, ...collected, missing: rootRequest(root, previous).missing }];
}

async function signRole(
  { base, parcel, repository }: Extract<OpenedParcel, { kind: 'repository' }>,
  signing: Signing,
  nameOf: KeyNames,
  keep: (parcel: Parcel) => Promise<void>,
): Promise<readonly SignedItem[]> {
  const requests = pendingRequests(parcel.draft, base);
  let { draft } = parcel;
  const timestamp = draft.base.timestamp?.version;
  const collected = await signing.collect({
    repository,
    views: requests.map(({ role }) => viewRole(draft, role, base, nameOf)),
    base: `root ${base.chain.latest.role.version} and ${timestamp === undefined ? 'no publication' : `timestamp ${timestamp}`}`,
    requests,
    async keep(signature, { role }) {
      draft = withSignatures(draft, role, [signature], base);
      await keep({ ...parcel, draft });
    },
  });
  const missing = new Map(pendingRequests(draft, base).map((request) => [request.role, request.missing]));
  return requests.map(({ role, version }, index) => ({
    repository,
    role,
    version,
    ...(collected[index] ?? COMPLETE),
    missing: missing.get(role) ?? [],
  }));
}

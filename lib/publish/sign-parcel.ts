/**
 * Signing a draft in a file, where the store is out of reach: exactly the role that waits, and nothing that follows from it. Parents are
 * drafted where the policy of the workspace is.
 */
import type { KeyNames } from '../repository/meaning.ts';
import { pendingRequest } from '../repository/draft.ts';
import { viewRole, viewRoot } from '../repository/draft-view.ts';
import type { Parcel } from '../repository/parcel.ts';
import { rootAuthorities, rootRequest } from '../repository/root-draft.ts';
import { requestFor, withSignature } from '../repository/signing.ts';
import type { Envelope, KeyId, Root } from '../tuf/types.ts';
import type { OpenedParcel } from './parcels.ts';
import { openSigning, type SignedItem, type Signing, type SigningOptions } from './signing.ts';

/**
 * @param keep puts the parcel on disk after each signature
 * @returns undefined when nothing in it waits
 * @throws GantryError `repository/unexplained`
 */
export async function signParcel(
  opened: OpenedParcel,
  { nameOf, keep, ...options }: SigningOptions & { readonly nameOf: KeyNames; readonly keep: (parcel: Parcel) => Promise<void> },
): Promise<SignedItem | undefined> {
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
): Promise<SignedItem | undefined> {
  let { root } = opened;
  const { version } = root.signed;
  const previous: Root | undefined = opened.chain?.roots.find(({ role }) => role.version === version - 1)?.role;
  const authorities = rootAuthorities(root.signed, previous);
  const known = new Set<KeyId>(previous?.roles.root.keyids ?? root.signed.roles.root.keyids);
  const collected = await signing.collect({
    view: viewRoot(root, previous, nameOf),
    base: previous === undefined ? 'no root' : `root ${previous.version}`,
    request: rootRequest(root, previous),
    isNewcomer: (keyId) => !known.has(keyId),
    async keep(signature) {
      root = withSignature(root, signature, authorities);
      await keep({ ...opened.parcel, root });
    },
  });
  return { role: 'root', version, ...collected, missing: rootRequest(root, previous).missing };
}

async function signRole(
  { base, parcel, repository }: Extract<OpenedParcel, { kind: 'repository' }>,
  signing: Signing,
  nameOf: KeyNames,
  keep: (parcel: Parcel) => Promise<void>,
): Promise<SignedItem | undefined> {
  const root = base.chain.latest.role;
  const request = pendingRequest(parcel.draft, root);
  const role = request?.role;
  if (request === undefined || role === undefined || role === 'root') return undefined;
  const authorities = [{ keys: root.keys, roleKeys: root.roles[role] }];
  const drafted: Envelope | undefined = parcel.draft.roles[role];
  if (drafted === undefined) return undefined;
  let envelope = drafted;
  const timestamp = parcel.draft.base.timestamp?.version;
  const collected = await signing.collect({
    repository,
    view: viewRole(parcel.draft, role, base, nameOf),
    base: `root ${root.version} and ${timestamp === undefined ? 'no publication' : `timestamp ${timestamp}`}`,
    request,
    async keep(signature) {
      envelope = withSignature(envelope, signature, authorities);
      await keep({ ...parcel, draft: { ...parcel.draft, roles: { ...parcel.draft.roles, [role]: envelope } } });
    },
  });
  return { repository, role, version: request.version, ...collected, missing: requestFor(envelope, authorities).missing };
}

/**
 * Drafts leave a workspace as one file each, and come back with signatures.
 *
 * What comes back is believed as far as this workspace's own root chain proves it: a signature that does not count refuses the file
 * as a whole, before anything is stored.
 */
import { GantryError, quote } from '../errors.ts';
import { isBasedOn } from '../repository/draft.ts';
import { assertDraftHolds } from '../repository/draft-check.ts';
import { authoritiesOf, draftedRole, draftedRoles } from '../repository/draft-roles.ts';
import { mergeDrafts, mergeEnvelopes } from '../repository/merge.ts';
import { chainWith, trustedBase, type Parcel, type RepositoryParcel, type RootParcel } from '../repository/parcel.ts';
import type { RootChain } from '../repository/root-chain.ts';
import { rootAuthorities } from '../repository/root-draft.ts';
import { assertSignatures } from '../repository/signing.ts';
import type { TrustedRepository } from '../repository/trusted.ts';
import type { Store } from '../store/store.ts';
import { assertPortable } from '../tuf/lint.ts';
import type { Envelope, Root } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { readDraft, saveDraft } from '../workspace/draft-files.ts';
import { forgetFinished, keepRoot } from '../workspace/keep-root.ts';
import { readRootChain, readRootDraft, requireRootChain, saveRootChain } from '../workspace/root-files.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { readManifestFile } from './live-state.ts';
import { readCurrent } from './live.ts';

/** The drafted root as a parcel; undefined when none waits. */
export async function packRoot(workspace: Workspace): Promise<RootParcel | undefined> {
  const root = await readRootDraft(workspace);
  const chain = await readRootChain(workspace);
  return root === undefined ? undefined : { kind: 'root', product: workspace.config.product, roots: chain?.roots ?? [], root };
}

/**
 * The draft of a repository as a parcel; undefined when none waits.
 *
 * @throws GantryError `repository/moved-on` when it must be drafted again first
 */
export async function packDraft(workspace: Workspace, store: Store, repository: RepositoryName): Promise<RepositoryParcel | undefined> {
  const { live, draft } = await readCurrent(workspace, store, repository);
  if (draft === undefined) return undefined;
  const { chain, published } = live.trusted;
  if (!isBasedOn(draft, live.trusted)) {
    const name = `${repository.variant}/${repository.arch}`;
    throw new GantryError(
      'repository/moved-on',
      `Cannot hand on the draft of ${name}: somebody has published since; expected a draft on top of what is live`,
      { base: `timestamp ${draft.base.timestamp?.version ?? 0}`, live: `timestamp ${published?.timestamp.role.version ?? 0}` },
    );
  }
  const head = { kind: 'repository', product: workspace.config.product, roots: chain.roots, repository, draft } as const;
  if (published === undefined) return head;
  const manifest = (await readManifestFile(store, published)) ?? new Uint8Array();
  return { ...head, base: { roles: published, manifest, delegated: live.trusted.delegated } };
}

/** A parcel whose every part was verified from a root chain that the reader has. */
export type OpenedParcel =
  | { readonly kind: 'root'; readonly root: Envelope<Root>; readonly chain: RootChain | undefined; readonly parcel: RootParcel }
  | {
      readonly kind: 'repository';
      readonly repository: RepositoryName;
      readonly base: TrustedRepository;
      readonly parcel: RepositoryParcel;
    };

/**
 * @param own what the reader trusts; undefined only where there is no root yet
 * @throws GantryError `keys/bad-signature`, `repository/bad-draft`, `repository/root-chain`, `repository/expired`, `tuf/…`
 */
export function openParcel(
  parcel: Parcel,
  own: RootChain | undefined,
  options: { readonly now: Date; readonly policy: Workspace['expiry'] },
): OpenedParcel {
  if (parcel.kind === 'root') {
    const { root } = parcel;
    const chain = own === undefined ? undefined : chainWith(own, parcel.roots);
    const previous = chain?.roots.find(({ role }) => role.version === root.signed.version - 1)?.role;
    if (previous === undefined && root.signed.version > 1) throw unknownBefore(root.signed.version);
    assertPortable(root.signed);
    assertSignatures(root, rootAuthorities(root.signed, previous));
    return { kind: 'root', root, chain, parcel };
  }
  if (own === undefined) throw unknownBefore(2);
  const chain = chainWith(own, parcel.roots);
  const base = trustedBase(parcel, chain);
  for (const name of draftedRoles(parcel.draft)) {
    const envelope = draftedRole(parcel.draft, name);
    if (envelope !== undefined) assertSignatures(envelope, authoritiesOf(parcel.draft, base, name));
  }
  assertDraftHolds(parcel.draft, base, options);
  return { kind: 'repository', repository: parcel.repository, base, parcel };
}

function unknownBefore(version: number): GantryError {
  return new GantryError(
    'repository/root-chain',
    `Cannot use the draft: nothing here proves who may sign it; expected ${version - 1}.root.json or an earlier root`,
    { version: version - 1 },
  );
}

export interface Import {
  /** `complete`: the root became a link of the chain. `known`: it was one already. */
  readonly state: 'draft' | 'complete' | 'known';
  /** As it is stored now. */
  readonly opened: OpenedParcel;
}

/**
 * The draft of the workspace with the signatures of the file; or the file's draft, where none waits.
 *
 * @throws GantryError `repository/other-draft` when another draft waits, and what `openParcel` throws
 */
export async function importParcel(workspace: Workspace, parcel: Parcel, now: Date): Promise<Import> {
  refuseOtherProduct(workspace, parcel);
  const own = parcel.kind === 'root' ? await readRootChain(workspace) : await requireRootChain(workspace);
  const opened = openParcel(parcel, own, { now, policy: workspace.expiry });
  if (opened.kind === 'root') {
    if (opened.chain !== undefined) await saveRootChain(workspace, opened.chain);
    if (await forgetFinished(workspace, opened.root, opened.chain)) return { state: 'known', opened };
    refuseOvertaken(opened.root, opened.chain);
    const waiting = await readRootDraft(workspace);
    const root = waiting === undefined ? opened.root : mergeEnvelopes(waiting, opened.root);
    return { state: await keepRoot(workspace, root, opened.chain), opened: { ...opened, root } };
  }
  const { repository, base } = opened;
  await saveRootChain(workspace, base.chain);
  const waiting = await readDraft(workspace, repository);
  const draft = waiting === undefined ? opened.parcel.draft : mergeDrafts(waiting, opened.parcel.draft);
  await saveDraft(workspace, repository, draft);
  return { state: 'draft', opened: { ...opened, parcel: { ...opened.parcel, draft } } };
}

function refuseOvertaken({ signed: { version } }: Envelope<Root>, chain: RootChain | undefined): void {
  const newest = chain?.latest.role.version ?? 0;
  if (version === newest + 1) return;
  throw new GantryError(
    'repository/moved-on',
    `Cannot take the draft of root ${version}: the newest root is ${newest}; expected a draft of root ${newest + 1}`,
    { base: `root ${version - 1}`, live: `root ${newest}` },
  );
}

function refuseOtherProduct(workspace: Workspace, parcel: Parcel): void {
  const { product, repositories } = workspace.config;
  if (parcel.product !== product) {
    throw new GantryError(
      'repository/other-draft',
      `Cannot take the draft: it is of the product ${quote(parcel.product)}; expected ${quote(product)}, as in this workspace`,
      { what: 'the product' },
    );
  }
  if (parcel.kind === 'root') return;
  const { variant, arch } = parcel.repository;
  if (repositories.some((one) => one.variant === variant && one.arch === arch)) return;
  const known = repositories.map((one) => `${one.variant}/${one.arch}`).join(', ');
  throw new GantryError(
    'workspace/no-repository',
    `Cannot take the draft: it is for ${quote(`${variant}/${arch}`)}; expected one of ${known}`,
    { variant, arch },
  );
}

/**
 * Several files of one draft as one, with the signatures of all.
 *
 * @throws GantryError `repository/other-draft` when they are not of one draft
 */
export function mergeParcels(a: Parcel, b: Parcel): Parcel {
  if (a.product !== b.product) throw otherParcel('the products');
  const roots = a.roots.length >= b.roots.length ? a.roots : b.roots;
  const shared = Math.min(a.roots.length, b.roots.length);
  if (a.roots.slice(0, shared).some(({ sha256 }, index) => b.roots[index]?.sha256 !== sha256)) throw otherParcel('the root chains');
  if (a.kind === 'root' && b.kind === 'root') return { ...a, roots, root: mergeEnvelopes(a.root, b.root) };
  if (a.kind === 'root' || b.kind === 'root') throw otherParcel('the kinds of role');
  if (a.repository.variant !== b.repository.variant || a.repository.arch !== b.repository.arch) throw otherParcel('the repositories');
  return { ...a, roots, draft: mergeDrafts(a.draft, b.draft) };
}

function otherParcel(what: string): GantryError {
  return new GantryError(
    'repository/other-draft',
    `Cannot merge the files: ${what} are not the same; expected copies of one draft, signed in different places`,
    { what },
  );
}

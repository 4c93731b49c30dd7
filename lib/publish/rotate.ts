/**
 * Replacing a key that still works, without a moment in which hosts refuse anything: a root that trusts both keys, the roles signed with
 * the new one, a root that drops the old one.
 *
 * Where it stands is read from the roots and from what is live, never remembered: whoever is interrupted runs it again.
 */
import { GantryError, isGantryError } from '../errors.ts';
import { specOf, type RootSpec } from '../repository/root-draft.ts';
import { applyRootEdit, lists, ROOT_ROLES } from '../repository/root-edit.ts';
import { verifyUnder, type PublishedRoles } from '../repository/trusted.ts';
import type { Store } from '../store/store.ts';
import type { KeyId, PublicKey, Root, TopRoleName } from '../tuf/types.ts';
import { readRootBase, saveRootEdit, type RootBase } from '../workspace/edit-root.ts';
import { hasDraft } from '../workspace/draft-files.ts';
import type { RepositoryName } from '../workspace/config.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { readLive } from './live.ts';

/** What is to be done next, in this order. */
export type RotationStep =
  /** A root that lists both keys was drafted just now, or one that drops the old key. */
  | { readonly kind: 'drafted-both' | 'drafted-new' }
  /** A drafted root waits for signatures. */
  | { readonly kind: 'sign-root' }
  /** A root waits for publication in these repositories. */
  | { readonly kind: 'publish-root'; readonly repositories: readonly RepositoryName[] }
  /** The live roles of these repositories would not be accepted without the old key. */
  | {
      readonly kind: 'sign-roles';
      readonly repositories: readonly RepositoryName[];
      readonly roles: readonly TopRoleName[];
      readonly drafted: boolean;
    }
  | { readonly kind: 'done' };

export interface Rotation {
  readonly from: KeyId;
  readonly to: PublicKey;
  readonly toId: KeyId;
}

const LIVE_ROLES = ['targets', 'snapshot', 'timestamp'] as const;

/**
 * Looks where the rotation stands, and drafts the root that comes next when one does.
 *
 * @throws GantryError `repository/bad-root-edit` when the root lists neither key
 */
export async function rotateKey(workspace: Workspace, store: Store, rotation: Rotation, now: Date): Promise<RotationStep> {
  const base = await readRootBase(workspace);
  const { chain, waiting } = base;
  if (waiting !== undefined || chain === undefined) return { kind: 'sign-root' };
  const root = chain.latest.role;
  const spec = specOf(root);
  const roles = ROOT_ROLES.filter((role) => lists(spec[role], rotation.from));
  if (roles.length === 0) return finished(workspace, store, root, rotation);
  const lacking = roles.filter((role) => !lists(spec[role], rotation.toId));
  if (lacking.length > 0) {
    const both = applyRootEdit(spec, { kind: 'add-key', key: rotation.to, roles: lacking });
    return draft(workspace, base, both, { kind: 'drafted-both' }, now);
  }
  const stored = await unpublished(workspace, store, root);
  if (stored.length > 0) return { kind: 'publish-root', repositories: stored };
  const without = applyRootEdit(spec, { kind: 'remove-key', keyId: rotation.from });
  const stranded = await strandedBy(workspace, store, root, without);
  if (stranded !== undefined) return stranded;
  return draft(workspace, base, without, { kind: 'drafted-new' }, now);
}

async function draft(workspace: Workspace, base: RootBase, spec: RootSpec, step: RotationStep, now: Date): Promise<RotationStep> {
  await saveRootEdit(workspace, base, spec, { now });
  return step;
}

async function finished(workspace: Workspace, store: Store, root: Root, { from, toId }: Rotation): Promise<RotationStep> {
  if (!ROOT_ROLES.some((role) => root.roles[role].keyids.includes(toId))) {
    throw new GantryError(
      'repository/bad-root-edit',
      `Cannot replace the key ${from.slice(0, 12)}: root ${root.version} lists neither it nor ${toId.slice(0, 12)}; expected a key of the root`,
      { role: 'root' },
    );
  }
  const repositories = await unpublished(workspace, store, root);
  return repositories.length > 0 ? { kind: 'publish-root', repositories } : { kind: 'done' };
}

/** A repository that has never been published gets its roots with its first release. */
async function unpublished(workspace: Workspace, store: Store, root: Root): Promise<readonly RepositoryName[]> {
  const waiting: RepositoryName[] = [];
  for (const repository of workspace.config.repositories) {
    const { rootsStored, trusted } = await readLive(workspace, store, repository);
    if (trusted.published !== undefined && rootsStored < root.version) waiting.push(repository);
  }
  return waiting;
}

async function strandedBy(workspace: Workspace, store: Store, root: Root, without: RootSpec): Promise<RotationStep | undefined> {
  const repositories: RepositoryName[] = [];
  const roles = new Set<TopRoleName>();
  let drafted = true;
  for (const repository of workspace.config.repositories) {
    const { published } = (await readLive(workspace, store, repository)).trusted;
    const stranded = published === undefined ? [] : LIVE_ROLES.filter((role) => !isAccepted(root, without, published, role));
    if (stranded.length === 0) continue;
    repositories.push(repository);
    stranded.forEach((role) => roles.add(role));
    drafted &&= await hasDraft(workspace, repository);
  }
  return repositories.length === 0 ? undefined : { kind: 'sign-roles', repositories, roles: [...roles], drafted };
}

/** Whether a live role would be accepted by the keys that are left. */
function isAccepted(root: Root, without: RootSpec, published: PublishedRoles, role: (typeof LIVE_ROLES)[number]): boolean {
  const left = root.roles[role].keyids.filter((keyId) => lists(without[role], keyId));
  const next = { ...root, roles: { ...root.roles, [role]: { keyids: left, threshold: without[role].threshold } } };
  try {
    verifyUnder(next, role, published[role]);
    return true;
  } catch (error) {
    if (isGantryError(error, 'tuf/threshold')) return false;
    throw error;
  }
}

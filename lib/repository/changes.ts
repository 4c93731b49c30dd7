/** What release engineers want to be different, and what hosts would be told then. Pure. */
import { GantryError, quote } from '../errors.ts';
import { applyEdit, type ManifestEdit } from '../release/edit.ts';
import type { Offer } from '../release/lint.ts';
import type { Manifest } from '../release/manifest.ts';
import { TargetPath } from '../tuf/target-path.ts';
import type { TargetFile, Targets } from '../tuf/types.ts';
import { applyToTree, type DelegationChange, type TargetsTree } from './delegations.ts';
import type { TrustedRepository } from './trusted.ts';

/** One thing that a release engineer wants to be different. */
export type Change =
  /** @param role the delegated role that lists it; absent: the targets role */
  | { readonly kind: 'put-target'; readonly path: string; readonly file: TargetFile; readonly role?: string }
  | { readonly kind: 'remove-target'; readonly path: string; readonly role?: string }
  | ManifestEdit
  | DelegationChange
  /** Sign the targets role again, with a new expiry and the same content. */
  | { readonly kind: 'renew-targets' }
  /** Sign the timestamp role again. Where nothing else is to change, the published snapshot stays as it is. */
  | { readonly kind: 'renew-timestamp' };

/**
 * What hosts would be told with the changes made.
 *
 * @throws GantryError `release/…`, `repository/bad-change`
 */
export function offerAfter(published: TrustedRepository, changes: readonly Change[]): Offer {
  return { manifest: manifestAfter(published, changes), targets: treeAfter(published, changes).targets };
}

/** @throws GantryError `release/…` */
function manifestAfter(published: TrustedRepository, changes: readonly Change[]): Manifest {
  return changes.reduce((manifest, change) => (isEdit(change) ? applyEdit(manifest, change) : manifest), published.manifest);
}

/**
 * The targets role and the delegated roles that change, with the changes made.
 *
 * @throws GantryError `release/…`, `repository/bad-change`
 */
export function treeAfter(published: TrustedRepository, changes: readonly Change[]): TargetsTree {
  const live = published.published?.targets.role;
  const around = {
    content: (name: string): Targets['targets'] | undefined => published.delegated.get(name)?.role.targets,
    manifest: manifestAfter(published, changes),
  };
  let tree: TargetsTree = { targets: live?.targets ?? {}, delegations: live?.delegations, delegated: new Map() };
  // Many targets come at once: they are not copied for each.
  let targets = new Map(Object.entries(tree.targets));
  for (const change of changes) {
    if (isOfDelegated(change)) {
      tree = applyToTree({ ...tree, targets: Object.fromEntries(targets) }, change, around);
      targets = new Map(Object.entries(tree.targets));
    } else if (change.kind === 'put-target') targets.set(TargetPath.parse(change.path).memberName(), change.file);
    else if (change.kind === 'remove-target' && !targets.delete(change.path)) throw notPublished(change.path, targets.size);
  }
  return { ...tree, targets: Object.fromEntries(targets) };
}

function notPublished(path: string, count: number): GantryError {
  return new GantryError(
    'repository/bad-change',
    `Cannot remove the target ${quote(path)}: it is not published; expected one of ${count} published targets`,
    { path },
  );
}

type PlacedChange = Extract<Change, { readonly kind: 'put-target' | 'remove-target' }> & { readonly role: string };

function isOfDelegated(change: Change): change is DelegationChange | PlacedChange {
  if (change.kind === 'put-target' || change.kind === 'remove-target') return change.role !== undefined;
  return isDelegation(change);
}

export function isDelegation(change: Change): change is DelegationChange {
  return change.kind.includes('delegat') || change.kind === 'split-targets';
}

function isEdit(change: Change): change is ManifestEdit {
  return change.kind !== 'put-target' && change.kind !== 'remove-target' && !isRenewal(change) && !isDelegation(change);
}

/** True for what changes dates and nothing else. */
export function isRenewal({ kind }: Change): boolean {
  return kind === 'renew-targets' || kind === 'renew-timestamp' || kind === 'renew-delegated';
}

/** True when the targets role stays as it is: what changes is in delegated roles, or a date above. */
export function keepsTargets(changes: readonly Change[]): boolean {
  return changes.every(
    (change) =>
      change.kind === 'renew-timestamp' ||
      change.kind === 'renew-delegated' ||
      ((change.kind === 'put-target' || change.kind === 'remove-target') && change.role !== undefined),
  );
}

/** True when only the timestamp is to be signed again. */
export function keepsSnapshot(changes: readonly Change[]): boolean {
  return changes.length > 0 && changes.every(({ kind }) => kind === 'renew-timestamp');
}

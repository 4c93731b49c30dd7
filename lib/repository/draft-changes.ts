/**
 * What becomes of drafted changes while the world moves on: some are live by now, some have nothing to change any more, some came too
 * late, and some are taken back by later ones.
 */
import { isSame, isWithdrawn, type UpdateName } from '../release/find.ts';
import type { Offer } from '../release/lint.ts';
import type { Update } from '../release/manifest.ts';
import { isDelegation, type Change } from './changes.ts';

/** A change that is computed for a moment. */
export type DroppedChange = Extract<Change, { readonly kind: 'pause-waves' | 'resume-waves' }>;

/** The changes without those that are live by now, or whose release is gone or recalled: somebody else may have published meanwhile. */
export function remainingChanges(changes: readonly Change[], { manifest, targets }: Offer): readonly Change[] {
  const released = (name: UpdateName): Update | undefined => manifest.updates.find((update) => isSame(update, name));
  const added: UpdateName[] = [];
  return changes.filter((change) => {
    // Of what is in delegated roles this offer says nothing; a change that is live already changes nothing.
    if (isDelegation(change) || ('role' in change && change.role !== undefined)) return true;
    if (change.kind === 'put-target') return targets[change.path]?.hashes.sha256 !== change.file.hashes.sha256;
    if (change.kind === 'remove-target') return Object.hasOwn(targets, change.path);
    if (change.kind === 'set-migrations' || change.kind === 'renew-targets' || change.kind === 'renew-timestamp') return true;
    const there = released(change.update);
    if (change.kind !== 'add-update') {
      if (added.some((name) => isSame(name, change.update))) return true;
      return there !== undefined && !(isWithdrawn(there) && isDoneByRecall(change, there));
    }
    const isLive = there !== undefined && there.images.root === change.update.images.root;
    if (!isLive) added.push(change.update);
    return !isLive;
  });
}

/** Nobody is offered it any more, or hosts go back already to where they were to be sent. */
function isDoneByRecall(change: Change, { max_version: maxVersion }: Update): boolean {
  return isTimed(change) || isSteering(change) || (change.kind === 'recall' && change.to === maxVersion);
}

/** Pauses and resumptions whose moment has passed, and what rested on them. */
export function withoutLate(
  changes: readonly Change[],
  standing: Offer,
  now: Date,
): { readonly kept: readonly Change[]; readonly dropped: readonly DroppedChange[] } {
  const dropped: DroppedChange[] = [];
  const kept: Change[] = [];
  for (const change of changes) {
    const isLate = isTimed(change) && new Date(change.at) <= now && !isSuperseded(change, changes);
    // A resumption of what is not paused any more, once its pause has been dropped.
    const isIdle = change.kind === 'resume-waves' && !pausedAfter(kept, change.update, standing);
    if (isTimed(change) && (isLate || isIdle)) dropped.push(change);
    else kept.push(change);
  }
  return { kept, dropped };
}

function pausedAfter(changes: readonly Change[], update: UpdateName, standing: Offer): boolean {
  const last = changes.findLast((change) => (isTimed(change) || change.kind === 'set-waves') && isSame(change.update, update));
  return last === undefined ? isLivePaused(update, standing) : last.kind === 'pause-waves';
}

function isLivePaused(update: UpdateName, { manifest }: Offer): boolean {
  return manifest.updates.some((one) => isSame(one, update) && one.gantry?.paused !== undefined);
}

/**
 * The changes that new ones leave standing: a release that is taken away needs no steering, a new schedule ends every pause, and of
 * pauses and resumptions the last one counts, on top of what it rests on.
 */
export function withoutSuperseded(changes: readonly Change[], added: readonly Change[], standing: Offer): readonly Change[] {
  return changes.filter((change, index) => {
    if (!isTimed(change))
      return !added.some((later) => later.kind === 'remove-update' && isSteering(change) && isSame(change.update, later.update));
    if ([...changes.slice(index + 1), ...added].some((later) => endsPauses(later) && isSame(later.update, change.update))) return false;
    const newer = added.find((later): later is DroppedChange => isTimed(later) && isSame(later.update, change.update));
    if (newer === undefined) return true;
    // What is live decides whether the new one rests on a drafted one of the other kind; the last of these counts.
    const needed = isLivePaused(change.update, standing) ? 'resume-waves' : 'pause-waves';
    const isLastOfItsKind = !changes.slice(index + 1).some((later) => later.kind === change.kind && isSame(later.update, change.update));
    return newer.kind !== needed && change.kind === needed && isLastOfItsKind;
  });
}

/**
 * Removing a release that is only drafted takes it out of the draft: all that came with it, and what was done with it since.
 *
 * @returns the changes that stay, and what is left to add
 */
export function withoutUndone(
  changes: readonly Change[],
  added: readonly Change[],
): { readonly kept: readonly Change[]; readonly added: readonly Change[] } {
  const undone = changes.filter((change): change is AddedRelease => change.kind === 'add-update' && added.some(removes(change.update)));
  const isUndone = (name: UpdateName): boolean => undone.some(({ update }) => isSame(update, name));
  const parts = new Set<Change>(undone.flatMap((release) => partsOf(changes, release)));
  const paths = new Set([...parts].flatMap((change) => (change.kind === 'put-target' ? [change.path] : [])));
  return {
    // A removal that comes before is of the release that was published under this name.
    kept: changes.filter(
      (change) => !parts.has(change) && !('update' in change && change.kind !== 'remove-update' && isUndone(change.update)),
    ),
    added: added.filter((change) => {
      if (change.kind === 'remove-update') return !isUndone(change.update);
      return !(change.kind === 'remove-target' && paths.has(change.path));
    }),
  };
}

type AddedRelease = Extract<Change, { readonly kind: 'add-update' }>;

function removes(name: UpdateName): (change: Change) => boolean {
  return (change) => change.kind === 'remove-update' && isSame(change.update, name);
}

/** A release is drafted as its targets, the migrations that it brings, and the update, in this order. */
function partsOf(changes: readonly Change[], release: AddedRelease): readonly Change[] {
  const end = changes.indexOf(release);
  const start = changes.slice(0, end).findLastIndex(({ kind }) => kind !== 'put-target' && kind !== 'set-migrations') + 1;
  return changes.slice(start, end);
}

function isSteering(change: Change): change is Extract<Change, { readonly kind: 'set-waves' | 'accelerate-waves' }> {
  return change.kind === 'set-waves' || change.kind === 'accelerate-waves';
}

/**
 * When the draft must be what hosts see: a pause or a resumption is computed for one moment, and would take the update away from
 * hosts that were let in after it. Undefined: any time will do.
 */
export function deadlineOf(changes: readonly Change[]): Date | undefined {
  const moments = changes.flatMap((change) => (isTimed(change) && !isSuperseded(change, changes) ? [new Date(change.at)] : []));
  return moments.toSorted((a, b) => a.getTime() - b.getTime())[0];
}

/** True when a later change of the draft gives the release another schedule, or takes it away. */
function isSuperseded(change: DroppedChange, changes: readonly Change[]): boolean {
  return changes
    .slice(changes.indexOf(change) + 1)
    .some((later) => (endsPauses(later) || later.kind === 'recall') && isSame(later.update, change.update));
}

function endsPauses(change: Change): change is Extract<Change, { readonly kind: 'set-waves' | 'remove-update' }> {
  return change.kind === 'set-waves' || change.kind === 'remove-update';
}

function isTimed(change: Change): change is DroppedChange {
  return change.kind === 'pause-waves' || change.kind === 'resume-waves';
}

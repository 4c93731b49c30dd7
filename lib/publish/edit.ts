/** Edits of what is released, as a draft on top of what is live: waves, recalls, removals. */
import type { LintFinding } from '../errors.ts';
import { verityImageBytes } from '../image/verity.ts';
import { draftFrom, offerAfter, type Change, type Draft } from '../repository/draft.ts';
import { remainingChanges, withoutLate, withoutSuperseded, withoutUndone, type DroppedChange } from '../repository/draft-changes.ts';
import { removeUpdate } from '../release/edit.ts';
import { isDelegation, treeAfter } from '../repository/changes.ts';
import { refuseIdle } from '../repository/delegations.ts';
import type { TrustedRepository } from '../repository/trusted.ts';
import type { Delegations, Targets } from '../tuf/types.ts';
import type { UpdateName } from '../release/find.ts';
import { orphansOf } from '../release/image-targets.ts';
import { newFindings, type Offer } from '../release/lint.ts';
import type { Store } from '../store/store.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { saveDraft } from '../workspace/draft-files.ts';
import type { Workspace } from '../workspace/workspace.ts';
import type { ChoiceOfDelegated } from './live-state.ts';
import { forgetDraft, readCurrent } from './live.ts';

export type { DroppedChange } from '../repository/draft-changes.ts';

/** An edit that was worked out and not saved yet. */
export interface PreparedEdit {
  readonly repository: RepositoryName;
  /** What it was worked out on. */
  readonly trusted: TrustedRepository;
  /** What hosts are told now. */
  readonly published: Offer;
  /** The same, or what they would be told by a draft that waits. */
  readonly before: Offer;
  readonly after: Offer;
  /** Undefined: nothing is left to change. */
  readonly draft: Draft | undefined;
  /** What it makes worse without breaking it: errors are refused. */
  readonly warnings: readonly LintFinding[];
  /** Pauses and resumptions that waited in the draft for a moment which has passed: they could not be published any more. */
  readonly dropped: readonly DroppedChange[];
}

export interface EditOptions {
  readonly now: Date;
  /** What is to change, given what stands. */
  readonly changesFor: (standing: Offer, tree: StandingTree) => readonly Change[];
  /** Delegated roles that change. */
  readonly delegated?: ChoiceOfDelegated;
}

/** @throws GantryError `release/…`, `repository/bad-change` when the edit makes no sense */
export async function prepareEdit(
  workspace: Workspace,
  store: Store,
  repository: RepositoryName,
  { now, changesFor, delegated }: EditOptions,
): Promise<PreparedEdit> {
  const { live, draft: waiting } = await readCurrent(workspace, store, repository, delegated === undefined ? {} : { delegated });
  const standing = offerAfter(live.trusted, []);
  const drafted = remainingChanges(waiting?.changes ?? [], standing);
  const { kept, dropped } = withoutLate(drafted, standing, now);
  const before = offerAfter(live.trusted, kept);
  const tree = standingTree(live.trusted, kept);
  const wanted = changesFor(before, tree);
  for (const change of wanted) if (isDelegation(change)) refuseIdle(change, tree.delegations);
  const { kept: rest, added } = withoutUndone(kept, wanted);
  const changes = [...withoutSuperseded(rest, added, standing), ...added];
  const options = { versions: live.versions, now, policy: workspace.expiry };
  const draft = changes.length === 0 ? undefined : draftFrom(live.trusted, changes, options);
  const after = offerAfter(live.trusted, changes);
  const warnings = newFindings(after, before, { now, treeBytes: verityImageBytes, published: standing.manifest });
  return { repository, trusted: live.trusted, published: standing, before, after, draft, warnings, dropped };
}

/** Who signs targets, and what delegated roles list, with the draft that waits. */
export interface StandingTree {
  readonly delegations: Delegations | undefined;
  /** Of a delegated role that was asked for. */
  readonly targetsOf: (role: string) => Targets['targets'];
}

function standingTree(trusted: TrustedRepository, changes: readonly Change[]): StandingTree {
  const { delegations, delegated } = treeAfter(trusted, changes);
  return { delegations, targetsOf: (role) => delegated.get(role) ?? trusted.delegated.get(role)?.role.targets ?? {} };
}

/** The changes that take a release away: the update, and the targets that only it needs. @throws GantryError `release/unknown` */
export function removalOf({ manifest, targets }: Offer, update: UpdateName): readonly Change[] {
  const after = removeUpdate(manifest, update);
  const removed = manifest.updates.filter((one) => !after.updates.includes(one));
  return [
    { kind: 'remove-update', update },
    ...orphansOf(removed, after, targets).map((path): Change => ({ kind: 'remove-target', path })),
  ];
}

/** @returns where the draft lies; undefined when nothing is left of it, and it was removed */
export async function saveEdit(workspace: Workspace, { repository, draft }: PreparedEdit): Promise<string | undefined> {
  if (draft === undefined) {
    await forgetDraft(workspace, repository);
    return undefined;
  }
  return saveDraft(workspace, repository, draft);
}

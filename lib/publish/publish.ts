/** `publish`: what is signed becomes what the world sees. */
import { GantryError, isGantryError } from '../errors.ts';
import { deadlineOf, finishDraft, type Draft, type SignedRepository } from '../repository/draft.ts';
import { assertDraftHolds } from '../repository/draft-check.ts';
import type { Store } from '../store/store.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { saveDraft, saveSeenVersions } from '../workspace/draft-files.ts';
import { openObject } from '../workspace/objects.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { applyPublication, type AppliedWrite } from './apply.ts';
import { versionsOf, type LiveState } from './live-state.ts';
import { forgetDraft, readCurrent, readLive, takeCurrent, type Current } from './live.ts';
import { planPublication, refuseTooLate, type PlannedWrite, type PublicationPlan } from './plan.ts';
import { redraft } from './sign.ts';

export interface PublishOptions {
  readonly now: Date;
  /** The time now, each time it is asked; by default this machine's. Only changes that are made for a moment ask. */
  readonly clock?: () => Date;
  readonly signal?: AbortSignal;
  /** Target files on their way at the same time. */
  readonly concurrency?: number;
  readonly onProgress?: (write: PlannedWrite, bytes: number) => void;
  readonly onApplied?: (applied: AppliedWrite) => void;
}

export interface Publication {
  readonly plan: PublicationPlan;
  readonly applied: readonly AppliedWrite[];
}

/** True when a draft or a root waits for this repository. */
export async function hasSomethingToPublish(workspace: Workspace, store: Store, repository: RepositoryName): Promise<boolean> {
  const { live, draft } = await readCurrent(workspace, store, repository);
  return draft !== undefined || live.trusted.chain.latest.role.version > live.rootsStored;
}

/**
 * What publishing would write now.
 *
 * @throws GantryError `publish/nothing`, `repository/incomplete`, `repository/moved-on`, `repository/root-transition`,
 * `repository/bad-draft`, `repository/expired`
 */
export async function planRepository(workspace: Workspace, store: Store, repository: RepositoryName, now: Date): Promise<PublicationPlan> {
  return prepare(workspace, repository, await readCurrent(workspace, store, repository), now).plan;
}

/**
 * Publishes what is signed. When somebody else took one of our version numbers, the draft is made again with the next free
 * ones, so that signing and publishing once more is all it takes (design D5).
 *
 * @throws GantryError what `planRepository` and `applyPublication` throw, `publish/too-late`
 */
export async function publishRepository(
  workspace: Workspace,
  store: Store,
  repository: RepositoryName,
  options: PublishOptions,
): Promise<Publication> {
  const { clock = () => new Date() } = options;
  const { plan, draft, live, signed } = prepare(workspace, repository, await takeCurrent(workspace, store, repository), options.now);
  refuseTooLate(plan, clock());
  try {
    const applied = await applyPublication(plan, store, {
      ...options,
      clock,
      openTarget: async (write) => openObject(workspace, write.path, write),
    });
    await finish(workspace, store, repository, live, signed);
    return { plan, applied };
  } catch (error) {
    if (draft !== undefined && isGantryError(error, 'publish/conflict')) await draftAgain(workspace, store, repository, draft, options.now);
    throw error;
  }
}

interface Prepared {
  readonly plan: PublicationPlan;
  readonly live: LiveState;
  readonly draft: Draft | undefined;
  readonly signed: SignedRepository | undefined;
}

/** What cannot be drafted again stays as it is: signing says why, and the conflict is what happened here. */
async function draftAgain(workspace: Workspace, store: Store, repository: RepositoryName, draft: Draft, now: Date): Promise<void> {
  const live = await readLive(workspace, store, repository);
  try {
    await saveDraft(workspace, repository, redraft(draft, live, workspace, now));
  } catch (error) {
    if (!isGantryError(error)) throw error;
  }
}

function prepare(workspace: Workspace, repository: RepositoryName, { live, draft }: Current, now: Date): Prepared {
  const signed = draft === undefined ? undefined : finishDraft(draft, live.trusted);
  if (draft !== undefined) assertDraftHolds(draft, live.trusted, { now, policy: workspace.expiry });
  const plan = planPublication(live, signed, draft === undefined ? undefined : deadlineOf(draft.changes));
  if (plan.writes.length === 0) {
    const name = `${repository.variant}/${repository.arch}`;
    throw new GantryError('publish/nothing', `Cannot publish ${name}: nothing waits; expected a signed draft or a new root`, {
      repository: name,
    });
  }
  return { plan, live, draft, signed };
}

/** What was planned has become the live state: remember it, and forget the draft. */
async function finish(
  workspace: Workspace,
  store: Store,
  repository: RepositoryName,
  live: LiveState,
  signed: SignedRepository | undefined,
): Promise<void> {
  const root = live.trusted.chain.latest.role.version;
  const roles = signed?.roles ?? live.trusted.published;
  if (roles !== undefined) await saveSeenVersions(workspace, store.description, repository, { root, ...versionsOf(roles) });
  if (signed !== undefined) await forgetDraft(workspace, repository);
}

/** `publish`: what is signed becomes what the world sees. */
import { GantryError, isGantryError } from '../errors.ts';
import { finishDraft, isPublished, type Draft, type SignedRepository } from '../repository/draft.ts';
import { deadlineOf } from '../repository/draft-changes.ts';
import { assertDraftHolds } from '../repository/draft-check.ts';
import { delegatedIn } from '../repository/draft-roles.ts';
import type { Store, StoreVersion } from '../store/store.ts';
import type { TargetFile } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { readDraft, saveDraft, saveSeenVersions } from '../workspace/draft-files.ts';
import { openObject } from '../workspace/objects.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { applyPublication, type AppliedWrite } from './apply.ts';
import { allDelegated, versionsOf, type Judgement, type LiveState } from './live-state.ts';
import { forgetDraft, forgetObjects, readCurrent, readLive, takeCurrent, type Current } from './live.ts';
import { overtakenBy } from './overtaken.ts';
import { baseOf, planPublication, refuseTooLate, type PlannedWrite, type PublicationPlan } from './plan.ts';
import { assertPlanHolds, statePlan, type StatedPlan } from './plan-file.ts';
import { refuseForeignObjects, refuseLostTargets, refuseMissingObjects } from './presence.ts';
import { provenStore, type WritersOptions } from './proven.ts';
import { redraft } from './sign.ts';

/** What is refused unless somebody says so: to begin a repository beside objects that no repository has, and to strand hosts for a moment. */
export interface BeginOptions {
  /** `refused` by default. */
  readonly others?: 'refused' | 'allowed';
  /** `recover`: a root may drop keys with which live roles are signed, when this publication replaces those roles. `strict` by default. */
  readonly judgement?: Judgement | undefined;
}

export interface PublishOptions extends WritersOptions, BeginOptions {
  /** The time now, each time it is asked; by default this machine's. Changes that are made for a moment ask, and claims (gc/marks.ts). */
  readonly clock?: () => Date;
  /** Target files on their way at the same time. */
  readonly concurrency?: number;
  readonly onProgress?: (write: PlannedWrite, bytes: number) => void;
  readonly onApplied?: (applied: AppliedWrite) => void;
  /** Signs the draft that was made again because a version number was taken; without it that is a conflict. */
  readonly signAgain?: (repository: RepositoryName) => Promise<void>;
}

export interface Publication {
  readonly plan: PublicationPlan;
  /** Empty when all of it was live already. */
  readonly applied: readonly AppliedWrite[];
}

/** Crashed publishers leave a number or two behind, never many. */
const MAX_NUMBERS_TRIED = 5;

/** True when a draft or a root waits for this repository, or a draft that is live lies there: its publisher was cut off. */
export async function hasSomethingToPublish(
  workspace: Workspace,
  store: Store,
  repository: RepositoryName,
  { judgement }: BeginOptions = {},
): Promise<boolean> {
  const live = await readLive(workspace, store, repository, { judgement });
  return (await readDraft(workspace, repository)) !== undefined || live.trusted.chain.latest.role.version > live.rootsStored;
}

/**
 * What publishing would write now: nothing when all of it is live.
 *
 * @param now publishing after a deadline is refused, so is saying what it would do
 * @throws GantryError `publish/too-late`, `repository/incomplete`, `repository/moved-on`, `repository/root-transition`,
 * `repository/bad-draft`, `repository/expired`, `publish/foreign-objects`
 */
export async function planRepository(
  workspace: Workspace,
  store: Store,
  repository: RepositoryName,
  now: Date,
  options: BeginOptions = {},
): Promise<PublicationPlan> {
  const prepared = prepare(workspace, await readCurrent(workspace, store, repository, { judgement: options.judgement }), now, options);
  await refuseForNow(store, prepared, now, options);
  return prepared.plan;
}

/** The same, and what a plan file says of it. @throws GantryError `publish/nothing`, and what `planRepository` throws */
export async function stateRepository(
  workspace: Workspace,
  store: Store,
  repository: RepositoryName,
  now: Date,
  options: BeginOptions = {},
): Promise<{ readonly plan: PublicationPlan; readonly stated: StatedPlan }> {
  const prepared = prepare(workspace, await readCurrent(workspace, store, repository), now);
  await refuseForNow(store, prepared, now, options);
  const { plan, draft } = prepared;
  if (plan.writes.length === 0) {
    const name = `${repository.variant}/${repository.arch}`;
    const problem = `Cannot plan a publication of ${name}: nothing waits; expected a signed draft or a new root`;
    throw new GantryError('publish/nothing', problem, { repository: name });
  }
  return { plan, stated: statePlan(plan, draft) };
}

/**
 * Publishes what is signed. Whoever was cut off asks once more: what is live by then is not written again, and that is no error.
 * When somebody else took one of our version numbers, the draft is made again with the next free ones: it is signed again at once, or
 * signing and publishing once more is all it takes (design D5). What was planned from one live state is never published on top of
 * another: whoever signed has to see that first.
 *
 * @throws GantryError what `planRepository` and `applyPublication` throw, `publish/too-late`
 */
export async function publishRepository(
  workspace: Workspace,
  store: Store,
  repository: RepositoryName,
  options: PublishOptions,
): Promise<Publication> {
  let conflict: GantryError<'publish/conflict'> | undefined;
  let plannedFrom: StoreVersion | undefined;
  for (let tried = 1; ; tried += 1) {
    const current = await takeCurrent(workspace, store, repository, { judgement: options.judgement });
    // Between the look behind a conflict and this one somebody else may have published, and signing again was on top of that.
    if (conflict !== undefined && current.live.timestampVersion !== plannedFrom) {
      throw await overtakenBy(workspace, current.live, conflict.details, conflict);
    }
    plannedFrom = current.live.timestampVersion;
    const prepared = prepare(workspace, current, options.now, options);
    if (prepared.plan.writes.length === 0) {
      await forgetDraft(workspace, repository);
      return { plan: prepared.plan, applied: [] };
    }
    try {
      return await carryOut(workspace, store, prepared, options);
    } catch (error) {
      if (prepared.draft === undefined || !isGantryError(error, 'publish/conflict')) throw error;
      const drafted = delegatedIn(prepared.draft.changes);
      const live = await readLive(workspace, store, repository, {
        judgement: options.judgement,
        delegated: () => drafted,
      });
      const redrafted = await draftAgain(workspace, live, prepared.draft, options.now);
      const numberTaken = live.timestampVersion === prepared.live.timestampVersion;
      if (!numberTaken) throw await overtakenBy(workspace, live, error.details, error);
      if (!redrafted || options.signAgain === undefined || tried >= MAX_NUMBERS_TRIED) throw error;
      conflict = error;
      await options.signAgain(repository);
    }
  }
}

/** A plan out of a file. */
export interface StatedJob {
  readonly stated: StatedPlan;
  /** Where it stands, for messages. */
  readonly file: string;
  /** Plans of the same file that are carried out behind it: what they need stays, wherever their drafts are. */
  readonly later?: readonly StatedPlan[];
}

/**
 * Carries out a plan that was made earlier, exactly, or not at all.
 *
 * @throws GantryError `publish/conflict` when the live repository is another one by now, `publish/bad-plan`, and whatever
 * `publishRepository` throws
 */
export async function publishPlan(
  workspace: Workspace,
  store: Store,
  { stated, file, later = [] }: StatedJob,
  options: PublishOptions,
): Promise<Publication> {
  const elsewhere = later.flatMap(({ draft }) => draft ?? []);
  const prepared = await prepareStated(
    workspace,
    store,
    { stated, file },
    { now: options.now, current: async (from, to, repository, reading) => takeCurrent(from, to, repository, { ...reading, elsewhere }) },
  );
  if ('done' in prepared) {
    await forgetObjects(workspace, elsewhere);
    return { plan: prepared.done, applied: [] };
  }
  await refuseLostTargets(store, prepared.plan, targetsOf(prepared));
  try {
    return await carryOut(workspace, store, { ...prepared, elsewhere }, options);
  } catch (error) {
    if (!isGantryError(error, 'publish/conflict')) throw error;
    throw await overtakenBy(workspace, await readLive(workspace, store, stated.repository), error.details, error);
  }
}

/** Whether a plan could be carried out now; changes nothing. @throws GantryError as `publishPlan` */
export async function checkPlan(
  workspace: Workspace,
  store: Store,
  plan: { readonly stated: StatedPlan; readonly file: string },
  now: Date,
  options: BeginOptions = {},
): Promise<PublicationPlan> {
  const prepared = await prepareStated(workspace, store, plan, { now, current: readCurrent });
  if ('done' in prepared) return prepared.done;
  await refuseForNow(store, prepared, now, options);
  await refuseLostTargets(store, prepared.plan, targetsOf(prepared));
  return prepared.plan;
}

async function prepareStated(
  workspace: Workspace,
  store: Store,
  { stated, file }: { readonly stated: StatedPlan; readonly file: string },
  { now, current }: { readonly now: Date; readonly current: typeof readCurrent },
): Promise<Prepared | { readonly done: PublicationPlan }> {
  const { repository, base, draft } = stated;
  // All of them: whatever the metadata to publish names must be in the store.
  const { live } = await current(workspace, store, repository, { delegated: allDelegated });
  // Whoever was cut off behind the last write asks once more.
  const isDone = draft === undefined ? stated.writes.every(({ path }) => isStoredRoot(path, live)) : isPublished(draft, live.trusted);
  if (isDone) return { done: { repository, base, writes: [], changed: [], removed: [] } };
  if (base.timestamp?.storeVersion !== live.timestampVersion || live.rootsStored < base.roots) {
    const path = `${repository.variant}/${repository.arch}/timestamp.json`;
    throw await overtakenBy(workspace, live, { path, expected: describeBase(base), found: describeBase(baseOf(live)) });
  }
  const prepared = prepare(workspace, draft === undefined ? { live } : { live, draft }, now);
  assertPlanHolds(stated, prepared.plan, file);
  return prepared;
}

function isStoredRoot(path: string, { rootsStored }: LiveState): boolean {
  const [, version] = /\/(\d+)\.root\.json$/u.exec(path) ?? [];
  return version !== undefined && Number(version) <= rootsStored;
}

function describeBase({ roots, timestamp }: StatedPlan['base']): string {
  return timestamp === undefined ? `${roots} roots and no publication` : `timestamp ${timestamp.timestamp}`;
}

interface Prepared {
  readonly plan: PublicationPlan;
  readonly live: LiveState;
  readonly draft: Draft | undefined;
  readonly signed: SignedRepository | undefined;
  /** Drafts outside of the workspace's folder whose objects stay. */
  readonly elsewhere?: readonly Draft[];
}

function prepare(workspace: Workspace, { live, draft }: Current, now: Date, { judgement }: BeginOptions = {}): Prepared {
  const signed = draft === undefined ? undefined : finishDraft(draft, live.trusted);
  if (draft !== undefined) assertDraftHolds(draft, live.trusted, { now, policy: workspace.expiry });
  const plan = planPublication(live, signed, draft === undefined ? undefined : deadlineOf(draft.changes), judgement);
  return { plan, live, draft, signed };
}

/** What the metadata to publish names, each list of targets for itself. */
function targetsOf({ live, signed }: Prepared): readonly Readonly<Record<string, TargetFile>>[] {
  const top = (signed?.roles ?? live.trusted.published)?.targets.role;
  const delegated = new Map([...live.trusted.delegated, ...(signed?.newDelegated ?? [])]);
  const names = new Set((top?.delegations?.roles ?? []).map(({ name }) => name));
  return [top?.targets ?? {}, ...[...delegated].flatMap(([name, { role }]) => (names.has(name) ? [role.targets] : []))];
}

/** What publishing would be refused for now. */
async function refuseForNow(store: Store, { plan, live }: Prepared, now: Date, { others = 'refused' }: BeginOptions): Promise<void> {
  refuseTooLate(plan, now);
  if (others === 'refused' && plan.writes.length > 0) await refuseForeignObjects(store, live);
}

async function carryOut(workspace: Workspace, store: Store, prepared: Prepared, options: PublishOptions): Promise<Publication> {
  const { plan } = prepared;
  const { clock = () => new Date() } = options;
  await refuseForNow(store, prepared, clock(), options);
  await refuseMissingObjects(workspace, store, plan);
  const applied = await applyPublication(plan, await provenStore(workspace, store, options), {
    ...options,
    clock,
    openTarget: async (write) => openObject(workspace, write.path, write),
  });
  await finish(workspace, store, prepared);
  return { plan, applied };
}

/** What cannot be drafted again stays as it is: signing says why, and the conflict is what happened here. */
async function draftAgain(workspace: Workspace, live: LiveState, draft: Draft, now: Date): Promise<boolean> {
  try {
    await saveDraft(workspace, live.repository, redraft(draft, live, workspace, now));
    return true;
  } catch (error) {
    if (!isGantryError(error)) throw error;
    return false;
  }
}

/** What was planned has become the live state: remember it, and forget the draft. */
async function finish(workspace: Workspace, store: Store, { live, signed, elsewhere }: Prepared): Promise<void> {
  const { repository } = live;
  const root = live.trusted.chain.latest.role.version;
  const roles = signed?.roles ?? live.trusted.published;
  if (roles !== undefined) await saveSeenVersions(workspace, store.description, repository, { root, ...versionsOf(roles) });
  if (signed !== undefined) await forgetDraft(workspace, repository, elsewhere);
}

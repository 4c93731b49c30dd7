/** The live state of a workspace's repository and the draft on top of it, and the workspace's memory of both. */
import { isGantryError, type GantryError } from '../errors.ts';
import type { Offer } from '../release/lint.ts';
import { isPublished, offerAfter, type Draft } from '../repository/draft.ts';
import { delegatedIn } from '../repository/draft-roles.ts';
import { remainingChanges } from '../repository/draft-changes.ts';
import type { RootChain } from '../repository/root-chain.ts';
import type { Store } from '../store/store.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { neededObjects, readDraft, readSeenVersions, removeDraft, saveSeenVersions } from '../workspace/draft-files.ts';
import { keepOnlyObjects } from '../workspace/objects.ts';
import { requireRootChain, saveRootChain } from '../workspace/root-files.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { readLiveState, versionsOf, type LiveOptions, type LiveState } from './live-state.ts';

/**
 * Reads and verifies. Nothing in the workspace changes, so it needs no lock.
 *
 * @throws GantryError `workspace/no-root`, and whatever `readLiveState` throws
 */
export async function readLive(
  workspace: Workspace,
  store: Store,
  repository: RepositoryName,
  { known, ...options }: ReadOptions = {},
): Promise<LiveState> {
  const chain = known ?? (await requireRootChain(workspace));
  return readLiveState(store, repository, chain, { ...options, seen: await readSeenVersions(workspace, store.description, repository) });
}

export interface ReadOptions extends Pick<LiveOptions, 'judgement' | 'delegated'> {
  /** The workspace's root chain, for whoever has read it already. */
  readonly known?: RootChain;
}

export interface Current {
  readonly live: LiveState;
  /** Absent, too, when it has become live: whoever published it was cut off before it could tell (design D6). */
  readonly draft?: Draft;
}

/**
 * What is live, and what waits. Nothing in the workspace changes, so it needs no lock.
 *
 * @param options.delegated roles to be read beside those that the draft changes
 */
export async function readCurrent(
  workspace: Workspace,
  store: Store,
  repository: RepositoryName,
  options: ReadOptions = {},
): Promise<Current> {
  const draft = await readDraft(workspace, repository);
  const live = await readLive(workspace, store, repository, {
    ...options,
    delegated: (delegations) => [...(options.delegated?.(delegations) ?? []), ...delegatedIn(draft?.changes ?? [])],
  });
  return draft === undefined || isPublished(draft, live.trusted) ? { live } : { live, draft };
}

export interface Standing {
  readonly published: Offer;
  /** With the changes of the draft that waits. */
  readonly offer: Offer;
  /** Why the draft is left out: it makes no sense on top of what was published since. */
  readonly problem?: GantryError;
}

/** What hosts are offered, and what they would be when the draft is published. */
export function standingOf({ live, draft }: Current): Standing {
  const published = offerAfter(live.trusted, []);
  if (draft === undefined) return { published, offer: published };
  try {
    return { published, offer: offerAfter(live.trusted, remainingChanges(draft.changes, published)) };
  } catch (problem) {
    if (!isGantryError(problem)) throw problem;
    return { published, offer: published, problem };
  }
}

/**
 * The same for whoever holds the workspace's lock and is about to change something: roots that somebody else published join the
 * workspace's chain, the versions become the least that will be believed next time, and a draft that is live is forgotten.
 */
export async function takeCurrent(
  workspace: Workspace,
  store: Store,
  repository: RepositoryName,
  { elsewhere = [], ...options }: ReadOptions & { readonly elsewhere?: readonly Draft[] } = {},
): Promise<Current> {
  const current = await readCurrent(workspace, store, repository, options);
  const { live, draft } = current;
  await saveRootChain(workspace, live.trusted.chain);
  const { published } = live.trusted;
  if (published !== undefined)
    await saveSeenVersions(workspace, store.description, repository, { root: live.rootsStored, ...versionsOf(published) });
  if (draft === undefined && (await readDraft(workspace, repository)) !== undefined) {
    await forgetDraft(workspace, repository, elsewhere);
  }
  return current;
}

/**
 * Removes the draft, and every object that no other draft needs; a draft that cannot be read may need any of them.
 *
 * @param elsewhere drafts that wait outside of the workspace's folder, in a plan that is being carried out
 */
export async function forgetDraft(workspace: Workspace, repository: RepositoryName, elsewhere: readonly Draft[] = []): Promise<void> {
  await removeDraft(workspace, repository);
  await forgetObjects(workspace, elsewhere);
}

/** Removes every object that no draft needs: whoever removed the draft may have been cut off before its objects. */
export async function forgetObjects(workspace: Workspace, elsewhere: readonly Draft[] = []): Promise<void> {
  const needed = await neededObjects(workspace, elsewhere);
  if (needed !== undefined) await keepOnlyObjects(workspace, needed);
}

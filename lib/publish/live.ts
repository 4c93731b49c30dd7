/** The live state of a workspace's repository and the draft on top of it, with the workspace's memory of both kept up. */
import { isPublished, type Draft } from '../repository/draft.ts';
import type { Store } from '../store/store.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { readDraft, readSeenVersions, removeDraft, saveSeenVersions } from '../workspace/draft-files.ts';
import { keepOnlyObjects } from '../workspace/objects.ts';
import { requireRootChain, saveRootChain } from '../workspace/root-files.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { readLiveState, versionsOf, type LiveState } from './live-state.ts';

/**
 * Reads and verifies, then remembers: roots that somebody else published join the workspace's chain, and the versions
 * become the least that will be believed next time.
 *
 * @throws GantryError `workspace/no-root`, and whatever `readLiveState` throws
 */
export async function readLive(workspace: Workspace, store: Store, repository: RepositoryName): Promise<LiveState> {
  const chain = await requireRootChain(workspace);
  const live = await readLiveState(store, repository, chain, await readSeenVersions(workspace, repository));
  if (live.trusted.chain.roots.length > chain.roots.length) await saveRootChain(workspace, live.trusted.chain);
  const { published } = live.trusted;
  if (published !== undefined) await saveSeenVersions(workspace, repository, { root: live.rootsStored, ...versionsOf(published) });
  return live;
}

export interface Current {
  readonly live: LiveState;
  readonly draft?: Draft;
}

/**
 * What is live, and what waits. A draft that has become live is forgotten: whoever published it was cut off before it
 * could tell (design D6).
 */
export async function readCurrent(workspace: Workspace, store: Store, repository: RepositoryName): Promise<Current> {
  const live = await readLive(workspace, store, repository);
  const draft = await readDraft(workspace, repository);
  if (draft === undefined) return { live };
  if (!isPublished(draft, live.trusted)) return { live, draft };
  await forgetDraft(workspace, repository);
  return { live };
}

/** Removes the draft, and every object that no other draft needs. */
export async function forgetDraft(workspace: Workspace, repository: RepositoryName): Promise<void> {
  await removeDraft(workspace, repository);
  const waiting = await Promise.all(workspace.config.repositories.map(async (other) => readDraft(workspace, other)));
  await keepOnlyObjects(workspace, new Set(waiting.flatMap((other) => (other === undefined ? [] : digestsOf(other)))));
}

function digestsOf(draft: Draft): readonly string[] {
  return draft.changes.flatMap((change) => (change.kind === 'put-target' ? [change.file.hashes.sha256] : []));
}

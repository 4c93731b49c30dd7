/** `refresh`: new expiry dates for what is published, without changing what is offered. */
import { GantryError } from '../errors.ts';
import { draftFrom, type Change, type Draft } from '../repository/draft.ts';
import type { Store } from '../store/store.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { draftPath, saveDraft } from '../workspace/draft-files.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { takeCurrent } from './live.ts';

/**
 * A draft of snapshot and timestamp; with `roles: 'all'` of targets too, which needs the targets keys.
 *
 * @throws GantryError `workspace/draft-waits` when a draft waits already: publishing that refreshes as well
 */
export async function refreshRepository(
  workspace: Workspace,
  store: Store,
  repository: RepositoryName,
  options: { readonly now: Date; readonly roles: 'online' | 'all' },
): Promise<Draft> {
  const { live, draft: waiting } = await takeCurrent(workspace, store, repository);
  if (waiting !== undefined) {
    const path = draftPath(workspace, repository);
    throw new GantryError('workspace/draft-waits', `Cannot refresh: the draft ${path} waits already, and publishing it refreshes too`, {
      path,
    });
  }
  const changes: readonly Change[] = options.roles === 'all' ? [{ kind: 'renew-targets' }] : [];
  const draft = draftFrom(live.trusted, changes, { versions: live.versions, now: options.now, policy: workspace.expiry });
  await saveDraft(workspace, repository, draft);
  return draft;
}

/** Garbage collection for a workspace: its own repositories are verified from its own root chain, down to what it has seen live. */
import { GantryError } from '../../errors.ts';
import type { Store } from '../../store/store.ts';
import { readSeenVersions } from '../../workspace/draft-files.ts';
import { requireRootChain } from '../../workspace/root-files.ts';
import type { Workspace } from '../../workspace/workspace.ts';
import type { Collector } from './collect.ts';
import { readInventory, type OwnRepository } from './inventory.ts';
import { MIN_GRACE_MS } from './marks.ts';

export interface CollectorOptions extends Pick<Collector, 'graceMs' | 'clock' | 'signal' | 'onMarked' | 'onRemoved'> {
  /** Objects listed so far. */
  readonly onListed?: (count: number) => void;
}

/** @throws GantryError `usage/option` when the grace is too short, `workspace/no-root` */
export async function openCollector(workspace: Workspace, store: Store, { onListed, ...options }: CollectorOptions): Promise<Collector> {
  if (options.graceMs < MIN_GRACE_MS) {
    throw new GantryError(
      'usage/option',
      'Cannot use a grace of less than an hour: expected "1h" at least, or publications could lose targets',
      {
        option: '--grace',
      },
    );
  }
  const chain = await requireRootChain(workspace);
  const { graceMs, signal } = options;
  return {
    ...options,
    store,
    async readInventory(now) {
      const own = workspace.config.repositories.map(async (repository): Promise<OwnRepository> => {
        const seen = await readSeenVersions(workspace, store.description, repository);
        return { repository, chain, ...(seen === undefined ? {} : { seen }) };
      });
      const listing = { ...(signal === undefined ? {} : { signal }), ...(onListed === undefined ? {} : { onListed }) };
      return readInventory(store, await Promise.all(own), { now, graceMs, ...listing });
    },
  };
}

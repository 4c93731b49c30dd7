/** The releases of a workspace, as they are published and as a draft would make them. */
import type { LiveState } from '../lib/publish/live-state.ts';
import type { Offer } from '../lib/release/lint.ts';
import type { Update } from '../lib/release/manifest.ts';
import type { RepositoryName } from '../lib/workspace/config.ts';
import type { Context } from './context.ts';
import { repositoriesOf } from './edits.ts';
import { textOption } from './options.ts';
import type { OptionValues } from './program.ts';
import { openWorkspaceSession } from './session.ts';

export interface Standing {
  readonly repository: RepositoryName;
  readonly live: LiveState;
  readonly published: Offer;
  /** What is published, with the changes of the draft that waits. */
  readonly offer: Offer;
}

export type ReleaseState = 'published' | 'draft' | 'changed' | 'removed';

export interface ListedRelease {
  readonly repository: RepositoryName;
  readonly update: Update;
  /** `changed`: published, and a draft makes it different; `removed`: published, and a draft takes it away. */
  readonly state: ReleaseState;
  /** That it is part of. */
  readonly offer: Offer;
  /** How it is published now. */
  readonly was?: Update;
}

/** Of the repositories that `--variant` and `--arch` pick; of all without them. */
export async function readStandings(context: Context, options: OptionValues): Promise<readonly Standing[]> {
  const session = await openWorkspaceSession(context, options);
  const { readCurrent, standingOf } = await import('../lib/publish/live.ts');
  const isPicked = textOption(options, 'variant') !== undefined || textOption(options, 'arch') !== undefined;
  const repositories = isPicked ? await repositoriesOf(session, options) : session.workspace.config.repositories;
  const standings: Standing[] = [];
  for (const repository of repositories) {
    const current = await readCurrent(session.workspace, session.store, repository);
    const { published, offer, problem } = standingOf(current);
    if (problem !== undefined) {
      const name = `${repository.variant}/${repository.arch}`;
      context.note(`The draft of ${name} is left out: it cannot be made on top of what was published since. ${problem.message}`);
    }
    standings.push({ repository, live: current.live, published, offer });
  }
  return standings;
}

/**
 * Those that a draft takes away come last: hosts are offered them until it is published.
 *
 * @param version only these
 * @throws GantryError `release/unknown` when no repository has the version
 */
export async function readReleases(context: Context, options: OptionValues, version?: string): Promise<readonly ListedRelease[]> {
  const standings = await readStandings(context, options);
  const { findUpdate, isSame, isWithdrawn } = await import('../lib/release/find.ts');
  // `max_version` moves with every release: it matters only where it withdraws one.
  const isAlike = (a: Update, b: Update): boolean =>
    isWithdrawn(a) === isWithdrawn(b) && JSON.stringify({ ...a, max_version: '' }) === JSON.stringify({ ...b, max_version: '' });
  const releases = standings.flatMap(({ repository, published, offer }): readonly ListedRelease[] => [
    ...offer.manifest.updates.map((update): ListedRelease => {
      const was = published.manifest.updates.find((one) => isSame(one, update));
      if (was === undefined) return { repository, update, state: 'draft', offer };
      return { repository, update, state: isAlike(was, update) ? 'published' : 'changed', offer, was };
    }),
    ...published.manifest.updates
      .filter((update) => !offer.manifest.updates.some((one) => isSame(one, update)))
      .map((update): ListedRelease => ({ repository, update, state: 'removed', offer: published, was: update })),
  ]);
  const chosen = releases.filter(({ update }) => version === undefined || update.version === version);
  const [standing] = standings;
  if (chosen.length === 0 && version !== undefined && standing !== undefined) {
    findUpdate(standing.offer.manifest, { ...standing.repository, version });
  }
  return chosen;
}

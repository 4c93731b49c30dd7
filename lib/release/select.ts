/** What a host may install: Bottlerocket's selection, with waves as our own agents read them. */
import { checkSeed } from './eligibility.ts';
import { isPeer, isWithdrawn } from './find.ts';
import type { Manifest, Update } from './manifest.ts';
import { parseVersion } from './names.ts';
import { isOffered } from './rollout.ts';
import { compareVersions } from './version-order.ts';
import { instantOf } from './wave-time.ts';

/** What a host says of itself to be told what is on offer to it. */
export interface HostDescription {
  readonly variant: string;
  readonly arch: string;
  /** SemVer that the host runs; absent: it has nothing yet. */
  readonly version?: string;
  /** 0 to 2047, drawn once and kept: the host's place in every rollout. */
  readonly seed: number | 'ignore-waves';
}

/**
 * The updates for this host, newest first; the first one is what it installs.
 *
 * An update above its own `max_version` is withdrawn and hidden. A host that runs something above an update's `max_version`
 * is offered that update although it is older: that is how a release is recalled.
 *
 * @throws GantryError `release/bad-version` when the host's is not SemVer, `release/bad-seed`
 */
export function availableUpdates(manifest: Manifest, host: HostDescription, now: Date): Update[] {
  const version = host.version === undefined ? undefined : parseVersion(host.version);
  const seed = host.seed === 'ignore-waves' ? undefined : checkSeed(host.seed);
  return manifest.updates
    .filter((update) => isPeer(update, host))
    .filter((update) => !isWithdrawn(update))
    .filter((update) => version === undefined || leadsAwayFrom(version, update))
    .filter((update) => seed === undefined || isOffered(update, seed, instantOf(now)))
    .toSorted((a, b) => compareVersions(b.version, a.version));
}

function leadsAwayFrom(current: string, update: Update): boolean {
  return compareVersions(current, update.version) < 0 || compareVersions(current, update.max_version) > 0;
}

/** What a host may install: Bottlerocket's selection. Waves are not looked at: what is in the manifest is on offer. */
import type { Manifest, Update } from './manifest.ts';
import { parseVersion } from './names.ts';
import { compareVersions } from './version-order.ts';

export interface HostDescription {
  readonly variant: string;
  readonly arch: string;
  /** SemVer that the host runs; absent: it has nothing yet. */
  readonly version?: string;
}

/**
 * The updates for this host, newest first; the first one is what it installs.
 *
 * An update above its own `max_version` is withdrawn and hidden. A host that runs something above an update's `max_version`
 * is offered that update although it is older: that is how a release is recalled.
 *
 * @throws GantryError `release/bad-version` when the host's is not SemVer
 */
export function availableUpdates(manifest: Manifest, host: HostDescription): Update[] {
  const { variant, arch } = host;
  const version = host.version === undefined ? undefined : parseVersion(host.version);
  return manifest.updates
    .filter((update) => update.variant === variant && update.arch === arch)
    .filter((update) => compareVersions(update.version, update.max_version) <= 0)
    .filter((update) => version === undefined || leadsAwayFrom(version, update))
    .toSorted((a, b) => compareVersions(b.version, a.version));
}

function leadsAwayFrom(current: string, update: Update): boolean {
  return compareVersions(current, update.version) < 0 || compareVersions(current, update.max_version) > 0;
}

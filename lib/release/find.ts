/** Finding updates in a manifest by what people call them. */
import { GantryError } from '../errors.ts';
import type { Manifest, Update } from './manifest.ts';
import { compareVersions } from './version-order.ts';

/** Which update is meant. */
export interface UpdateName {
  readonly variant: string;
  readonly arch: string;
  /** SemVer. */
  readonly version: string;
}

/** The update of this name. @throws GantryError `release/unknown` with those that there are */
export function findUpdate(manifest: Manifest, name: UpdateName): Update {
  const found = manifest.updates.find((update) => isSame(update, name));
  if (found !== undefined) return found;
  const { variant, arch, version } = name;
  const known = manifest.updates.filter((update) => isPeer(update, name)).map((update) => update.version);
  throw new GantryError(
    'release/unknown',
    `Cannot find release ${version} of ${variant}/${arch}: ${known.length === 0 ? 'nothing is released yet' : `it is not one of ${known.join(', ')}`}; expected the version of a release`,
    { version, known },
  );
}

export function isPeer(update: Pick<UpdateName, 'variant' | 'arch'>, { variant, arch }: Pick<UpdateName, 'variant' | 'arch'>): boolean {
  return update.variant === variant && update.arch === arch;
}

export function isSame(update: UpdateName, name: UpdateName): boolean {
  return isPeer(update, name) && update.version === name.version;
}

/** Above its own `max_version`: hidden from hosts, and those that run it are sent back. */
export function isWithdrawn({ version, max_version }: Update): boolean {
  return compareVersions(version, max_version) > 0;
}

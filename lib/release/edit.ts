/** Changes to a manifest, with the checks that Bottlerocket's tools leave to people. */
import { GantryError } from '../errors.ts';
import type { Images, Manifest, Update } from './manifest.ts';
import { checkName, parseVersion } from './names.ts';
import { compareVersions } from './version-order.ts';

export interface NewUpdate {
  readonly variant: string;
  readonly arch: string;
  /** SemVer. */
  readonly version: string;
  readonly images: Images;
  readonly imagesZstd?: Images;
}

/**
 * The manifest with one more update, for everyone at once: it has no waves yet.
 *
 * `max_version` becomes, for every update of the variant and arch, the greater of the new version and the `max_version` of
 * the first update in the file (Bottlerocket's rule).
 *
 * @throws GantryError `release/duplicate`; `release/not-newer` unless it is newer than all of the variant and arch;
 * `release/bad-version`, `release/bad-name`
 */
export function addUpdate(manifest: Manifest, added: NewUpdate): Manifest {
  const { images, imagesZstd } = added;
  const variant = checkName('variant', added.variant);
  const arch = checkName('arch', added.arch);
  const version = parseVersion(added.version);
  const isPeer = (update: Update): boolean => update.variant === variant && update.arch === arch;
  refuseUnlessNewest(manifest.updates.filter(isPeer), { variant, arch, version });
  const maxVersion = newest([version, ...manifest.updates.slice(0, 1).map(({ max_version }) => max_version)]);
  const update: Update = {
    variant,
    arch,
    version,
    max_version: maxVersion,
    waves: {},
    images,
    ...(imagesZstd === undefined ? {} : { images_zstd: imagesZstd }),
  };
  const raised = manifest.updates.map((other) => (isPeer(other) ? { ...other, max_version: maxVersion } : other));
  return { ...manifest, updates: [...raised, update] };
}

function refuseUnlessNewest(peers: readonly Update[], added: Pick<Update, 'variant' | 'arch' | 'version'>): void {
  const { variant, arch, version } = added;
  if (peers.some((peer) => peer.version === version)) {
    throw new GantryError(
      'release/duplicate',
      `Cannot add release ${version} of ${variant} ${arch}: it is released already; expected a new version`,
      { version, variant, arch },
    );
  }
  const latest = newest([version, ...peers.map((peer) => peer.version)]);
  if (latest === version) return;
  throw new GantryError(
    'release/not-newer',
    `Cannot add release ${version} of ${variant} ${arch}: ${latest} is released already; expected a newer version than that`,
    { version, newest: latest },
  );
}

function newest(versions: readonly [string, ...string[]]): string {
  return versions.reduce((best, version) => (compareVersions(version, best) > 0 ? version : best));
}

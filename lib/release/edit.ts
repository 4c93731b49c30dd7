/** Changes to a manifest, with the checks that Bottlerocket's tools leave to people. */
import { GantryError } from '../errors.ts';
import { findUpdate, isPeer, isSame, isWithdrawn, type UpdateName } from './find.ts';
import type { Images, Manifest, Update } from './manifest.ts';
import { stepKey, stepsOf } from './migrations.ts';
import { checkName, parseVersion } from './names.ts';
import { recallUpdate } from './recall.ts';
import { accelerateRollout, pauseRollout, replaceWaves, resumeRollout } from './rollout.ts';
import { compareVersions, newest } from './version-order.ts';
import { orderedSchedule, type Waves } from './waves.ts';

export interface NewUpdate extends UpdateName {
  readonly images: Images;
  readonly imagesZstd?: Images;
  /** Absent: everyone at once. */
  readonly waves?: Waves;
  /** The schedule that was meant, when `waves` makes stock hosts follow it. */
  readonly intended?: Waves;
  /** Absent: what stock tools choose. */
  readonly maxVersion?: string;
  readonly severity?: string;
  readonly notes?: string;
  /** Targets that take hosts of the newest version before it to this one; absent: the manifest's steps must lead here already. */
  readonly migrations?: readonly string[];
}

/** What a release engineer wants to be different in a manifest, as data that a draft can carry. Times are RFC 3339. */
export type ManifestEdit =
  | { readonly kind: 'add-update'; readonly update: NewUpdate }
  | { readonly kind: 'remove-update'; readonly update: UpdateName }
  | { readonly kind: 'set-waves'; readonly update: UpdateName; readonly waves: Waves; readonly intended?: Waves }
  | { readonly kind: 'pause-waves'; readonly update: UpdateName; readonly from: string; readonly at: string }
  | { readonly kind: 'resume-waves'; readonly update: UpdateName; readonly from: string; readonly at: string }
  | {
      readonly kind: 'accelerate-waves';
      readonly update: UpdateName;
      readonly from: string;
      readonly at: string;
      readonly factor: number;
    }
  | { readonly kind: 'recall'; readonly update: UpdateName; readonly to: string; readonly at: string }
  | { readonly kind: 'set-migrations'; readonly migrations: Manifest['migrations'] };

/** @throws GantryError `release/…` when it makes no sense for this manifest */
export function applyEdit(manifest: Manifest, edit: ManifestEdit): Manifest {
  switch (edit.kind) {
    case 'add-update':
      return addUpdate(manifest, edit.update);
    case 'remove-update':
      return removeUpdate(manifest, edit.update);
    case 'set-waves':
      checkSchedules(edit.waves, edit.intended);
      return steerUpdate(manifest, edit.update, (update) => replaceWaves(update, edit.waves, edit.intended));
    case 'pause-waves':
      return steerUpdate(manifest, edit.update, (update) => pauseRollout(update, new Date(edit.from), new Date(edit.at)));
    case 'resume-waves':
      return steerUpdate(manifest, edit.update, (update) => resumeRollout(update, new Date(edit.from), new Date(edit.at)));
    case 'accelerate-waves':
      return steerUpdate(manifest, edit.update, (update) => accelerateRollout(update, new Date(edit.from), new Date(edit.at), edit.factor));
    case 'recall':
      return recallUpdate(manifest, edit.update, edit.to, new Date(edit.at));
    case 'set-migrations':
      return { ...manifest, migrations: edit.migrations };
  }
}

/**
 * The manifest with one more update.
 *
 * `max_version` becomes, for every update of the variant and arch, the greater of the new version and the `max_version` of
 * the first update in the file (Bottlerocket's rule), or what the update states.
 *
 * @throws GantryError `release/duplicate`; `release/not-newer` unless it is newer than all of the variant and arch;
 * `release/withdrawn` when it would offer a recalled one again; `release/bad-version`, `release/bad-name`, `release/bad-waves`
 */
export function addUpdate(manifest: Manifest, added: NewUpdate): Manifest {
  const { images, imagesZstd, waves = {}, intended, severity, notes } = added;
  const variant = checkName('variant', added.variant);
  const arch = checkName('arch', added.arch);
  const version = parseVersion(added.version);
  const peers = manifest.updates.filter((update) => isPeer(update, { variant, arch }));
  refuseUnlessNewest(peers, { variant, arch, version });
  refuseWithdrawn(peers, version);
  checkSchedules(waves, intended);
  const maxVersion = maxVersionFor(manifest, version, added.maxVersion);
  const extras = {
    ...(severity === undefined ? {} : { severity }),
    ...(notes === undefined ? {} : { notes }),
    ...(intended === undefined ? {} : { waves: intended }),
  };
  const update: Update = {
    variant,
    arch,
    version,
    max_version: maxVersion,
    waves,
    images,
    ...(imagesZstd === undefined ? {} : { images_zstd: imagesZstd }),
    ...(Object.keys(extras).length === 0 ? {} : { gantry: extras }),
  };
  const raised = manifest.updates.map((other) => (isPeer(other, update) ? { ...other, max_version: maxVersion } : other));
  return connect({ ...manifest, updates: [...raised, update] }, update, added.migrations);
}

/** Both can be steered later. @throws GantryError `release/bad-waves` */
function checkSchedules(waves: Waves, intended: Waves = {}): void {
  orderedSchedule(waves);
  orderedSchedule(intended);
}

function maxVersionFor(manifest: Manifest, version: string, wanted: string | undefined): string {
  if (wanted === undefined) return newest([version, ...manifest.updates.slice(0, 1).map(({ max_version }) => max_version)]);
  if (compareVersions(parseVersion(wanted), version) >= 0) return wanted;
  throw new GantryError(
    'release/bad-version',
    `Cannot use ${wanted} as the highest version: the release itself is ${version}, and would be hidden; expected at least that`,
    { version: wanted },
  );
}

/** Stock hosts refuse to update when no chain of steps leads to the new version, even if nothing is to be migrated. */
function connect(manifest: Manifest, { variant, arch, version }: UpdateName, targets: readonly string[] | undefined): Manifest {
  if (targets === undefined) return manifest;
  const peers = manifest.updates.filter((update) => isPeer(update, { variant, arch })).map((update) => update.version);
  // Hosts may run a version that is not offered any more: the steps remember it.
  const known = [...peers, ...stepsOf(manifest.migrations).flatMap(({ from, to }) => [from, to])];
  const older = known.filter((other) => compareVersions(other, version) < 0);
  const [first, ...rest] = older;
  if (first === undefined) return manifest;
  const before = newest([first, ...rest]);
  const key = stepKey(before, version);
  return targets.length === 0 && Object.hasOwn(manifest.migrations, key)
    ? manifest
    : { ...manifest, migrations: { ...manifest.migrations, [key]: targets } };
}

/**
 * The manifest without the update; `max_version` of the others stays, so hosts that run it stay where they are.
 *
 * @throws GantryError `release/unknown`
 */
export function removeUpdate(manifest: Manifest, name: UpdateName): Manifest {
  findUpdate(manifest, name);
  return { ...manifest, updates: manifest.updates.filter((update) => !isSame(update, name)) };
}

/**
 * Every update of the name: a manifest that stock tools wrote may have one twice, and hosts take the first.
 *
 * @throws GantryError `release/unknown`; `release/withdrawn`: nobody is offered a recalled release, whatever its waves say
 */
function steerUpdate(manifest: Manifest, name: UpdateName, change: (update: Update) => Update): Manifest {
  const { variant, arch, version } = name;
  if (isWithdrawn(findUpdate(manifest, name))) {
    throw new GantryError(
      'release/withdrawn',
      `Cannot steer the rollout of ${version} of ${variant}/${arch}: it was recalled, and nobody is offered it; expected a release on offer`,
      { version },
    );
  }
  return { ...manifest, updates: manifest.updates.map((update) => (isSame(update, name) ? change(update) : update)) };
}

function refuseUnlessNewest(peers: readonly Update[], added: UpdateName): void {
  const { variant, arch, version } = added;
  if (peers.some((peer) => peer.version === version)) {
    throw new GantryError(
      'release/duplicate',
      `Cannot add release ${version} of ${variant}/${arch}: it is released already; expected a new version`,
      { version, variant, arch },
    );
  }
  const latest = newest([version, ...peers.map((peer) => peer.version)]);
  if (latest === version) return;
  throw new GantryError(
    'release/not-newer',
    `Cannot add release ${version} of ${variant}/${arch}: ${latest} is released already; expected a newer version than that`,
    { version, newest: latest },
  );
}

/** Raising `max_version` over a recalled release would offer it again. */
function refuseWithdrawn(peers: readonly Update[], version: string): void {
  const withdrawn = peers.find(isWithdrawn);
  if (withdrawn === undefined) return;
  throw new GantryError(
    'release/withdrawn',
    `Cannot add release ${version}: ${withdrawn.version} was recalled, and would be offered again beside it; expected it to be removed first`,
    { version: withdrawn.version },
  );
}

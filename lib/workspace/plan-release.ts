/**
 * A release before its images are read: the changes that it will be, as far as they are known by then.
 *
 * Rules:
 * - every name is known, or all of it that people choose; lengths and digests are not, and stand empty;
 * - no two files of a release have one name, and no file of the publisher's own takes a name that the manifest gives away.
 */
import { GantryError, quote } from '../errors.ts';
import type { NewUpdate } from '../release/edit.ts';
import { imageTargetsOf } from '../release/image-targets.ts';
import type { Offer } from '../release/lint.ts';
import type { Images } from '../release/manifest.ts';
import { imageTargetName, type Compression } from '../release/names.ts';
import { MANIFEST_PATH, type Change } from '../repository/draft.ts';
import { sha256Hex } from '../tuf/hash.ts';
import { TargetPath } from '../tuf/target-path.ts';
import type { ReleaseInput } from './prepare-release.ts';
import { migrationTarget } from './prepare-targets.ts';
import type { Workspace } from './workspace.ts';

/** Stands for the digits of a root image that nobody has read yet. */
const UNKNOWN_BUILD = '00000000';
const UNKNOWN_FILE = { length: 0, hashes: { sha256: sha256Hex(new Uint8Array()) } } as const;
const IMAGE_END = /-(?:boot\.ext4|root\.ext4|root\.verity)\.(?:lz4|zst)(?:\.frames)?$/u;

/**
 * @param standing what the release comes on top of
 * @throws GantryError `release/bad-name`, `release/bad-version`, `tuf/bad-target-path`
 */
export function planRelease(workspace: Workspace, input: ReleaseInput, standing: Offer): readonly Change[] {
  const { repository, version, about, migrations } = input;
  const files = (migrations?.files ?? []).map(migrationTarget);
  const extra = (input.extraTargets ?? []).map(({ name }) => TargetPath.parse(name).memberName());
  const [zst, lz4] = [imagesOf(workspace, input, 'zst'), imagesOf(workspace, input, 'lz4')];
  const published = input.compression === 'both' ? [lz4, zst] : [input.compression === 'zstd' ? zst : lz4];
  const images = published.flatMap(({ boot, root, hash }) => [boot, root, hash]);
  refuseTwice(files, 'migration');
  refuseTwice(extra, 'extra target');
  refuseUnnamed(input, files);
  for (const name of extra) refuseTaken(name, { standing, images: [zst, lz4], migrations: files, input });
  const steps = migrations?.steps;
  const update: NewUpdate = {
    ...repository,
    version,
    images: input.compression === 'zstd' ? zst : lz4,
    ...(input.compression === 'both' ? { imagesZstd: zst } : {}),
    ...about,
    ...(steps === undefined ? { migrations: files } : {}),
  };
  return [
    ...[...images, ...files, ...extra].map((path): Change => ({ kind: 'put-target', path, file: UNKNOWN_FILE })),
    ...(steps === undefined ? [] : [{ kind: 'set-migrations', migrations: steps } as const]),
    { kind: 'add-update', update },
  ];
}

function imagesOf(workspace: Workspace, { repository, version, build = UNKNOWN_BUILD }: ReleaseInput, compression: Compression): Images {
  const { product } = workspace.config;
  const { variant, arch } = repository;
  const nameOf = (image: keyof Images): string => imageTargetName({ product, variant, arch, version, build, image, compression });
  return { boot: nameOf('boot'), root: nameOf('root'), hash: nameOf('hash') };
}

function refuseTwice(names: readonly string[], what: 'migration' | 'extra target'): void {
  const again = names.find((name, index) => names.indexOf(name) !== index);
  if (again !== undefined) throw badName(what, again, 'two files of the release have it; expected each name once');
}

/** Hosts run what the steps name: a file beside them is a step that was forgotten. */
function refuseUnnamed({ migrations }: ReleaseInput, files: readonly string[]): void {
  if (migrations?.steps === undefined) return;
  const named = new Set(Object.values(migrations.steps).flat());
  const unnamed = files.find((file) => !named.has(file));
  if (unnamed !== undefined) throw badName('migration', unnamed, 'no step of Release.toml names it; expected it in one of them');
}

function refuseTaken(
  name: string,
  taken: {
    readonly standing: Offer;
    readonly images: readonly Images[];
    readonly migrations: readonly string[];
    readonly input: ReleaseInput;
  },
): void {
  const { standing, images, migrations, input } = taken;
  const refuse = (owner: string): GantryError => badName('extra target', name, `${owner} has it; expected a name of its own`);
  if (name === MANIFEST_PATH) throw refuse('the manifest');
  if (migrations.includes(name)) throw refuse('a migration of the release');
  // Without --build the digits that come are not known: whatever they are, the name is the release's.
  const own = images.flatMap(({ boot, root, hash }) => [boot, root, hash]);
  const start = own[0]?.split(UNKNOWN_BUILD)[0] ?? '';
  const isOwn = own.some((image) => name === image || name === `${image}.frames`);
  if (isOwn || (input.build === undefined && name.startsWith(start) && IMAGE_END.test(name))) throw refuse('an image of the release');
  const { manifest, targets } = standing;
  if (Object.values(manifest.migrations).flat().includes(name)) throw refuse('a migration of an older release');
  const holder = manifest.updates.find((update) => imageTargetsOf(update, targets).includes(name));
  if (holder !== undefined) throw refuse(`an image of ${holder.version}`);
}

function badName(what: string, name: string, problem: string): GantryError {
  const whose = what === 'migration' ? 'the migration' : 'the target';
  return new GantryError('release/bad-name', `Cannot release ${whose} ${quote(name)}: ${problem}`, { what, name });
}

/**
 * From three partition images, and what goes along with them, to the changes that make them a release.
 *
 * Rules:
 * - an image is read once per form that is asked for, once more when it may be in the cache, and refused when it changed meanwhile;
 * - boot, root and hash image must belong together, unless that is asked not to be looked at;
 * - what is prepared lies in the workspace's objects by digest; nothing is published here;
 * - the raw bytes are measured as they pass, so a host can check what it wrote after decompression.
 */
import { GantryError, quote, type LintFinding } from '../errors.ts';
import { openStableFile } from '../files/read.ts';
import type { Change } from '../repository/draft.ts';
import { imageCustom } from '../release/custom.ts';
import type { NewUpdate } from '../release/edit.ts';
import type { Manifest } from '../release/manifest.ts';
import { buildIdFrom, imageTargetName, parseVersion, type Compression, type ImageKind } from '../release/names.ts';
import type { JsonObject } from '../tuf/types.ts';
import { compressImage, type CompressedImage, type PrepareProgress } from './compress-image.ts';
import type { RepositoryName } from './config.ts';
import { sourceName, sourcePath, type ImageSource } from './image-source.ts';
import type { ObjectRef } from './objects.ts';
import { checkMigration, prepareExtraTarget, prepareMigration, type ExtraTarget, type PreparedTarget } from './prepare-targets.ts';
import { checkVerityQuickly, withVerityCheck, type VerityCheck } from './verity-check.ts';
import type { Workspace } from './workspace.ts';

export interface ReleaseInput {
  readonly repository: RepositoryName;
  /** SemVer. */
  readonly version: string;
  /** The images: raw, lz4 or zstd. */
  readonly images: Readonly<Record<ImageKind, ImageSource>>;
  /** What was noticed when they were looked for. */
  readonly findings?: readonly LintFinding[];
  readonly compression: 'zstd' | 'lz4' | 'both';
  /** zstd level, 1 to 22. */
  readonly level: number;
  /** Part of the target names; by default the first 8 digits of the raw root image's digest. */
  readonly build?: string;
  /** What the manifest says of the release beside its images. */
  readonly about?: Pick<NewUpdate, 'waves' | 'intended' | 'maxVersion' | 'severity' | 'notes'>;
  readonly migrations?: MigrationInput;
  readonly extraTargets?: readonly ExtraTarget[];
  /** Whether boot, root and hash image must belong together by dm-verity; they must by default. */
  readonly verity?: 'check' | 'skip';
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: PrepareProgress) => void;
}

export interface MigrationInput {
  /** Paths, in the order in which they run. */
  readonly files: readonly string[];
  /** Every step there is, as Release.toml lists them; absent: the files are the step from the release before. */
  readonly steps?: Manifest['migrations'];
}

export interface PreparedRelease {
  readonly version: string;
  readonly build: string;
  readonly changes: readonly Change[];
  readonly targets: readonly PreparedTarget[];
  /** Images that were compressed already and are published as they are. */
  readonly asTheyAre: readonly ImageKind[];
  /** Of the root image; absent when it was not looked at. */
  readonly rootHash?: string;
  /** What may be wrong with how the images belong together. */
  readonly findings: readonly LintFinding[];
  /** Targets that were compressed for an earlier release or try, and came out of the cache. */
  readonly reused: readonly string[];
  readonly rawBytes: number;
  readonly publishedBytes: number;
}

const IMAGES: readonly ImageKind[] = ['boot', 'root', 'hash'];

/**
 * @throws GantryError `release/bad-version`, `files/missing`, `files/not-readable`, `image/empty`, `image/bad-input`, `files/changed`,
 * `files/disk-full`; `image/bad-verity`, `image/verity-mismatch`, `image/not-blocks`, `image/root-hash`
 */
export async function prepareRelease(workspace: Workspace, input: ReleaseInput): Promise<PreparedRelease> {
  const version = parseVersion(input.version);
  if (input.verity === 'skip') return prepareChecked(workspace, input, version, undefined);
  return withVerityCheck(input.images, input.signal, async (verity) => prepareChecked(workspace, input, version, verity));
}

async function prepareChecked(
  workspace: Workspace,
  input: ReleaseInput,
  version: string,
  verity: VerityCheck | undefined,
): Promise<PreparedRelease> {
  const compressions: readonly Compression[] =
    input.compression === 'both' ? ['zst', 'lz4'] : [input.compression === 'zstd' ? 'zst' : 'lz4'];
  const compressed: CompressedImage[] = [];
  for (const image of IMAGES) {
    for (const [index, compression] of compressions.entries()) {
      const { level, signal, onProgress } = input;
      const optional = {
        ...(signal === undefined ? {} : { signal }),
        ...(onProgress === undefined ? {} : { onProgress }),
        // Of two readings, one is enough: both must have seen the same bytes.
        ...(verity === undefined || image !== 'root' || index > 0 ? {} : { inspection: verity }),
        ...(verity === undefined || image !== 'root' ? {} : { verity: verity.tree }),
      };
      compressed.push(await compressImage(workspace, { image, source: input.images[image], compression, level, ...optional }));
    }
  }
  refuseChanged(compressed, input);
  const migrations: PreparedTarget[] = [];
  for (const file of input.migrations?.files ?? []) migrations.push(await prepareMigration(workspace, file, input.signal));
  const extra: PreparedTarget[] = [];
  for (const target of input.extraTargets ?? []) extra.push(await prepareExtraTarget(workspace, target));
  return {
    ...describeRelease(workspace, input, version, { compressed, migrations, extra }),
    ...(verity === undefined ? {} : { rootHash: verity.tree.rootHash }),
    findings: [...(input.findings ?? []), ...(verity?.findings ?? [])],
  };
}

/**
 * Fails before minutes of compression, not after.
 *
 * @throws GantryError `files/missing`, `files/not-readable`, `image/empty`, `image/bad-input`, and like `withVerityCheck`
 */
export async function checkFiles(input: Pick<ReleaseInput, 'images' | 'migrations' | 'extraTargets' | 'verity' | 'signal'>): Promise<void> {
  const { images, migrations, extraTargets, verity, signal } = input;
  for (const image of IMAGES) await refuseUnusable(`the ${image} image`, images[image]);
  for (const file of migrations?.files ?? []) await checkMigration(file);
  for (const { name, file } of extraTargets ?? []) await refuseUnusable(`the target ${quote(name)}`, file);
  if (verity !== 'skip') await checkVerityQuickly(images, signal);
}

async function refuseUnusable(what: string, source: ImageSource): Promise<void> {
  const file = await openStableFile(source);
  try {
    if (file.lengthBytes > 0) return;
    throw new GantryError('image/empty', `Cannot release ${sourceName(source)} as ${what}: it is empty; expected some bytes`, {
      what: sourcePath(source),
    });
  } finally {
    await file.close();
  }
}

/** Two forms of one image are two readings: they must have seen the same bytes. */
function refuseChanged(compressed: readonly CompressedImage[], input: ReleaseInput): void {
  for (const one of compressed) {
    const other = compressed.find(({ image, raw }) => image === one.image && raw.sha256 !== one.raw.sha256);
    if (other === undefined) continue;
    const source = input.images[one.image];
    const path = sourcePath(source);
    throw new GantryError('files/changed', `Cannot release ${sourceName(source)}: it changed while it was read`, { path });
  }
}

interface Parts {
  readonly compressed: readonly CompressedImage[];
  readonly migrations: readonly PreparedTarget[];
  readonly extra: readonly PreparedTarget[];
}

function describeRelease(
  workspace: Workspace,
  input: ReleaseInput,
  version: string,
  parts: Parts,
): Omit<PreparedRelease, 'rootHash' | 'findings'> {
  const { compressed, migrations, extra } = parts;
  const { variant, arch } = input.repository;
  const root = compressed.find(({ image }) => image === 'root');
  if (root === undefined) throw new RangeError('a release has a root image');
  const build = input.build ?? buildIdFrom(root.raw.sha256);
  const nameOf = (image: ImageKind, compression: Compression): string =>
    imageTargetName({ product: workspace.config.product, variant, arch, version, build, image, compression });
  const images = compressed.flatMap((one) => imageTargets(nameOf(one.image, one.compression), one));
  const targets: readonly (PreparedTarget & { readonly custom?: JsonObject })[] = [...images, ...migrations, ...extra];
  const names = (compression: Compression): Record<ImageKind, string> => ({
    boot: nameOf('boot', compression),
    root: nameOf('root', compression),
    hash: nameOf('hash', compression),
  });
  const steps = input.migrations?.steps;
  const update: NewUpdate = {
    variant,
    arch,
    version,
    images: names(input.compression === 'zstd' ? 'zst' : 'lz4'),
    ...(input.compression === 'both' ? { imagesZstd: names('zst') } : {}),
    ...input.about,
    ...(steps === undefined ? { migrations: migrations.map(({ path }) => path) } : {}),
  };
  return {
    version,
    build,
    changes: [
      ...targets.map(({ path, object, custom }): Change => ({
        kind: 'put-target',
        path,
        file: { ...fileOf(object), ...(custom === undefined ? {} : { custom }) },
      })),
      ...(steps === undefined ? [] : [{ kind: 'set-migrations', migrations: steps } as const]),
      { kind: 'add-update', update },
    ],
    targets: targets.map(({ path, object }) => ({ path, object })),
    asTheyAre: compressed.filter(({ asItIs }) => asItIs).map(({ image }) => image),
    reused: compressed.filter(({ reused }) => reused).map(({ image, compression }) => nameOf(image, compression)),
    rawBytes: sum(IMAGES.map((image) => compressed.find((one) => one.image === image)?.raw.lengthBytes ?? 0)),
    publishedBytes: sum(targets.map(({ object }) => object.lengthBytes)),
  };
}

function imageTargets(
  path: string,
  { object, raw, frames }: CompressedImage,
): readonly (PreparedTarget & { readonly custom?: JsonObject })[] {
  if (frames === undefined) return [{ path, object, custom: imageCustom({ format: 'lz4', raw }) }];
  const table = `${path}.frames`;
  return [
    { path, object, custom: imageCustom({ format: 'zstd-frames', frames: table, raw }) },
    { path: table, object: frames },
  ];
}

function fileOf({ lengthBytes, sha256 }: ObjectRef): {
  readonly length: number;
  readonly hashes: { readonly sha256: ObjectRef['sha256'] };
} {
  return { length: lengthBytes, hashes: { sha256 } };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

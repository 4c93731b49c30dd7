/**
 * From three partition images to the changes that make them a release.
 *
 * Rules:
 * - an image is read once per form that is asked for, and refused when it changed meanwhile;
 * - what is prepared lies in the workspace's objects by digest; nothing is published here;
 * - the raw bytes are measured as they pass, so a host can check what it wrote after decompression.
 */
import { GantryError, quote } from '../errors.ts';
import { openStableFile } from '../files/read.ts';
import { encodeFrameTable, type Frame } from '../image/frame-table.ts';
import { compressLz4 } from '../image/lz4.ts';
import { measuring } from '../image/measure.ts';
import { compressFrames } from '../image/zstd.ts';
import type { Change } from '../repository/draft.ts';
import { imageCustom } from '../release/custom.ts';
import { buildIdFrom, imageTargetName, parseVersion, type Compression, type ImageKind } from '../release/names.ts';
import { parseSha256Hex } from '../tuf/hash.ts';
import type { RepositoryName } from './config.ts';
import { addObject, type ObjectRef } from './objects.ts';
import type { Workspace } from './workspace.ts';

export interface ReleaseInput {
  readonly repository: RepositoryName;
  /** SemVer. */
  readonly version: string;
  /** Paths of the raw images. */
  readonly images: Readonly<Record<ImageKind, string>>;
  readonly compression: 'zstd' | 'lz4' | 'both';
  /** zstd level, 1 to 22. */
  readonly level: number;
  /** Part of the target names; by default the first 8 digits of the raw root image's digest. */
  readonly build?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: PrepareProgress) => void;
}

/** Raw bytes read so far of one form of one image. */
export interface PrepareProgress {
  readonly image: ImageKind;
  readonly compression: Compression;
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface PreparedTarget {
  readonly path: string;
  readonly object: ObjectRef;
}

export interface PreparedRelease {
  readonly version: string;
  readonly build: string;
  readonly changes: readonly Change[];
  readonly targets: readonly PreparedTarget[];
  readonly rawBytes: number;
  readonly publishedBytes: number;
}

const IMAGES: readonly ImageKind[] = ['boot', 'root', 'hash'];

interface CompressedImage {
  readonly image: ImageKind;
  readonly compression: Compression;
  readonly object: ObjectRef;
  readonly raw: ObjectRef;
  readonly frames?: ObjectRef;
}

/**
 * @throws GantryError `release/bad-version`, `files/missing`, `files/not-readable`, `image/empty`, `files/changed`, `files/disk-full`
 */
export async function prepareRelease(workspace: Workspace, input: ReleaseInput): Promise<PreparedRelease> {
  const version = parseVersion(input.version);
  const compressions: readonly Compression[] =
    input.compression === 'both' ? ['zst', 'lz4'] : [input.compression === 'zstd' ? 'zst' : 'lz4'];
  const compressed: CompressedImage[] = [];
  for (const image of IMAGES) {
    for (const compression of compressions) compressed.push(await compressImage(workspace, input, image, compression));
  }
  refuseChanged(compressed, input);
  const root = compressed.find(({ image }) => image === 'root');
  if (root === undefined) throw new RangeError('a release has a root image');
  const build = input.build ?? buildIdFrom(root.raw.sha256);
  return describeRelease({ workspace, input, version, build, compressed });
}

/**
 * Fails before minutes of compression, not after.
 *
 * @throws GantryError `files/missing`, `files/not-readable`, `image/empty`
 */
export async function checkImages(images: ReleaseInput['images']): Promise<void> {
  for (const image of IMAGES) await refuseUnusable(image, images[image]);
}

async function refuseUnusable(image: ImageKind, path: string): Promise<void> {
  const file = await openStableFile(path);
  try {
    if (file.lengthBytes > 0) return;
    throw new GantryError('image/empty', `Cannot release ${quote(path)} as the ${image} image: it is empty; expected a partition image`, {
      what: path,
    });
  } finally {
    await file.close();
  }
}

async function compressImage(
  workspace: Workspace,
  input: ReleaseInput,
  image: ImageKind,
  compression: Compression,
): Promise<CompressedImage> {
  const { signal, onProgress } = input;
  const file = await openStableFile(input.images[image]);
  try {
    const raw = measuring(file.read(), (bytes) => {
      onProgress?.({ image, compression, bytes, totalBytes: file.lengthBytes });
    });
    const options = signal === undefined ? {} : { signal };
    const frames: Frame[] = [];
    const content =
      compression === 'zst'
        ? compressFrames(raw.stream, { ...options, level: input.level, onFrame: (frame) => frames.push(frame) })
        : compressLz4(raw.stream, { ...options, contentSizeBytes: file.lengthBytes });
    const object = await addObject(workspace, content);
    await file.assertUnchanged();
    const measured = raw.result();
    const rawRef: ObjectRef = { sha256: parseSha256Hex(measured.sha256), lengthBytes: measured.lengthBytes };
    if (compression === 'lz4') return { image, compression, object, raw: rawRef };
    const table = encodeFrameTable({ raw: rawRef, frames });
    return { image, compression, object, raw: rawRef, frames: await addObject(workspace, oneChunk(table)) };
  } finally {
    await file.close();
  }
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Two forms of one image are two readings: they must have seen the same bytes. */
function refuseChanged(compressed: readonly CompressedImage[], input: ReleaseInput): void {
  for (const one of compressed) {
    const other = compressed.find(({ image, raw }) => image === one.image && raw.sha256 !== one.raw.sha256);
    if (other === undefined) continue;
    const path = input.images[one.image];
    throw new GantryError('files/changed', `Cannot release ${quote(path)}: it changed while it was read`, { path });
  }
}

function describeRelease(parts: {
  readonly workspace: Workspace;
  readonly input: ReleaseInput;
  readonly version: string;
  readonly build: string;
  readonly compressed: readonly CompressedImage[];
}): PreparedRelease {
  const { workspace, input, version, build, compressed } = parts;
  const { variant, arch } = input.repository;
  const nameOf = (image: ImageKind, compression: Compression): string =>
    imageTargetName({ product: workspace.config.product, variant, arch, version, build, image, compression });
  const targets: PreparedTarget[] = [];
  const changes: Change[] = [];
  const put = (path: string, object: ObjectRef, custom?: ReturnType<typeof imageCustom>): void => {
    const file = { length: object.lengthBytes, hashes: { sha256: object.sha256 } };
    targets.push({ path, object });
    changes.push({ kind: 'put-target', path, file: custom === undefined ? file : { ...file, custom } });
  };
  for (const { image, compression, object, raw, frames } of compressed) {
    const path = nameOf(image, compression);
    if (frames === undefined) {
      put(path, object, imageCustom({ format: 'lz4', raw }));
    } else {
      put(path, object, imageCustom({ format: 'zstd-frames', frames: `${path}.frames`, raw }));
      put(`${path}.frames`, frames);
    }
  }
  const names = (compression: Compression): Record<ImageKind, string> => ({
    boot: nameOf('boot', compression),
    root: nameOf('root', compression),
    hash: nameOf('hash', compression),
  });
  const images = names(input.compression === 'zstd' ? 'zst' : 'lz4');
  changes.push({
    kind: 'add-update',
    update: { variant, arch, version, images, ...(input.compression === 'both' ? { imagesZstd: names('zst') } : {}) },
  });
  return {
    version,
    build,
    changes,
    targets,
    rawBytes: sum(IMAGES.map((image) => compressed.find((one) => one.image === image)?.raw.lengthBytes ?? 0)),
    publishedBytes: sum(targets.map(({ object }) => object.lengthBytes)),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/**
 * One partition image in one published form.
 *
 * Rules:
 * - an image is read as it is, or decompressed first when it comes as lz4 or zstd;
 * - lz4 that is asked for as lz4 is published byte for byte, after its content has been measured;
 * - zstd is always framed anew: hosts verify frame by frame, with a table that only we make;
 * - a form that was made before comes out of the workspace's cache.
 */
import { readWholeFile } from '../files/read.ts';
import { FRAMING_VERSION } from '../image/frame-codec.ts';
import { decodeFrameTable, encodeFrameTable, FRAME_TABLE_MAX_BYTES, type Frame, type TableVerity } from '../image/frame-table.ts';
import { compressLz4 } from '../image/lz4.ts';
import { measure, measuring } from '../image/measure.ts';
import { compressFrames } from '../image/zstd.ts';
import type { Compression, ImageKind } from '../release/names.ts';
import { parseSha256Hex } from '../tuf/hash.ts';
import type { CachedImage, VerityMark } from './image-cache.ts';
import { withImageFile, type ImageFile } from './image-file.ts';
import { sourceName, type ImageSource } from './image-source.ts';
import { addObject, objectPath, type ObjectRef } from './objects.ts';
import { reuseOrMake } from './reuse-image.ts';
import type { Workspace } from './workspace.ts';

/** Bytes of the image's file read so far, for one of its forms. */
export interface PrepareProgress {
  /** `check`: it is compared with what was made before, and nothing is compressed yet. */
  readonly step: 'check' | 'compress';
  readonly image: ImageKind;
  readonly compression: Compression;
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface CompressedImage {
  readonly image: ImageKind;
  readonly compression: Compression;
  readonly object: ObjectRef;
  readonly raw: ObjectRef;
  readonly frames?: ObjectRef;
  /** True when the file was lz4 already and is published as it is. */
  readonly asItIs: boolean;
  /** True when it was made before, and came out of the cache. */
  readonly reused: boolean;
}

export interface CompressOptions {
  readonly image: ImageKind;
  readonly source: ImageSource;
  readonly compression: Compression;
  /** zstd level, 1 to 22. */
  readonly level: number;
  /** The image's dm-verity tree, for its frame table. */
  readonly verity?: TableVerity;
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: PrepareProgress) => void;
  readonly inspection?: Inspection;
}

/** Somebody who looks at the raw image in passing. */
export interface Inspection {
  /** What is known once it has passed; a form in the cache of which it is known needs no other look. */
  readonly mark: VerityMark;
  /** What it throws ends the work. */
  readonly inspect: (raw: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;
}

/** One more when lz4.ts makes other bytes of the same input. */
const LZ4_FORM = 'lz4-v1';

/**
 * @throws GantryError `files/missing`, `files/not-readable`, `files/changed`, `files/disk-full`, `image/empty`; `image/bad-input` when a
 * compressed file cannot be decompressed
 */
export async function compressImage(workspace: Workspace, options: CompressOptions): Promise<CompressedImage> {
  const { image, source, compression } = options;
  return withImageFile(
    source,
    async (input) => {
      const isKept = input.form === 'lz4' && compression === 'lz4';
      const done = isKept ? await keepAsItIs(workspace, input, options) : await convertOrReuse(workspace, input, options);
      return { image, compression, ...(await withVerity(workspace, done, options.verity)) };
    },
    `release ${sourceName(source)} as the ${image} image`,
  );
}

async function keepAsItIs(workspace: Workspace, input: ImageFile, options: CompressOptions): Promise<Form> {
  const object = await addObject(workspace, input.file.read());
  return { object, raw: refOf(await measure(inspected(rawBytes(input, options), options))), asItIs: true, reused: false };
}

type Form = Omit<CompressedImage, 'image' | 'compression'>;

async function convertOrReuse(workspace: Workspace, input: ImageFile, options: CompressOptions): Promise<Form> {
  const { signal, compression, level, inspection } = options;
  const { verity, ...done } = await reuseOrMake(workspace, {
    form: compression === 'lz4' ? LZ4_FORM : `zst-l${level}-v${FRAMING_VERSION}-${process.versions['zstd'] ?? 'unknown'}`,
    ...(signal === undefined ? {} : { signal }),
    raw: (why) => rawBytes(input, why === 'check' ? options : silent(options), 'check'),
    make: async () => convert(workspace, input, options),
  });
  if (done.reused && inspection !== undefined && !isSameMark(verity, inspection.mark)) {
    for await (const _ of inspected(rawBytes(input, silent(options), 'check'), options));
  }
  return { ...done, asItIs: false };
}

function isSameMark(one: VerityMark | undefined, other: VerityMark): boolean {
  return one !== undefined && one.rootHash === other.rootHash && one.salt === other.salt && one.dataBlocks === other.dataBlocks;
}

async function convert(workspace: Workspace, input: ImageFile, options: CompressOptions): Promise<CachedImage> {
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const raw = measuring(inspected(rawBytes(input, options), options));
  const verity = options.inspection === undefined ? {} : { verity: options.inspection.mark };
  if (options.compression === 'lz4') {
    const { form, file } = input;
    const contentSizeBytes = form === 'raw' ? file.lengthBytes : (await measure(rawBytes(input, silent(options)))).lengthBytes;
    const object = await addObject(workspace, compressLz4(raw.stream, { ...signal, contentSizeBytes }));
    return { object, raw: refOf(raw.result()), ...verity };
  }
  const frames: Frame[] = [];
  const content = compressFrames(raw.stream, { ...signal, level: options.level, onFrame: (frame) => frames.push(frame) });
  const object = await addObject(workspace, content);
  const rawRef = refOf(raw.result());
  const table = encodeFrameTable({ raw: rawRef, frames });
  return { object, raw: rawRef, frames: await addObject(workspace, oneChunk(table)), ...verity };
}

/** What the cache has, and gets, is the table without: an image may get another tree. */
async function withVerity(workspace: Workspace, form: Form, verity: TableVerity | undefined): Promise<Form> {
  if (form.frames === undefined || verity === undefined) return form;
  const table = decodeFrameTable(await readWholeFile(objectPath(workspace, form.frames.sha256), { maxBytes: FRAME_TABLE_MAX_BYTES }));
  return { ...form, frames: await addObject(workspace, oneChunk(encodeFrameTable({ ...table, verity }))) };
}

function silent(options: CompressOptions): CompressOptions {
  return { ...options, onProgress: () => undefined };
}

function inspected(raw: AsyncIterable<Uint8Array>, { inspection }: CompressOptions): AsyncIterable<Uint8Array> {
  return inspection === undefined ? raw : inspection.inspect(raw);
}

function rawBytes(
  { file, raw }: ImageFile,
  { image, compression, signal, onProgress }: CompressOptions,
  step: PrepareProgress['step'] = 'compress',
): AsyncIterable<Uint8Array> {
  // What is hashed, or cut into frames, is done with a chunk before it asks for the next.
  const isShared = step === 'check' || compression === 'zst';
  return raw({
    signal,
    ...(isShared ? { memory: 'shared' } : {}),
    onProgress: (bytes) => onProgress?.({ step, image, compression, bytes, totalBytes: file.lengthBytes }),
  });
}

function refOf({ sha256, lengthBytes }: { readonly sha256: string; readonly lengthBytes: number }): ObjectRef {
  return { sha256: parseSha256Hex(sha256), lengthBytes };
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/**
 * One partition image in one published form.
 *
 * Rules:
 * - an image is read as it is, or decompressed first when it comes as lz4 or zstd;
 * - lz4 that is asked for as lz4 is published byte for byte, after its content has been measured;
 * - zstd is always framed anew: hosts verify frame by frame, with a table that only we make;
 * - a form that was made before comes out of the workspace's cache.
 */
import { GantryError, isGantryError, quote, refuseAborted } from '../errors.ts';
import { openStableFile, readWholeFile, type StableFile } from '../files/read.ts';
import { FRAMING_VERSION } from '../image/frame-codec.ts';
import { decodeFrameTable, encodeFrameTable, FRAME_TABLE_MAX_BYTES, type Frame, type TableVerity } from '../image/frame-table.ts';
import { compressLz4, decompressLz4 } from '../image/lz4.ts';
import { measure, measuring } from '../image/measure.ts';
import { compressFrames, decompressZstd } from '../image/zstd.ts';
import type { Compression, ImageKind } from '../release/names.ts';
import { parseSha256Hex } from '../tuf/hash.ts';
import type { CachedImage } from './image-cache.ts';
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
  readonly path: string;
  readonly compression: Compression;
  /** zstd level, 1 to 22. */
  readonly level: number;
  /** The image's dm-verity tree, for its frame table. */
  readonly verity?: TableVerity;
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: PrepareProgress) => void;
}

/** One more when lz4.ts makes other bytes of the same input. */
const LZ4_FORM = 'lz4-v1';
const CHUNK_BYTES = 1 << 20;

type InputForm = 'raw' | Compression;

/** No partition is larger, and no bomb fills the disk. */
const RAW_MAX_BYTES = 2 ** 40;
const MAGIC: readonly (readonly [InputForm, string])[] = [
  ['lz4', '04224d18'],
  ['zst', '28b52ffd'],
];

/**
 * @throws GantryError `files/missing`, `files/not-readable`, `files/changed`, `files/disk-full`, `image/empty`; `image/bad-input` when a
 * compressed file cannot be decompressed
 */
export async function compressImage(workspace: Workspace, options: CompressOptions): Promise<CompressedImage> {
  const file = await openStableFile(options.path);
  try {
    const form = await formOf(file);
    const done =
      form === 'lz4' && options.compression === 'lz4'
        ? await keepAsItIs(workspace, file, options)
        : await convertOrReuse(workspace, file, form, options);
    await file.assertUnchanged();
    return { image: options.image, compression: options.compression, ...(await withVerity(workspace, done, options.verity)) };
  } catch (error) {
    throw ofInput(error, options);
  } finally {
    await file.close();
  }
}

async function keepAsItIs(workspace: Workspace, file: StableFile, options: CompressOptions): Promise<Form> {
  const object = await addObject(workspace, file.read());
  return { object, raw: refOf(await measure(rawBytes(file, 'lz4', options))), asItIs: true, reused: false };
}

type Form = Omit<CompressedImage, 'image' | 'compression'>;

async function convertOrReuse(workspace: Workspace, file: StableFile, form: InputForm, options: CompressOptions): Promise<Form> {
  const { signal, compression, level } = options;
  const done = await reuseOrMake(workspace, {
    form: compression === 'lz4' ? LZ4_FORM : `zst-l${level}-v${FRAMING_VERSION}-${process.versions['zstd'] ?? 'unknown'}`,
    ...(signal === undefined ? {} : { signal }),
    raw: (why) => rawBytes(file, form, why === 'check' ? options : silent(options), 'check'),
    make: async () => convert(workspace, file, form, options),
  });
  return { ...done, asItIs: false };
}

async function convert(workspace: Workspace, file: StableFile, form: InputForm, options: CompressOptions): Promise<CachedImage> {
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const raw = measuring(rawBytes(file, form, options));
  if (options.compression === 'lz4') {
    const contentSizeBytes = form === 'raw' ? file.lengthBytes : (await measure(rawBytes(file, form, silent(options)))).lengthBytes;
    const object = await addObject(workspace, compressLz4(raw.stream, { ...signal, contentSizeBytes }));
    return { object, raw: refOf(raw.result()) };
  }
  const frames: Frame[] = [];
  const content = compressFrames(raw.stream, { ...signal, level: options.level, onFrame: (frame) => frames.push(frame) });
  const object = await addObject(workspace, content);
  const rawRef = refOf(raw.result());
  const table = encodeFrameTable({ raw: rawRef, frames });
  return { object, raw: rawRef, frames: await addObject(workspace, oneChunk(table)) };
}

/** The cache knows an image and no tree of it: what it has, and gets, is the table without. */
async function withVerity(workspace: Workspace, form: Form, verity: TableVerity | undefined): Promise<Form> {
  if (form.frames === undefined || verity === undefined) return form;
  const table = decodeFrameTable(await readWholeFile(objectPath(workspace, form.frames.sha256), { maxBytes: FRAME_TABLE_MAX_BYTES }));
  return { ...form, frames: await addObject(workspace, oneChunk(encodeFrameTable({ ...table, verity }))) };
}

function silent(options: CompressOptions): CompressOptions {
  return { ...options, onProgress: () => undefined };
}

function rawBytes(
  file: StableFile,
  form: InputForm,
  { image, compression, signal, onProgress }: CompressOptions,
  step: PrepareProgress['step'] = 'compress',
): AsyncIterable<Uint8Array> {
  // What is hashed, or cut into frames, is done with a chunk before it asks for the next; a decoder is not.
  const shared = form === 'raw' && (step === 'check' || compression === 'zst') ? Buffer.allocUnsafeSlow(CHUNK_BYTES) : undefined;
  const stream = counted(file.read(shared), (bytes) => {
    refuseAborted(signal);
    onProgress?.({ step, image, compression, bytes, totalBytes: file.lengthBytes });
  });
  if (form === 'raw') return stream;
  if (form === 'lz4') return decompressLz4(stream, { maxBytes: RAW_MAX_BYTES });
  return decompressZstd(stream, { maxBytes: RAW_MAX_BYTES, ...(signal === undefined ? {} : { signal }) });
}

async function* counted(source: AsyncIterable<Uint8Array>, onBytes: (bytes: number) => void): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    onBytes(bytes);
    yield chunk;
  }
}

async function formOf(file: StableFile): Promise<InputForm> {
  for await (const chunk of file.read()) {
    const start = Buffer.from(chunk.subarray(0, 4)).toString('hex');
    return MAGIC.find(([, magic]) => magic === start)?.[0] ?? 'raw';
  }
  return 'raw';
}

function refOf({ sha256, lengthBytes }: { readonly sha256: string; readonly lengthBytes: number }): ObjectRef {
  return { sha256: parseSha256Hex(sha256), lengthBytes };
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** A file of the engineer's that cannot be read is no attack. */
function ofInput(error: unknown, { image, path }: CompressOptions): unknown {
  if (!isGantryError(error, 'image/bad-lz4') && !isGantryError(error, 'image/bad-zstd') && !isGantryError(error, 'image/too-long'))
    return error;
  const problem = error.message.replace(/^Cannot [^:]*: /u, '');
  return new GantryError('image/bad-input', `Cannot release ${quote(path)} as the ${image} image: ${problem}`, { path }, { cause: error });
}

/** A partition image as a file: raw, or compressed as lz4 or zstd. */
import { GantryError, isGantryError, refuseAborted } from '../errors.ts';
import { openStableFile, type ChunkMemory, type StableFile } from '../files/read.ts';
import { decompressLz4 } from '../image/lz4.ts';
import { decompressZstd } from '../image/zstd.ts';
import type { Compression } from '../release/names.ts';
import { sourceName, sourcePath, type ImageSource } from './image-source.ts';

export type ImageForm = 'raw' | Compression;

/** No partition is larger, and no bomb fills the disk. */
const RAW_MAX_BYTES = 2 ** 40;
const MAGIC_BYTES = 4;
const MAGIC: readonly (readonly [Compression, string])[] = [
  ['lz4', '04224d18'],
  ['zst', '28b52ffd'],
];

export interface RawOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told the bytes of the file that were read so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
  /** Of the chunks of a raw image. */
  readonly memory?: ChunkMemory;
}

export interface ImageFile {
  readonly form: ImageForm;
  readonly file: StableFile;
  /** The image itself, from its start. */
  readonly raw: (options?: RawOptions) => AsyncIterable<Uint8Array>;
}

/**
 * Opens an image for some work, and closes it.
 *
 * @param purpose what is done with it, for errors: `release "boot.img" as the boot image`
 * @throws GantryError `files/missing`, `files/not-readable`, `files/changed`; `image/bad-input` when it cannot be decompressed
 */
export async function withImageFile<T>(
  source: ImageSource,
  work: (image: ImageFile) => Promise<T>,
  purpose = `read ${sourceName(source)}`,
): Promise<T> {
  const file = await openStableFile(source);
  try {
    const form = await formOf(file);
    const done = await work({ form, file, raw: (options = {}) => rawBytes(file, form, options) }).catch(async (error: unknown) => {
      // What is still being written looks broken: say that it changes, not how it looked.
      await file.assertUnchanged();
      throw ofInput(error, sourcePath(source), purpose);
    });
    await file.assertUnchanged();
    return done;
  } finally {
    await file.close();
  }
}

function rawBytes(file: StableFile, form: ImageForm, { signal, onProgress, memory }: RawOptions): AsyncIterable<Uint8Array> {
  const stream = counted(file.read(form === 'raw' ? memory : 'own'), (bytes) => {
    refuseAborted(signal);
    onProgress?.(bytes);
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

/** A file of the engineer's that cannot be read is no attack. */
function ofInput(error: unknown, path: string, purpose: string): unknown {
  if (!isGantryError(error, 'image/bad-lz4') && !isGantryError(error, 'image/bad-zstd') && !isGantryError(error, 'image/too-long'))
    return error;
  const problem = error.message.replace(/^Cannot [^:]*: /u, '');
  return new GantryError('image/bad-input', `Cannot ${purpose}: ${problem}`, { path }, { cause: error });
}

async function formOf(file: StableFile): Promise<ImageForm> {
  return compressedForm(await file.readAt(0, MAGIC_BYTES)) ?? 'raw';
}

/** What the bytes that a file begins with say that it is compressed with. */
export function compressedForm(head: Uint8Array): Compression | undefined {
  const start = Buffer.from(head.subarray(0, MAGIC_BYTES)).toString('hex');
  return MAGIC.find(([, magic]) => magic === start)?.[0];
}

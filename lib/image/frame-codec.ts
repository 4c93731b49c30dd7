/**
 * One zstd frame, made or undone by synchronous calls: the part of framed zstd that runs in worker threads.
 *
 * zlib and crypto are called synchronously, because a thread has nothing else to do and hops between threads cost time.
 */
import { hash } from 'node:crypto';
import { constants, zstdCompressSync, zstdDecompressSync, type ZstdOptions } from 'node:zlib';
import { GantryError } from '../errors.ts';
import { FRAME_MAX_BYTES, FRAME_RAW_BYTES, type Frame } from './frame-table.ts';
import type { JobResult } from './worker-serve.ts';
import { isOneFrame } from './zstd-structure.ts';

/** A frame never needs a window beyond its own raw bytes. */
const FRAME_WINDOW_LOG: number = Math.log2(FRAME_RAW_BYTES);
/** What else than input, level and library decides over the bytes: one more when a frame of the same would get others. */
export const FRAMING_VERSION = 2;
/**
 * Where the library's own choice for inputs of this size can be bettered: it wants matches of five bytes, which suits long streams. In a
 * frame of 1 MiB matches of four find more. At level 3, the default, smaller tables, which stay in a core's cache, take 8 % less time than
 * the library's choice for 0.1 % more bytes (measured on root images); at level 4 the gain is taken in bytes.
 */
const BETTER_IN_FRAMES: ReadonlyMap<number, Readonly<Record<number, number>>> = new Map([
  [3, { [constants.ZSTD_c_minMatch]: 4, [constants.ZSTD_c_hashLog]: 16, [constants.ZSTD_c_chainLog]: 14 }],
  [4, { [constants.ZSTD_c_minMatch]: 4 }],
]);
/** zlib refuses smaller pieces. */
const CHUNK_MIN_BYTES = 64;

export interface CompressFrameInput {
  /** Handed over, and back with the output. */
  readonly raw: ArrayBuffer;
  /** Of the image's bytes in it. */
  readonly rawLengthBytes: number;
  /** zstd level, 1 to 22. */
  readonly level: number;
}

export interface CompressFrameOutput {
  /** The input's, to be filled again. */
  readonly raw: ArrayBuffer;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly frame: Omit<Frame, 'offset'>;
}

/** How a frame is compressed. */
export function frameOptions(level: number, rawLengthBytes: number): ZstdOptions {
  return {
    // Room for the worst case: the library then compresses from one buffer to the other in one call.
    chunkSize: FRAME_MAX_BYTES,
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: 1,
      [constants.ZSTD_c_contentSizeFlag]: 1,
      ...BETTER_IN_FRAMES.get(level),
    },
    pledgedSrcSize: rawLengthBytes,
  };
}

/** The same bytes for the same input, level and library. */
export function compressFrameJob({ raw, rawLengthBytes, level }: CompressFrameInput): JobResult<CompressFrameOutput> {
  const input = new Uint8Array(raw, 0, rawLengthBytes);
  const compressed = zstdCompressSync(input, frameOptions(level, rawLengthBytes));
  const bytes = ownBytes(compressed, FRAME_MAX_BYTES);
  const frame = {
    lengthBytes: bytes.length,
    sha256: hash('sha256', bytes, 'hex'),
    rawLengthBytes,
    rawSha256: hash('sha256', input, 'hex'),
  };
  return { output: { raw, bytes, frame }, transfer: [raw, bytes.buffer] };
}

export interface DecompressFrameInput {
  /** Authenticated before. */
  readonly bytes: Uint8Array;
  readonly frame: Pick<Frame, 'rawLengthBytes'> & Partial<Pick<Frame, 'rawSha256'>>;
  /** For messages. */
  readonly index: number;
}

export interface DecompressFrameOutput {
  readonly raw: Uint8Array<ArrayBuffer>;
}

/** @throws GantryError `image/bad-frame` when it is not exactly one frame of that length and digest */
export function decompressFrameJob({ bytes, frame, index }: DecompressFrameInput): JobResult<DecompressFrameOutput> {
  if (!isOneFrame(bytes)) throw badFrame(index, 'it is not exactly one zstd frame');
  // One byte more than will come: zlib asks for another buffer when the first one is full.
  const chunkSize = Math.max(frame.rawLengthBytes + 1, CHUNK_MIN_BYTES);
  let raw: Buffer;
  try {
    raw = zstdDecompressSync(bytes, {
      maxOutputLength: frame.rawLengthBytes,
      chunkSize,
      params: { [constants.ZSTD_d_windowLogMax]: FRAME_WINDOW_LOG },
    });
  } catch (cause) {
    throw badFrame(index, 'it does not decompress to the length that was signed', cause);
  }
  if (raw.length !== frame.rawLengthBytes)
    throw badFrame(index, `it decompresses to ${raw.length} bytes; expected ${frame.rawLengthBytes}`);
  const { rawSha256 } = frame;
  const found = rawSha256 === undefined ? undefined : hash('sha256', raw, 'hex');
  if (found !== rawSha256) throw badFrame(index, `its raw SHA-256 is ${found}; expected ${rawSha256}`);
  const own = ownBytes(raw, chunkSize);
  return { output: { raw: own }, transfer: [own.buffer] };
}

function badFrame(index: number, problem: string, cause?: unknown): GantryError {
  return new GantryError('image/bad-frame', `Cannot decompress frame ${index}: ${problem}`, { frame: index }, { cause });
}

/**
 * The same bytes in a buffer that may change hands. zlib's is one when it holds a chunk and nothing else; a part of Node's pool is not.
 * Its unused end was never touched and takes no memory, and left here it would wait for this thread's garbage collector.
 */
function ownBytes(bytes: Uint8Array, chunkBytes: number): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, length } = bytes;
  const isOwn = buffer instanceof ArrayBuffer && buffer.byteLength === chunkBytes;
  return isOwn ? new Uint8Array(buffer, byteOffset, length) : new Uint8Array(bytes);
}

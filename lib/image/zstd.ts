/**
 * Framed zstd: independent frames of 1 MiB of raw data, one after the other (design D8).
 *
 * Rules:
 * - the concatenation is an ordinary `.zst` file for any tool;
 * - the same input, level and library give the same bytes;
 * - memory is what is in flight: `concurrency` blocks and their frames;
 * - whoever decompresses says how much may come out.
 */
import { hash } from 'node:crypto';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { constants, createZstdDecompress, zstdCompress, zstdDecompress } from 'node:zlib';
import { GantryError, refuseAborted } from '../errors.ts';
import { blocksOf } from './blocks.ts';
import { FRAME_RAW_BYTES, type Frame } from './frame-table.ts';
import { isOneFrame, ZstdStructure, ZstdStructureError } from './zstd-structure.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
/** Node's zlib works in libuv's pool of four threads; more in flight only costs memory. */
const DEFAULT_CONCURRENCY = 4;
/** 128 MiB: what a decoder must be ready for by the format's recommendation. */
const MAX_WINDOW_LOG = 27;
/** A frame never needs a window beyond its own raw bytes. */
const FRAME_WINDOW_LOG: number = Math.log2(FRAME_RAW_BYTES);
const CHUNK_BYTES = 1 << 20;
const LEVEL_MAX = 22;

export interface CompressOptions {
  /** 1 to 22. */
  readonly level: number;
  /** Frames in flight. */
  readonly concurrency?: number;
  readonly signal?: AbortSignal;
  /** Told each frame in order, before its bytes are handed out. */
  readonly onFrame?: (frame: Frame) => void;
}

/**
 * One whole frame at a time, in order.
 *
 * @throws GantryError `image/empty`, `aborted`; RangeError for a level or a concurrency that there is not
 */
export async function* compressFrames(
  source: AsyncIterable<Uint8Array>,
  options: CompressOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { concurrency = DEFAULT_CONCURRENCY, signal, onFrame } = options;
  // zstd itself would quietly take the nearest level.
  if (!Number.isInteger(options.level) || options.level < 1 || options.level > LEVEL_MAX) {
    throw new RangeError(`the level is ${options.level}; expected 1 to ${LEVEL_MAX}`);
  }
  if (!Number.isInteger(concurrency) || concurrency < 1) throw new RangeError(`the concurrency is ${concurrency}; expected 1 or more`);
  const inFlight: Promise<CompressedFrame>[] = [];
  let offset = 0;
  const takeFirst = async (): Promise<Uint8Array | undefined> => {
    const done = await inFlight.shift();
    if (done === undefined) return undefined;
    onFrame?.({ ...done.frame, offset });
    offset += done.bytes.length;
    return done.bytes;
  };
  try {
    for await (const block of blocksOf(source, FRAME_RAW_BYTES)) {
      refuseAborted(signal);
      inFlight.push(compressFrame(block, options.level));
      const bytes = inFlight.length < concurrency ? undefined : await takeFirst();
      if (bytes !== undefined) yield bytes;
    }
    for (let bytes = await takeFirst(); bytes !== undefined; bytes = await takeFirst()) yield bytes;
  } finally {
    await Promise.allSettled(inFlight);
  }
  if (offset === 0)
    throw new GantryError('image/empty', 'Cannot compress the image: it is empty; expected at least one byte', { what: 'image' });
}

interface CompressedFrame {
  readonly bytes: Uint8Array;
  readonly frame: Omit<Frame, 'offset'>;
}

async function compressFrame(raw: Uint8Array, level: number): Promise<CompressedFrame> {
  const bytes = await compress(raw, {
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: 1,
      [constants.ZSTD_c_contentSizeFlag]: 1,
    },
    pledgedSrcSize: raw.length,
  });
  return {
    bytes,
    frame: {
      lengthBytes: bytes.length,
      sha256: hash('sha256', bytes, 'hex'),
      rawLengthBytes: raw.length,
      rawSha256: hash('sha256', raw, 'hex'),
    },
  };
}

/**
 * The raw bytes of one frame that was authenticated before.
 *
 * @throws GantryError `image/bad-frame` when it is not exactly one frame of that length and digest
 */
export async function decompressFrame(
  bytes: Uint8Array,
  frame: Pick<Frame, 'rawLengthBytes' | 'rawSha256'>,
  index: number,
): Promise<Uint8Array> {
  if (!isOneFrame(bytes)) throw badFrame(index, 'it is not exactly one zstd frame');
  let raw: Buffer;
  try {
    raw = await decompress(bytes, {
      maxOutputLength: frame.rawLengthBytes,
      chunkSize: Math.max(frame.rawLengthBytes, 64),
      params: { [constants.ZSTD_d_windowLogMax]: FRAME_WINDOW_LOG },
    });
  } catch (cause) {
    throw badFrame(index, 'it does not decompress to the length that was signed', cause);
  }
  if (raw.length !== frame.rawLengthBytes)
    throw badFrame(index, `it decompresses to ${raw.length} bytes; expected ${frame.rawLengthBytes}`);
  const found = hash('sha256', raw, 'hex');
  if (found !== frame.rawSha256) throw badFrame(index, `its raw SHA-256 is ${found}; expected ${frame.rawSha256}`);
  return raw;
}

/**
 * Any `.zst` file as a stream, several frames included.
 *
 * Bytes behind the last frame that start no other one are refused, as `zstd` does.
 *
 * @throws GantryError `image/bad-zstd`, `image/too-long` when more than `maxBytes` come out, `aborted`
 */
export async function* decompressZstd(
  source: AsyncIterable<Uint8Array>,
  options: { readonly maxBytes: number; readonly signal?: AbortSignal },
): AsyncGenerator<Uint8Array, void, undefined> {
  const input = Readable.from(wholeFrames(source), { objectMode: false, highWaterMark: CHUNK_BYTES });
  const decoder = createZstdDecompress({ chunkSize: CHUNK_BYTES, params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG } });
  let sourceError: unknown;
  input.once('error', (error) => {
    sourceError = error;
    decoder.destroy(error);
  });
  let lengthBytes = 0;
  try {
    input.pipe(decoder);
    for await (const chunk of decoder as AsyncIterable<Buffer>) {
      refuseAborted(options.signal);
      lengthBytes += chunk.length;
      if (lengthBytes > options.maxBytes) {
        throw new GantryError(
          'image/too-long',
          `Cannot decompress the image: more than ${options.maxBytes} bytes came out; expected at most that`,
          {
            maxBytes: options.maxBytes,
          },
        );
      }
      yield chunk;
    }
  } catch (error) {
    const cause = sourceError ?? error;
    if (!(cause instanceof ZstdStructureError) && (sourceError !== undefined || !isZlibError(cause))) throw cause;
    throw new GantryError(
      'image/bad-zstd',
      `Cannot decompress the image: its zstd data is damaged or cut short, after ${lengthBytes} raw bytes`,
      { offset: lengthBytes },
      { cause },
    );
  } finally {
    input.destroy();
    decoder.destroy();
  }
}

/** The bytes as they came, as long as they are zstd frames. */
async function* wholeFrames(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const structure = new ZstdStructure();
  for await (const chunk of source) {
    structure.follow(chunk);
    yield chunk;
  }
  structure.end();
}

function isZlibError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && /^(Z|ERR_ZSTD|ZSTD)/u.test(error.code);
}

function badFrame(index: number, problem: string, cause?: unknown): GantryError {
  return new GantryError('image/bad-frame', `Cannot decompress frame ${index}: ${problem}`, { frame: index }, { cause });
}

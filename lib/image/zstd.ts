/**
 * Framed zstd: independent frames of 1 MiB of raw data, one after the other (design D8).
 *
 * Rules:
 * - the concatenation is an ordinary `.zst` file for any tool;
 * - the same input, level and library give the same bytes, whatever the number of threads;
 * - frames are made and undone by worker threads; memory is what is in flight: three blocks and their frames for each thread;
 * - a frame of zeros alone is made once and used again;
 * - whoever decompresses says how much may come out.
 */
import { Readable } from 'node:stream';
import { constants, createZstdDecompress } from 'node:zlib';
import { GantryError, refuseAborted } from '../errors.ts';
import { blocksOf } from './blocks.ts';
import { ByteReader } from './byte-reader.ts';
import type { CompressFrameOutput } from './frame-codec.ts';
import { FRAME_RAW_BYTES, type Frame } from './frame-table.ts';
import { inOrder, sharedPool, type WorkerPool } from './worker-pool.ts';
import { ZstdStructure, ZstdStructureError } from './zstd-structure.ts';

/** 128 MiB: what a decoder must be ready for by the format's recommendation. */
const MAX_WINDOW_LOG = 27;
const CHUNK_BYTES = 1 << 20;
const LEVEL_MAX = 22;
/** One under way, one at hand for the thread, and one that is being filled or written. */
const BLOCKS_PER_THREAD = 3;
const HASHES_AT_ONCE = 4;
const ZEROS: Buffer = Buffer.alloc(FRAME_RAW_BYTES);

export interface CompressOptions {
  /** 1 to 22. */
  readonly level: number;
  /** The process's own by default. */
  readonly pool?: WorkerPool;
  readonly signal?: AbortSignal;
  /** Told each frame in order, before its bytes are handed out. */
  readonly onFrame?: (frame: Frame) => void;
}

/**
 * One whole frame at a time, in order. The source's chunks are copied at once: it may use their memory again.
 *
 * @throws GantryError `image/empty`, `image/worker-died`, `aborted`; RangeError for a level that there is not
 */
export async function* compressFrames(
  source: AsyncIterable<Uint8Array>,
  options: CompressOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { level, pool = sharedPool(), signal, onFrame } = options;
  // zstd itself would quietly take the nearest level.
  if (!Number.isInteger(level) || level < 1 || level > LEVEL_MAX) {
    throw new RangeError(`the level is ${level}; expected 1 to ${LEVEL_MAX}`);
  }
  const spare: ArrayBuffer[] = [];
  const compress = async (block: Uint8Array<ArrayBuffer>): Promise<CompressedFrame> => {
    const input = { raw: block.buffer, rawLengthBytes: block.length, level };
    const { raw, ...done } = await pool.run('compress-frame', input, { transfer: [block.buffer], signal });
    spare.push(raw);
    return done;
  };
  let zeros: Promise<CompressedFrame> | undefined;
  const compressOrReuse = async (block: Uint8Array<ArrayBuffer>): Promise<CompressedFrame> => {
    if (!ZEROS.equals(block)) return compress(block);
    if (zeros === undefined) return (zeros = compress(block));
    spare.push(block.buffer);
    return zeros;
  };
  const blocks = blocksOf(source, FRAME_RAW_BYTES, () => spare.pop());
  let offset = 0;
  for await (const { bytes, frame } of inOrder(blocks, compressOrReuse, { atOnce: pool.threads * BLOCKS_PER_THREAD, signal })) {
    onFrame?.({ ...frame, offset });
    offset += bytes.length;
    yield bytes;
  }
  if (offset === 0)
    throw new GantryError('image/empty', 'Cannot compress the image: it is empty; expected at least one byte', { what: 'image' });
}

type CompressedFrame = Omit<CompressFrameOutput, 'raw'>;

export interface FrameOptions {
  /** The process's own by default. */
  readonly pool?: WorkerPool;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The raw bytes of one frame that was authenticated before, in memory of their own.
 *
 * @throws GantryError `image/bad-frame` when it is not exactly one frame of that length and digest, `image/worker-died`, `aborted`
 */
export async function decompressFrame(
  bytes: Uint8Array,
  frame: Pick<Frame, 'rawLengthBytes' | 'rawSha256'>,
  index: number,
  options: FrameOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  // A copy of its own changes hands: the given bytes may be a part of something larger.
  return decompressOwnFrame(new Uint8Array(bytes), frame, index, options);
}

/** Like `decompressFrame`, of bytes that are a buffer of their own: it changes hands. */
export async function decompressOwnFrame(
  bytes: Uint8Array<ArrayBuffer>,
  { rawLengthBytes, rawSha256 }: Pick<Frame, 'rawLengthBytes' | 'rawSha256'>,
  index: number,
  { pool = sharedPool(), signal }: FrameOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const input = { bytes, frame: { rawLengthBytes, rawSha256 }, index };
  return (await pool.run('decompress-frame', input, { transfer: [bytes.buffer], signal })).raw;
}

/** True when the source is these frames, one after the other, and nothing else; they are hashed beside the reading, on Node's own threads. */
export async function isMadeOf(
  source: AsyncIterable<Uint8Array>,
  frames: readonly Pick<Frame, 'lengthBytes' | 'sha256'>[],
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<boolean> {
  const reader = new ByteReader(source);
  async function* parts(): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    for (const { lengthBytes } of frames) yield await reader.take(lengthBytes);
  }
  const hashOf = async (part: Uint8Array<ArrayBuffer>): Promise<string> =>
    Buffer.from(await crypto.subtle.digest('SHA-256', part)).toString('hex');
  try {
    let index = 0;
    for await (const found of inOrder(parts(), hashOf, { atOnce: HASHES_AT_ONCE, signal })) {
      if (found !== frames[index]?.sha256) return false;
      index += 1;
    }
    return await reader.atEnd();
  } finally {
    await reader.close();
  }
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

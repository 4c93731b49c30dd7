/**
 * LZ4 frames, for stock updog: independent 1 MiB blocks, content size and content checksum (LZ4 frame format 1.6.1; magic 0x184D2204).
 *
 * Rules:
 * - the same input and library give the same bytes; memory is the blocks in flight;
 * - whatever the format allows is read, but for dictionaries and the legacy format, which are refused by name;
 * - blocks are coded by the library, which checks every length and offset; the frame around them is ours, because its own is not streamed.
 *
 * Blocks of 4 MiB, which `lz4` writes by default, save 0.2 % and cost 150 MB more: the library's buffers wait for the collector.
 */
import { MessageChannel } from 'node:worker_threads';
import { GantryError } from '../errors.ts';
import { blocksOf } from './blocks.ts';
import { ByteReader } from './byte-reader.ts';
import { inOrder } from './worker-pool.ts';
import { checksum32, streamChecksum32 } from './xxh32.ts';

const MAGIC = 0x184d2204;
const LEGACY_MAGIC = 0x184c2102;
const SKIPPABLE_MAGIC = 0x184d2a50;
const BLOCK_SIZES: Readonly<Record<number, number>> = { 4: 1 << 16, 5: 1 << 18, 6: 1 << 20, 7: 1 << 22 };
const WRITTEN_BLOCK_ID = 6;
const WRITTEN_BLOCK_BYTES = 1 << 20;
/** The library compresses in libuv's threads; this one hashes meanwhile. */
const BLOCKS_IN_FLIGHT = 3;
const SIZE_BYTES = 4;
const UNCOMPRESSED = 0x8000_0000;
/** A linked block looks back this far. */
const WINDOW_BYTES = 1 << 16;
/** A byte of a block makes no more raw bytes than this: it adds 255 to the length of a match at most. */
const MAX_RATIO = 255;
/** The library's buffers are let go of between two turns of the event loop only; a small file may make many of them in one. */
const TURN_BYTES = 4 << 20;

export interface Lz4Options {
  readonly signal?: AbortSignal;
  /** Of the raw image, for the frame's header, which is written first: no reader accepts a frame that turns out otherwise. */
  readonly contentSizeBytes: number;
}

/** @throws GantryError `image/empty`, `aborted` */
export async function* compressLz4(source: AsyncIterable<Uint8Array>, options: Lz4Options): AsyncGenerator<Uint8Array, void, undefined> {
  if (options.contentSizeBytes === 0) {
    throw new GantryError('image/empty', 'Cannot compress the image: it is empty; expected at least one byte', { what: 'image' });
  }
  const { compress } = await import('lz4-napi');
  const checksum = await streamChecksum32();
  const spare: ArrayBuffer[] = [];
  const encode = async (block: Uint8Array<ArrayBuffer>): Promise<readonly Uint8Array[]> => {
    const compressing = compress(block);
    checksum.update(block);
    // The library puts the raw length in front, which the frame format does not have.
    const compressed = (await compressing).subarray(SIZE_BYTES);
    if (compressed.length >= block.length) return [uint32(block.length + UNCOMPRESSED), block];
    spare.push(block.buffer);
    return [uint32(compressed.length), compressed];
  };
  yield await encodeHeader(options.contentSizeBytes);
  const blocks = blocksOf(source, WRITTEN_BLOCK_BYTES, () => spare.pop());
  for await (const parts of inOrder(blocks, encode, { atOnce: BLOCKS_IN_FLIGHT, signal: options.signal })) yield* parts;
  yield Buffer.concat([uint32(0), uint32(checksum.digest())]);
}

async function encodeHeader(contentSizeBytes: number): Promise<Uint8Array> {
  // Version 01, independent blocks, content size, content checksum.
  const descriptor = Buffer.alloc(10);
  descriptor.writeUInt8(0b0110_1100, 0);
  descriptor.writeUInt8(WRITTEN_BLOCK_ID << 4, 1);
  descriptor.writeBigUInt64LE(BigInt(contentSizeBytes), 2);
  return Buffer.concat([uint32(MAGIC), descriptor, Buffer.of(await headerChecksum(descriptor))]);
}

async function headerChecksum(descriptor: Uint8Array): Promise<number> {
  return ((await checksum32(descriptor)) >>> 8) & 0xff;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/**
 * The raw bytes of an LZ4 file: independent and linked blocks, every checksum that it has, skippable and following frames.
 *
 * @throws GantryError `image/bad-lz4` with the offset, `image/too-long` when more than `maxBytes` come out
 */
export async function* decompressLz4(
  source: AsyncIterable<Uint8Array>,
  options: { readonly maxBytes: number },
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = new ByteReader(source);
  const turn: Turn = { rawBytes: 0 };
  let out = 0;
  try {
    for (let frames = 0; !(await reader.atEnd()) || frames === 0; frames += 1) {
      if (await skipSkippable(reader)) continue;
      for await (const block of decodeFrame(reader, turn)) {
        out += block.length;
        if (out > options.maxBytes) {
          throw new GantryError(
            'image/too-long',
            `Cannot decompress the image: more than ${options.maxBytes} bytes came out; expected at most that`,
            {
              maxBytes: options.maxBytes,
            },
          );
        }
        yield block;
      }
    }
  } finally {
    await reader.close();
  }
}

async function skipSkippable(reader: ByteReader): Promise<boolean> {
  const magic = (await peek(reader, 4)).readUInt32LE();
  if ((magic & 0xffff_fff0) >>> 0 !== SKIPPABLE_MAGIC) return false;
  await take(reader, 4);
  const length = (await take(reader, 4)).readUInt32LE();
  for (let left = length; left > 0;) left -= (await take(reader, Math.min(left, WINDOW_BYTES))).length;
  return true;
}

export interface Lz4Header {
  readonly blockBytes: number;
  readonly linked: boolean;
  readonly blockChecksum: boolean;
  readonly contentChecksum: boolean;
  readonly contentSize: bigint | undefined;
}

/** Of the frame that begins here. @throws GantryError `image/bad-lz4` */
export async function readLz4Header(reader: ByteReader): Promise<Lz4Header> {
  const at = reader.offset;
  const magic = (await take(reader, 4)).readUInt32LE();
  if (magic === LEGACY_MAGIC) throw badLz4(at, 'it is in the legacy format of `lz4 -l`, which has no checksums');
  if (magic !== MAGIC) throw badLz4(at, 'it does not start with the magic number of an LZ4 frame');
  const start = await take(reader, 2);
  const [flags, sizes] = [start.readUInt8(0), start.readUInt8(1)];
  const has = (bit: number): boolean => (flags & (1 << bit)) !== 0;
  const blockBytes = BLOCK_SIZES[(sizes >> 4) & 7];
  if (flags >> 6 !== 1 || has(1) || blockBytes === undefined || (sizes & 0x8f) !== 0) {
    throw badLz4(at, 'its header has a version or flags that are not known');
  }
  if (has(0)) throw badLz4(at, 'it needs a dictionary');
  const size = await take(reader, has(3) ? 8 : 0);
  const stated = (await take(reader, 1)).readUInt8();
  if ((await headerChecksum(Buffer.concat([start, size]))) !== stated) throw badLz4(at, 'the checksum of its header does not match');
  return {
    blockBytes,
    linked: !has(5),
    blockChecksum: has(4),
    contentChecksum: has(2),
    contentSize: has(3) ? size.readBigUInt64LE() : undefined,
  };
}

async function* decodeFrame(reader: ByteReader, turn: Turn): AsyncGenerator<Uint8Array, void, undefined> {
  const header = await readLz4Header(reader);
  const checksum = await streamChecksum32();
  let window: Uint8Array = Buffer.alloc(0);
  let length = 0n;
  for (;;) {
    const block = await readBlock(reader, header, { window, turn });
    if (block === undefined) break;
    checksum.update(block);
    length += BigInt(block.length);
    if (header.linked) window = windowAfter(window, block);
    if (block.length > 0) yield block;
  }
  const at = reader.offset;
  if (header.contentSize !== undefined && header.contentSize !== length) {
    throw badLz4(at, `${length} bytes came out; its header says ${header.contentSize}`);
  }
  if (header.contentChecksum && (await take(reader, 4)).readUInt32LE() !== checksum.digest()) {
    throw badLz4(at, 'the checksum of its content does not match');
  }
}

/** The last raw bytes; a copy, because a block is its receiver's. */
function windowAfter(window: Uint8Array, block: Uint8Array): Uint8Array {
  const kept = Math.max(0, WINDOW_BYTES - block.length);
  return Buffer.concat([window.subarray(Math.max(0, window.length - kept)), block.subarray(-WINDOW_BYTES)]);
}

interface BlockOptions {
  /** What the block may look back at; empty when blocks are independent. */
  readonly window: Uint8Array;
  readonly turn: Turn;
}

/** What was decompressed in this turn of the event loop. */
interface Turn {
  rawBytes: number;
}

/** Undefined after the last one. */
async function readBlock(reader: ByteReader, header: Lz4Header, { window, turn }: BlockOptions): Promise<Uint8Array | undefined> {
  const at = reader.offset;
  const size = (await peek(reader, SIZE_BYTES)).readUInt32LE();
  if (size === 0) {
    await take(reader, SIZE_BYTES);
    return undefined;
  }
  const storedBytes = (size & ~UNCOMPRESSED) >>> 0;
  if (storedBytes > header.blockBytes) throw badLz4(at, `a block has ${storedBytes} bytes; expected at most ${header.blockBytes}`);
  const sized = await take(reader, SIZE_BYTES + storedBytes);
  const stored = sized.subarray(SIZE_BYTES);
  if (header.blockChecksum && (await take(reader, 4)).readUInt32LE() !== (await checksum32(stored))) {
    throw badLz4(at, 'the checksum of a block does not match');
  }
  if ((size & UNCOMPRESSED) !== 0) return stored;
  // The library expects how many raw bytes there may be where the frame has the block's own size.
  sized.writeUInt32LE(Math.min(header.blockBytes, storedBytes * MAX_RATIO));
  try {
    return await decodeBlock(sized, window, turn);
  } catch (cause) {
    throw badLz4(at, 'a block is damaged', cause);
  }
}

/** Decompressed here and now: a thread would cost more than it saves. */
async function decodeBlock(sized: Uint8Array, window: Uint8Array, turn: Turn): Promise<Uint8Array> {
  const { uncompressSync } = await import('lz4-napi');
  const raw = uncompressSync(sized, window);
  turn.rawBytes += raw.length;
  if (turn.rawBytes >= TURN_BYTES) {
    await nextTurn();
    turn.rawBytes = 0;
  }
  return raw;
}

/** A message is what lets the event loop turn without a clock. */
async function nextTurn(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  await new Promise((resolve) => {
    port2.once('message', resolve);
    port1.postMessage('');
  });
  port1.close();
}

async function take(reader: ByteReader, length: number): Promise<Buffer> {
  await peek(reader, length);
  return reader.take(length);
}

async function peek(reader: ByteReader, length: number): Promise<Buffer> {
  const bytes = await reader.peek(length);
  if (bytes.length < length) throw badLz4(reader.offset + bytes.length, 'it is cut short');
  return bytes;
}

function badLz4(offset: number, problem: string, cause?: unknown): GantryError {
  const message = `Cannot decompress the image: ${problem} (at byte ${offset}); expected an LZ4 frame`;
  return new GantryError('image/bad-lz4', message, { offset }, { cause });
}

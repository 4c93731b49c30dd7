/**
 * LZ4 frames, for stock updog: independent 1 MiB blocks, content size and content checksum (LZ4 frame format 1.6.1; magic 0x184D2204).
 *
 * Blocks of 4 MiB, which `lz4` writes by default, save 0.2 % and cost 150 MB more: the library's buffers wait for the collector.
 */
import { GantryError, refuseAborted } from '../errors.ts';
import { blocksOf } from './blocks.ts';
import { decodeBlock } from './lz4-block.ts';
import { ByteReader } from './byte-reader.ts';
import { checksum32, streamChecksum32, type Checksum32 } from './xxh32.ts';

const MAGIC = 0x184d2204;
const SKIPPABLE_MAGIC = 0x184d2a50;
const BLOCK_SIZES: Readonly<Record<number, number>> = { 4: 1 << 16, 5: 1 << 18, 6: 1 << 20, 7: 1 << 22 };
const WRITTEN_BLOCK_ID = 6;
const UNCOMPRESSED = 0x8000_0000;
/** A linked block looks back this far. */
const WINDOW_BYTES = 1 << 16;

export interface Lz4Options {
  readonly signal?: AbortSignal;
  /** Of the raw image, for the frame's header, which is written first: no reader accepts a frame that turns out otherwise. */
  readonly contentSizeBytes: number;
}

/** @throws GantryError `image/empty`, `aborted` */
export async function* compressLz4(source: AsyncIterable<Uint8Array>, options: Lz4Options): AsyncGenerator<Uint8Array, void, undefined> {
  const { compress } = await import('lz4-napi');
  if (options.contentSizeBytes === 0) {
    throw new GantryError('image/empty', 'Cannot compress the image: it is empty; expected at least one byte', { what: 'image' });
  }
  const blockBytes = BLOCK_SIZES[WRITTEN_BLOCK_ID] ?? 0;
  const checksum = await streamChecksum32();
  yield await encodeHeader(options.contentSizeBytes);
  for await (const block of blocksOf(source, blockBytes)) {
    refuseAborted(options.signal);
    checksum.update(block);
    // The library puts the raw length in front, which the frame format does not have.
    const compressed = (await compress(block)).subarray(4);
    const stored = compressed.length < block.length ? compressed : block;
    yield uint32(stored === block ? block.length + UNCOMPRESSED : compressed.length);
    yield stored;
  }
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
  let out = 0;
  try {
    for (let frames = 0; !(await reader.atEnd()) || frames === 0; frames += 1) {
      if (await skipSkippable(reader)) continue;
      for await (const block of decodeFrame(reader)) {
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
  const magic = (await peekMagic(reader)) >>> 0;
  if ((magic & 0xffff_fff0) >>> 0 !== SKIPPABLE_MAGIC) return false;
  await take(reader, 4);
  const length = (await take(reader, 4)).readUInt32LE();
  for (let left = length; left > 0;) left -= (await take(reader, Math.min(left, WINDOW_BYTES))).length;
  return true;
}

async function peekMagic(reader: ByteReader): Promise<number> {
  const bytes = await reader.peek(4);
  if (bytes.length < 4) throw badLz4(reader.offset, 'it is cut short');
  return bytes.readUInt32LE();
}

interface FrameHeader {
  readonly blockBytes: number;
  readonly linked: boolean;
  readonly blockChecksum: boolean;
  readonly contentChecksum: boolean;
  readonly contentSize: bigint | undefined;
}

async function readHeader(reader: ByteReader): Promise<FrameHeader> {
  const at = reader.offset;
  if ((await take(reader, 4)).readUInt32LE() !== MAGIC) throw badLz4(at, 'it does not start with the magic number of an LZ4 frame');
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

async function* decodeFrame(reader: ByteReader): AsyncGenerator<Uint8Array, void, undefined> {
  const header = await readHeader(reader);
  const checksum: Checksum32 = await streamChecksum32();
  let window: Buffer = Buffer.alloc(0);
  let length = 0n;
  for (;;) {
    const at = reader.offset;
    const size = (await take(reader, 4)).readUInt32LE();
    if (size === 0) break;
    const stored = (size & UNCOMPRESSED) !== 0;
    const storedBytes = (size & ~UNCOMPRESSED) >>> 0;
    if (storedBytes > header.blockBytes) throw badLz4(at, `a block has ${storedBytes} bytes; expected at most ${header.blockBytes}`);
    const data = await take(reader, storedBytes);
    if (header.blockChecksum && (await take(reader, 4)).readUInt32LE() !== (await checksum32(data))) {
      throw badLz4(at, 'the checksum of a block does not match');
    }
    const block = stored ? data : decodeBlock(data, window, header.blockBytes);
    if (block === undefined) throw badLz4(at, 'a block is damaged');
    checksum.update(block);
    length += BigInt(block.length);
    if (header.linked) window = Buffer.concat([window, block]).subarray(-WINDOW_BYTES);
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

async function take(reader: ByteReader, length: number): Promise<Buffer> {
  const bytes = await reader.take(length);
  if (bytes.length < length) throw badLz4(reader.offset, 'it is cut short');
  return bytes;
}

function badLz4(offset: number, problem: string): GantryError {
  return new GantryError('image/bad-lz4', `Cannot decompress the image: ${problem} (at byte ${offset}); expected an LZ4 frame`, { offset });
}

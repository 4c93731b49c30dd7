/**
 * The frame table of a framed image: what a host needs to authenticate each frame before it decompresses it.
 *
 * Format 2 (docs/formats.md), integers big-endian:
 * ```
 *  0   8  magic "GANTRYFT"
 *  8   2  format, 2
 * 10   2  dm-verity parameters at the end: 0 none, 1 there are
 * 12   4  raw bytes of every frame but the last, 1 MiB
 * 16   8  raw length of the image
 * 24  32  SHA-256 of the raw image
 * 56   4  number of frames
 * 60      for each frame: 4 length, 32 SHA-256 of its compressed bytes, 32 SHA-256 of its raw bytes
 *         dm-verity: 1 hash algorithm, 1: SHA-256; 1 binary logarithm of the size of data and hash blocks, 12; 2 length of the salt;
 *         8 number of data blocks; 16 UUID; 32 root hash; the salt
 * ```
 * Offsets and raw lengths follow from these, so that no table can contradict itself. 2 GiB make 136 KiB.
 */
import { GantryError } from '../errors.ts';

/** Raw bytes of every frame but the last. */
export const FRAME_RAW_BYTES: number = 1 << 20;
/** 64 GiB of raw image. */
const MAX_FRAMES = 1 << 16;
/** No compressor of ours makes 1 MiB larger than this. */
export const FRAME_MAX_BYTES: number = FRAME_RAW_BYTES + (1 << 16);

export interface Frame {
  /** In the compressed file, in bytes. */
  readonly offset: number;
  readonly lengthBytes: number;
  /** Of the compressed bytes. */
  readonly sha256: string;
  readonly rawLengthBytes: number;
  readonly rawSha256: string;
}

/** The dm-verity tree of the image: enough to build its hash image to the last byte, as `veritysetup format` writes it. */
export interface TableVerity {
  /** 64 lowercase hexadecimal digits. */
  readonly rootHash: string;
  /** At most 256 bytes. */
  readonly salt: Uint8Array;
  /** Lowercase. */
  readonly uuid: string;
  /** Of 4096 bytes; the image may be longer. */
  readonly dataBlocks: number;
}

export interface FrameTable {
  readonly raw: { readonly lengthBytes: number; readonly sha256: string };
  readonly frames: readonly Frame[];
  /** When it is known. */
  readonly verity?: TableVerity;
}

const MAGIC = Buffer.from('GANTRYFT', 'latin1');
const FORMAT = 2;
const HEADER_BYTES = 60;
const ENTRY_BYTES = 68;
const DIGEST_BYTES = 32;
const SHA256_HEX = /^[0-9a-f]{64}$/u;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u;
const VERITY_BYTES = 60;
const VERITY_SHA256 = 1;
const VERITY_BLOCK_LOG = 12;
const SALT_MAX_BYTES = 256;

/** Largest encoded table: a client's limit. */
export const FRAME_TABLE_MAX_BYTES: number = HEADER_BYTES + MAX_FRAMES * ENTRY_BYTES + VERITY_BYTES + SALT_MAX_BYTES;

/** @throws RangeError when the frames do not make the raw image, or are not what `compressFrames` tells */
export function encodeFrameTable(table: FrameTable): Uint8Array {
  const { raw, frames, verity } = table;
  refuseUnwritable(table);
  const bytes = Buffer.alloc(HEADER_BYTES + frames.length * ENTRY_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt16BE(FORMAT, 8);
  bytes.writeUInt16BE(verity === undefined ? 0 : 1, 10);
  bytes.writeUInt32BE(FRAME_RAW_BYTES, 12);
  bytes.writeBigUInt64BE(BigInt(raw.lengthBytes), 16);
  bytes.write(raw.sha256, 24, DIGEST_BYTES, 'hex');
  bytes.writeUInt32BE(frames.length, 56);
  frames.forEach((frame, index) => {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    bytes.writeUInt32BE(frame.lengthBytes, at);
    bytes.write(frame.sha256, at + 4, DIGEST_BYTES, 'hex');
    bytes.write(frame.rawSha256, at + 4 + DIGEST_BYTES, DIGEST_BYTES, 'hex');
  });
  return verity === undefined ? bytes : Buffer.concat([bytes, encodeVerity(verity, raw.lengthBytes)]);
}

function encodeVerity(verity: TableVerity, imageBytes: number): Uint8Array {
  const { rootHash, salt, uuid, dataBlocks } = verity;
  if (!SHA256_HEX.test(rootHash) || !UUID.test(uuid) || salt.length > SALT_MAX_BYTES || !isBlockCount(dataBlocks, imageBytes)) {
    throw new RangeError(`no dm-verity tree of an image of ${imageBytes} bytes is like this: ${JSON.stringify(verity)}`);
  }
  const bytes = Buffer.alloc(VERITY_BYTES);
  bytes.writeUInt8(VERITY_SHA256, 0);
  bytes.writeUInt8(VERITY_BLOCK_LOG, 1);
  bytes.writeUInt16BE(salt.length, 2);
  bytes.writeBigUInt64BE(BigInt(dataBlocks), 4);
  bytes.write(uuid.replaceAll('-', ''), 12, 'hex');
  bytes.write(rootHash, 28, 'hex');
  return Buffer.concat([bytes, salt]);
}

function isBlockCount(dataBlocks: number, imageBytes: number): boolean {
  return Number.isInteger(dataBlocks) && dataBlocks >= 1 && dataBlocks * 2 ** VERITY_BLOCK_LOG <= imageBytes;
}

/** What is not stored must follow from what is: offsets and raw lengths. */
function refuseUnwritable({ raw, frames }: FrameTable): void {
  const { lengthBytes } = raw;
  if (!(lengthBytes > 0) || frames.length !== frameCount(lengthBytes) || frames.length > MAX_FRAMES) {
    throw new RangeError(`${frames.length} frames do not make an image of ${lengthBytes} bytes; expected 1 to ${MAX_FRAMES}`);
  }
  let offset = 0;
  frames.forEach((frame, index) => {
    const rawLengthBytes = rawLengthOf(lengthBytes, index);
    if (frame.offset !== offset || frame.rawLengthBytes !== rawLengthBytes || !isFrameLength(frame.lengthBytes)) {
      throw new RangeError(`frame ${index} is out of place; expected offset ${offset} and ${rawLengthBytes} raw bytes`);
    }
    offset += frame.lengthBytes;
  });
  if (![raw.sha256, ...frames.flatMap(({ sha256, rawSha256 }) => [sha256, rawSha256])].every((digest) => SHA256_HEX.test(digest))) {
    throw new RangeError('a digest is not 64 lowercase hexadecimal digits');
  }
}

/** @throws GantryError `image/bad-frame-table` for anything that `encodeFrameTable` would not write */
export function decodeFrameTable(encoded: Uint8Array): FrameTable {
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.length);
  if (bytes.length < HEADER_BYTES) throw bad('length', `it has ${bytes.length} bytes; expected at least ${HEADER_BYTES}`);
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw bad('magic', 'it does not start with GANTRYFT');
  const format = bytes.readUInt16BE(8);
  if (format !== FORMAT) throw bad('format', `it is ${format}; expected ${FORMAT}; another version of Gantry wrote it`);
  const hasVerity = bytes.readUInt16BE(10);
  if (hasVerity > 1) throw bad('verity', `it is ${hasVerity}; expected 0 or 1`);
  if (bytes.readUInt32BE(12) !== FRAME_RAW_BYTES) throw bad('frame size', `it is ${bytes.readUInt32BE(12)}; expected ${FRAME_RAW_BYTES}`);
  const rawLength = Number(bytes.readBigUInt64BE(16));
  const count = bytes.readUInt32BE(56);
  if (rawLength === 0 || count > MAX_FRAMES || count !== frameCount(rawLength)) {
    throw bad('frames', `${count} frames cannot hold ${rawLength} bytes; expected ${frameCount(rawLength)}, at most ${MAX_FRAMES}`);
  }
  const end = HEADER_BYTES + count * ENTRY_BYTES;
  const verityBytes = hasVerity === 0 ? 0 : VERITY_BYTES + (bytes.length < end + 4 ? 0 : bytes.readUInt16BE(end + 2));
  if (bytes.length !== end + verityBytes) throw bad('length', `it has ${bytes.length} bytes; expected ${end + verityBytes}`);
  return {
    raw: { lengthBytes: rawLength, sha256: digestAt(bytes, 24) },
    frames: readFrames(bytes, count, rawLength),
    ...(hasVerity === 0 ? {} : { verity: readVerity(bytes.subarray(end), rawLength) }),
  };
}

function readVerity(bytes: Buffer, rawLength: number): TableVerity {
  const [algorithm, log] = [bytes.readUInt8(0), bytes.readUInt8(1)];
  if (algorithm !== VERITY_SHA256) throw bad('verity algorithm', `it is ${algorithm}; expected ${VERITY_SHA256}, SHA-256`);
  if (log !== VERITY_BLOCK_LOG) throw bad('verity block size', `it is 2^${log}; expected 2^${VERITY_BLOCK_LOG}`);
  const salt = Uint8Array.from(bytes.subarray(VERITY_BYTES));
  if (salt.length > SALT_MAX_BYTES) throw bad('verity salt', `it has ${salt.length} bytes; expected at most ${SALT_MAX_BYTES}`);
  const dataBlocks = Number(bytes.readBigUInt64BE(4));
  if (!isBlockCount(dataBlocks, rawLength)) throw bad('verity blocks', `${dataBlocks} are not in an image of ${rawLength} bytes`);
  const uuid = bytes.toString('hex', 12, 28).replace(/^(.{8})(.{4})(.{4})(.{4})/u, '$1-$2-$3-$4-');
  return { rootHash: digestAt(bytes, 28), salt, uuid, dataBlocks };
}

function readFrames(bytes: Buffer, count: number, rawLength: number): readonly Frame[] {
  let offset = 0;
  return Array.from({ length: count }, (_, index) => {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    const lengthBytes = bytes.readUInt32BE(at);
    if (!isFrameLength(lengthBytes)) {
      throw bad(`frame ${index}`, `it has ${lengthBytes} bytes; expected 1 to ${FRAME_MAX_BYTES}`);
    }
    const frame: Frame = {
      offset,
      lengthBytes,
      sha256: digestAt(bytes, at + 4),
      rawLengthBytes: rawLengthOf(rawLength, index),
      rawSha256: digestAt(bytes, at + 4 + DIGEST_BYTES),
    };
    offset += lengthBytes;
    return frame;
  });
}

function isFrameLength(lengthBytes: number): boolean {
  return Number.isInteger(lengthBytes) && lengthBytes >= 1 && lengthBytes <= FRAME_MAX_BYTES;
}

function rawLengthOf(imageBytes: number, index: number): number {
  return Math.min(FRAME_RAW_BYTES, imageBytes - index * FRAME_RAW_BYTES);
}

function digestAt(bytes: Buffer, at: number): string {
  return bytes.toString('hex', at, at + DIGEST_BYTES);
}

function frameCount(rawLength: number): number {
  return Math.ceil(rawLength / FRAME_RAW_BYTES);
}

function bad(at: string, problem: string): GantryError {
  return new GantryError('image/bad-frame-table', `Cannot read a frame table: ${at}: ${problem}`, { at });
}

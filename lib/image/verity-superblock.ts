/**
 * The superblock of a dm-verity hash image, as cryptsetup 2 writes it: version 1, hash type 1, SHA-256, blocks of 4 KiB.
 *
 * Layout, little-endian, 512 bytes at the start of a block of its own:
 *
 *   offset  bytes  what
 *        0      8  "verity", two zeros
 *        8      4  version, 1
 *       12      4  hash type, 1: the salt comes before the block
 *       16     16  UUID; nothing depends on it
 *       32     32  name of the hash, padded with zeros
 *       64      4  bytes of a data block
 *       68      4  bytes of a hash block
 *       72      8  data blocks
 *       80      2  bytes of the salt, 0 to 256
 *       82      6  zeros
 *       88    256  salt, padded with zeros
 *      344    168  zeros
 *
 * Rules:
 * - what another number would mean is refused, not guessed: Chrome OS's hash type, other hashes, other sizes of blocks;
 * - the rest of the block is nobody's: veritysetup does not write it, and nobody reads it.
 */
import { GantryError, quote } from '../errors.ts';

export const BLOCK_BYTES = 4096;
export const DIGEST_BYTES = 32;
/** 1 TiB of data: no image is larger. */
export const MAX_DATA_BLOCKS: number = 2 ** 40 / BLOCK_BYTES;
const SUPERBLOCK_BYTES = 512;
const SALT_MAX_BYTES = 256;
const SALT_OFFSET = 88;
const HASH_NAME = 'sha256';
const SIGNATURE = 'verity\0\0';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u;

export interface VeritySuperblock {
  /** At most 256 bytes; veritysetup's default has 32. */
  readonly salt: Uint8Array;
  /** Lowercase. */
  readonly uuid: string;
  readonly dataBlocks: number;
}

/** @throws RangeError when something cannot stand in a superblock */
export function checkSuperblock({ salt, uuid, dataBlocks }: VeritySuperblock): void {
  if (salt.length > SALT_MAX_BYTES) throw new RangeError(`the salt has ${salt.length} bytes; expected at most ${SALT_MAX_BYTES}`);
  if (!UUID.test(uuid)) throw new RangeError('a UUID has the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, in lower case');
  if (!Number.isInteger(dataBlocks) || dataBlocks < 1 || dataBlocks > MAX_DATA_BLOCKS) {
    throw new RangeError(`${dataBlocks} data blocks; expected 1 to ${MAX_DATA_BLOCKS}`);
  }
}

/** The first block of a hash image. @throws RangeError like `checkSuperblock` */
export function encodeSuperblock(superblock: VeritySuperblock): Uint8Array {
  checkSuperblock(superblock);
  const { salt, uuid, dataBlocks } = superblock;
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write(SIGNATURE, 0, 'latin1');
  block.writeUInt32LE(1, 8);
  block.writeUInt32LE(1, 12);
  block.write(uuid.replaceAll('-', ''), 16, 'hex');
  block.write(HASH_NAME, 32, 'latin1');
  block.writeUInt32LE(BLOCK_BYTES, 64);
  block.writeUInt32LE(BLOCK_BYTES, 68);
  block.writeBigUInt64LE(BigInt(dataBlocks), 72);
  block.writeUInt16LE(salt.length, 80);
  block.set(salt, SALT_OFFSET);
  return block;
}

/**
 * @param block what a hash image begins with, at least 512 bytes of it
 * @throws GantryError `image/bad-verity`
 */
export function parseSuperblock(block: Uint8Array): VeritySuperblock {
  const bytes = Buffer.from(block.buffer, block.byteOffset, Math.min(block.length, SUPERBLOCK_BYTES));
  if (bytes.length < SUPERBLOCK_BYTES)
    throw badVerity('length', `it has ${bytes.length} bytes; expected a superblock of ${SUPERBLOCK_BYTES}`);
  const signature = bytes.toString('latin1', 0, 8);
  if (signature !== SIGNATURE) throw badVerity('signature', `it begins with ${quote(signature)}; expected a dm-verity superblock`);
  expectNumber('version', bytes.readUInt32LE(8), 1);
  expectNumber('hash type', bytes.readUInt32LE(12), 1);
  const name = bytes.toString('latin1', 32, 64).replace(/\0+$/u, '');
  if (name !== HASH_NAME) throw badVerity('hash', `it is ${quote(name)}; expected ${HASH_NAME}`);
  expectNumber('data block size', bytes.readUInt32LE(64), BLOCK_BYTES);
  expectNumber('hash block size', bytes.readUInt32LE(68), BLOCK_BYTES);
  const dataBlocks = bytes.readBigUInt64LE(72);
  if (dataBlocks < 1n || dataBlocks > MAX_DATA_BLOCKS) {
    throw badVerity('data blocks', `there are ${dataBlocks}; expected 1 to ${MAX_DATA_BLOCKS}`);
  }
  const saltBytes = bytes.readUInt16LE(80);
  if (saltBytes > SALT_MAX_BYTES) throw badVerity('salt', `it has ${saltBytes} bytes; expected at most ${SALT_MAX_BYTES}`);
  const saltEnd = SALT_OFFSET + saltBytes;
  if (!isZero(bytes.subarray(82, SALT_OFFSET)) || !isZero(bytes.subarray(saltEnd))) {
    throw badVerity('padding', 'there is something where nothing should be; expected zeros');
  }
  const id = bytes.toString('hex', 16, 32);
  return {
    salt: Uint8Array.from(bytes.subarray(SALT_OFFSET, saltEnd)),
    uuid: [id.slice(0, 8), id.slice(8, 12), id.slice(12, 16), id.slice(16, 20), id.slice(20)].join('-'),
    dataBlocks: Number(dataBlocks),
  };
}

export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

export function badVerity(at: string, problem: string): GantryError {
  return new GantryError('image/bad-verity', `Cannot read a dm-verity hash image: ${at}: ${problem}`, { at });
}

function expectNumber(at: string, found: number, expected: number): void {
  if (found !== expected) throw badVerity(at, `it is ${found}; expected ${expected}`);
}

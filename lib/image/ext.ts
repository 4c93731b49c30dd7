/**
 * The superblock of ext2, ext3 and ext4: 1024 bytes at 1024, little-endian (docs.kernel.org/filesystems/ext4, "The Super Block").
 */
import { crc32c } from './crc32c.ts';
import type { FileSystem } from './file-system.ts';
import { formatUuid } from './guid.ts';
import { paddedText } from './text.ts';

const SUPERBLOCK_OFFSET = 1024;
const SUPERBLOCK_BYTES = 1024;
const MAGIC = 0xef53;
const MAX_LOG_BLOCK = 6;
/** Of a file system of 2^53 bytes at most, so that lengths stay safe integers. */
const BLOCKS_MAX = 2n ** 53n;

const COMPAT_HAS_JOURNAL = 0x4;
const INCOMPAT_RECOVER = 0x4;
const INCOMPAT_JOURNAL_DEV = 0x8;
const INCOMPAT_64BIT = 0x80;
/** Extents, 64 bits, flexible groups and what came later: ext3 has none of it. */
const INCOMPAT_EXT4 = 0xffff_ffc0;
const RO_COMPAT_METADATA_CSUM = 0x400;
const STATE_CLEAN = 1;

export function findExt(image: Buffer): FileSystem | undefined {
  const bytes = image.subarray(SUPERBLOCK_OFFSET, SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES);
  if (bytes.length < SUPERBLOCK_BYTES || bytes.readUInt16LE(0x38) !== MAGIC) return undefined;
  const logBlock = bytes.readUInt32LE(0x18);
  if (logBlock > MAX_LOG_BLOCK) return undefined;
  const blockBytes = 1024 << logBlock;
  const [compat, incompat, roCompat] = [bytes.readUInt32LE(0x5c), bytes.readUInt32LE(0x60), bytes.readUInt32LE(0x64)];
  const wide = (low: number, high: number): bigint =>
    BigInt(bytes.readUInt32LE(low)) + ((incompat & INCOMPAT_64BIT) === 0 ? 0n : BigInt(bytes.readUInt32LE(high)) << 32n);
  const [blocks, free] = [wide(0x4, 0x150), wide(0xc, 0x158)];
  const blocksPerGroup = bytes.readUInt32LE(0x20);
  const isPossible =
    blocks > 0n &&
    blocks * BigInt(blockBytes) < BLOCKS_MAX &&
    free <= blocks &&
    bytes.readUInt32LE(0x14) <= 1 &&
    blocksPerGroup > 0 &&
    bytes.readUInt32LE(0x28) > 0 &&
    bytes.readUInt32LE(0) > 0 &&
    bytes.readUInt32LE(0x10) <= bytes.readUInt32LE(0) &&
    bytes.readUInt32LE(0x4c) <= 1;
  // The journal of another file system, on a device of its own, has the same superblock.
  if (!isPossible || (incompat & INCOMPAT_JOURNAL_DEV) !== 0) return undefined;
  return {
    format: (incompat & INCOMPAT_EXT4) !== 0 ? 'ext4' : (compat & COMPAT_HAS_JOURNAL) !== 0 ? 'ext3' : 'ext2',
    lengthBytes: Number(blocks) * blockBytes,
    blockBytes,
    label: paddedText(bytes.subarray(0x78, 0x88)),
    uuid: formatUuid(bytes.subarray(0x68, 0x78)),
    freeBytes: Number(free) * blockBytes,
    problems: [
      ...((roCompat & RO_COMPAT_METADATA_CSUM) !== 0 && crc32c(bytes.subarray(0, 0x3fc)) !== bytes.readUInt32LE(0x3fc)
        ? ['the checksum of its superblock does not match']
        : []),
      ...((bytes.readUInt16LE(0x3a) & STATE_CLEAN) === 0 || (incompat & INCOMPAT_RECOVER) !== 0 ? ['it was not unmounted cleanly'] : []),
    ],
  };
}

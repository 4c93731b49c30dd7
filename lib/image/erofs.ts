/** The superblock of EROFS: 128 bytes at 1024, little-endian (docs.kernel.org/filesystems/erofs; `erofs_fs.h` of the kernel). */
import { crc32c } from './crc32c.ts';
import type { FileSystem } from './file-system.ts';
import { formatUuid } from './guid.ts';
import { paddedText } from './text.ts';

const SUPERBLOCK_OFFSET = 1024;
const SUPERBLOCK_BYTES = 128;
const MAGIC = 0xe0f5_e1e2;
const MIN_BLOCK_BITS = 9;
const MAX_BLOCK_BITS = 16;

const COMPAT_CHECKSUM = 0x1;
const INCOMPAT_LZ4_0PADDING = 0x1;
const INCOMPAT_COMPR_CFGS = 0x2;
const INCOMPAT_48BIT = 0x80;
const ALGORITHMS = ['lz4', 'lzma', 'deflate', 'zstd'];

export function findErofs(image: Buffer): FileSystem | undefined {
  const bytes = image.subarray(SUPERBLOCK_OFFSET, SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES);
  if (bytes.length < SUPERBLOCK_BYTES || bytes.readUInt32LE(0) !== MAGIC) return undefined;
  const bits = bytes.readUInt8(12);
  if (bits < MIN_BLOCK_BITS || bits > MAX_BLOCK_BITS) return undefined;
  const blockBytes = 1 << bits;
  const incompat = bytes.readUInt32LE(80);
  const isWide = (incompat & INCOMPAT_48BIT) !== 0;
  // With 48 bits the number of the root's node stands elsewhere, and the upper bits of the blocks here.
  const blocks = bytes.readUInt32LE(36) + (isWide ? bytes.readUInt16LE(14) * 2 ** 32 : 0);
  const lengthBytes = blocks * blockBytes;
  const isPossible = lengthBytes >= SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES && Number.isSafeInteger(lengthBytes);
  if (!isPossible || bytes.readUInt32LE(40) > blocks || bytes.readUInt8(90) > MAX_BLOCK_BITS) return undefined;
  return {
    format: 'erofs',
    lengthBytes,
    blockBytes,
    label: paddedText(bytes.subarray(64, 80)),
    uuid: formatUuid(bytes.subarray(48, 64)),
    compression: algorithmsOf(incompat, bytes.readUInt16LE(84)),
    problems: hasRightChecksum(image, bytes, blockBytes) ? [] : ['the checksum of its superblock does not match'],
  };
}

/** What may stand in it; without a list of them, the one that there was at first. */
function algorithmsOf(incompat: number, available: number): readonly string[] {
  if ((incompat & INCOMPAT_COMPR_CFGS) !== 0) return ALGORITHMS.filter((_, bit) => (available & (1 << bit)) !== 0);
  return (incompat & INCOMPAT_LZ4_0PADDING) === 0 ? [] : ['lz4'];
}

/** Over the rest of the block that the superblock lies in, its own field as zero. */
function hasRightChecksum(image: Buffer, superblock: Buffer, blockBytes: number): boolean {
  if ((superblock.readUInt32LE(8) & COMPAT_CHECKSUM) === 0) return true;
  const covered = Buffer.from(image.subarray(SUPERBLOCK_OFFSET, Math.max(blockBytes, SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES)));
  covered.writeUInt32LE(0, 4);
  return crc32c(covered) === superblock.readUInt32LE(4);
}

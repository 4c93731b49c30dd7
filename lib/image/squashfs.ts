/** The superblock of squashfs 4.0: 96 bytes at 0, little-endian (docs.kernel.org/filesystems/squashfs). */
import type { FileSystem } from './file-system.ts';

const SUPERBLOCK_BYTES = 96;
const MAGIC = 0x7371_7368;
const MIN_BLOCK_LOG = 12;
const MAX_BLOCK_LOG = 20;
const COMPRESSORS = ['gzip', 'lzma', 'lzo', 'xz', 'lz4', 'zstd'];
/** Offsets of the tables for inodes and directories, which there always are. */
const TABLES = [64, 72];

export function findSquashfs(image: Buffer): FileSystem | undefined {
  const bytes = image.subarray(0, SUPERBLOCK_BYTES);
  if (bytes.length < SUPERBLOCK_BYTES || bytes.readUInt32LE(0) !== MAGIC) return undefined;
  const blockLog = bytes.readUInt16LE(22);
  const compressor = COMPRESSORS[bytes.readUInt16LE(20) - 1];
  const used = bytes.readBigUInt64LE(40);
  const isPossible =
    bytes.readUInt16LE(28) === 4 &&
    bytes.readUInt16LE(30) === 0 &&
    blockLog >= MIN_BLOCK_LOG &&
    blockLog <= MAX_BLOCK_LOG &&
    bytes.readUInt32LE(12) === 2 ** blockLog &&
    used >= SUPERBLOCK_BYTES &&
    used < Number.MAX_SAFE_INTEGER &&
    TABLES.every((offset) => bytes.readBigUInt64LE(offset) < used);
  if (!isPossible || compressor === undefined) return undefined;
  return { format: 'squashfs', lengthBytes: Number(used), blockBytes: 2 ** blockLog, compression: [compressor], problems: [] };
}

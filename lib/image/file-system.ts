/**
 * Which file system an image holds, by its superblock.
 *
 * Rules:
 * - a magic number alone is no file system: the sizes beside it must be possible, and agree with each other;
 * - a superblock whose own checksum is wrong is still shown, with that said;
 * - what lies behind the superblock is not looked at.
 */
import { findErofs } from './erofs.ts';
import { findExt } from './ext.ts';
import { findSquashfs } from './squashfs.ts';

export interface FileSystem {
  readonly format: 'ext2' | 'ext3' | 'ext4' | 'erofs' | 'squashfs';
  /** Its own, from the start of the image to the end of its last block. */
  readonly lengthBytes: number;
  readonly blockBytes: number;
  readonly label?: string;
  readonly uuid?: string;
  /** For those that can be written to. */
  readonly freeBytes?: number;
  /** What its files are compressed with; absent for those that never are. */
  readonly compression?: readonly string[];
  /** What is wrong with the superblock. */
  readonly problems: readonly string[];
}

/** What must be known of an image's start: the largest block of EROFS. */
export const FILE_SYSTEM_HEAD_BYTES: number = 1 << 16;

/** @param head the first `FILE_SYSTEM_HEAD_BYTES` of the image, or all of it */
export function findFileSystem(head: Uint8Array): FileSystem | undefined {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.length);
  return findExt(bytes) ?? findErofs(bytes) ?? findSquashfs(bytes);
}

/**
 * Where things are in a hash image: the superblock in its own block, then the levels from the top down. A level is the digests of the
 * blocks below it, 128 to a block, the last block padded with zeros. One data block has no level: its digest is the root hash.
 */
import { BLOCK_BYTES, DIGEST_BYTES } from './verity-superblock.ts';

export const PER_BLOCK: number = BLOCK_BYTES / DIGEST_BYTES;

export interface VerityLevel {
  /** Of its first byte in the hash image. */
  readonly position: number;
  readonly blocks: number;
}

/** @returns the levels in the order of the image: the top one, a single block, first; the digests of the data last */
export function verityLevels(dataBlocks: number): readonly VerityLevel[] {
  const counts: number[] = [];
  for (let below = dataBlocks; below > 1;) {
    below = Math.ceil(below / PER_BLOCK);
    counts.unshift(below);
  }
  let position = BLOCK_BYTES;
  return counts.map((blocks) => {
    const level = { position, blocks };
    position += blocks * BLOCK_BYTES;
    return level;
  });
}

/** The length of the hash image of a raw image, as `buildVerityTree` and veritysetup make it. @param rawBytes whole blocks */
export function verityImageBytes(rawBytes: number): number {
  const last = verityLevels(Math.ceil(rawBytes / BLOCK_BYTES)).at(-1);
  return last === undefined ? BLOCK_BYTES : last.position + last.blocks * BLOCK_BYTES;
}

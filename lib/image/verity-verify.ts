/**
 * Is this the hash image of that image?
 *
 * Rules:
 * - first the tree in itself, from its top down: its root hash, and the first block that does not match the one above it;
 * - then the image against the lowest level: the first block of data that does not match its digest;
 * - so it is known whether the superblock, the tree or the data is wrong, as far as that can be known: a tree that is whole in itself
 *   and matches nothing is the tree of another image, or of another salt;
 * - memory is one byte for 16 KiB of the image and what is in flight: the lowest level is read again along with the image.
 */
import { GantryError } from '../errors.ts';
import { ByteReader } from './byte-reader.ts';
import { digestBlocks } from './verity-hash.ts';
import { PER_BLOCK, verityImageBytes, verityLevels, type VerityLevel } from './verity-layout.ts';
import { LeafHasher, refuseNotBlocks } from './verity-leaves.ts';
import { badVerity, BLOCK_BYTES, DIGEST_BYTES, isZero, parseSuperblock, type VeritySuperblock } from './verity-superblock.ts';

/** What a hash image says of itself. */
export interface StoredTree {
  readonly superblock: VeritySuperblock;
  readonly levels: readonly VerityLevel[];
  /** 64 hexadecimal digits; one block of data has no tree, and its root hash is stored nowhere. */
  readonly rootHash: string | undefined;
  /** The length of the hash image, without what may follow the tree. */
  readonly treeBytes: number;
}

/** What does not fit: to the root hash that was asked for, to the length of the image, to the level above, to its digest. */
export type VerityPart = 'root-hash' | 'superblock' | 'tree' | 'data';

/**
 * Reads a hash image as far as its tree goes, and proves that it is whole in itself.
 *
 * @param rootHash what it must have, when that is known
 * @throws GantryError `image/bad-verity` for what is no superblock or ends too early; `image/verity-mismatch`
 */
export async function readVerityTree(source: AsyncIterable<Uint8Array>, rootHash?: string): Promise<StoredTree> {
  const reader = new ByteReader(source);
  try {
    const superblock = parseSuperblock(await reader.take(BLOCK_BYTES));
    const levels = verityLevels(superblock.dataBlocks);
    const treeBytes = verityImageBytes(superblock.dataBlocks * BLOCK_BYTES);
    let above: LevelAbove = { kind: 'nothing', rootHash };
    for (const [index, { blocks }] of levels.entries()) {
      const digests = levels[index + 1]?.blocks ?? superblock.dataBlocks;
      above = await readLevel(reader, above, { number: levels.length - 1 - index, blocks, digests, superblock, treeBytes });
    }
    return { superblock, levels, rootHash: above.rootHash, treeBytes };
  } finally {
    await reader.close();
  }
}

/** What a level's blocks are compared with. */
type LevelAbove =
  | { readonly kind: 'nothing'; readonly rootHash: string | undefined }
  | { readonly kind: 'level'; readonly rootHash: string; readonly digests: Uint8Array };

interface LevelToRead {
  /** From the data up: 0 for the digests of the data. */
  readonly number: number;
  readonly blocks: number;
  /** Digests in it: blocks of the level below. */
  readonly digests: number;
  readonly superblock: VeritySuperblock;
  readonly treeBytes: number;
}

async function readLevel(reader: ByteReader, above: LevelAbove, level: LevelToRead): Promise<LevelAbove> {
  const { number, superblock, treeBytes } = level;
  const kept: Uint8Array[] = [];
  let { rootHash } = above;
  for (let index = 0; index < level.blocks; index += 1) {
    const block = await reader.take(BLOCK_BYTES);
    if (block.length < BLOCK_BYTES) {
      throw badVerity('length', `it has ${reader.offset} bytes; expected ${treeBytes} for ${superblock.dataBlocks} blocks of data`);
    }
    const digest = digestBlocks(block, superblock.salt);
    if (above.kind === 'nothing') {
      rootHash = Buffer.from(digest).toString('hex');
      refuseOtherRoot(rootHash, above.rootHash);
    } else if (!isEntry(above.digests, index, digest)) throw brokenTree(number, index, 'does not match the level above it');
    const used = Math.min(PER_BLOCK, level.digests - index * PER_BLOCK) * DIGEST_BYTES;
    if (!isZero(block.subarray(used))) throw brokenTree(number, index, 'has something behind its last digest');
    if (number > 0) kept.push(block);
  }
  return { kind: 'level', rootHash: rootHash ?? '', digests: Buffer.concat(kept) };
}

export interface CheckOptions {
  readonly tree: StoredTree;
  /** The same hash image, from its start. */
  readonly hashImage: AsyncIterable<Uint8Array>;
  /** What the root hash must be, when that is known: for the one block that has no tree. */
  readonly rootHash?: string | undefined;
  /** Stop at the first block that does not fit, or find out how many there are. */
  readonly stopAt: 'first' | 'end';
  readonly signal?: AbortSignal | undefined;
}

/** Compares an image with its tree while somebody reads it. */
export class VerityChecker {
  readonly #options: CheckOptions;
  readonly #hasher: LeafHasher;
  readonly #expected: ByteReader;
  #imageBytes = 0;
  #wrong = 0;
  #firstWrong = 0;
  #rootHash: string;

  constructor(options: CheckOptions) {
    const { tree, hashImage, signal } = options;
    this.#options = options;
    this.#rootHash = tree.rootHash ?? '';
    this.#expected = new ByteReader(hashImage);
    this.#hasher = new LeafHasher({ salt: tree.superblock.salt, signal, onLeaves: async (leaves, block) => this.#compare(leaves, block) });
  }

  /** Takes the next bytes of the image. @throws GantryError `image/verity-mismatch`, `aborted` */
  async write(chunk: Uint8Array): Promise<void> {
    this.#imageBytes += chunk.length;
    const { superblock } = this.#options.tree;
    if (this.#imageBytes > superblock.dataBlocks * BLOCK_BYTES) throw otherLength('more', superblock);
    await this.#hasher.write(chunk);
  }

  /** @returns the root hash of both @throws GantryError `image/empty`, `image/not-blocks`, `image/verity-mismatch`, `aborted` */
  async end(): Promise<string> {
    await this.#hasher.end();
    const { tree } = this.#options;
    refuseOtherLength(tree, this.#imageBytes);
    if (this.#wrong > 0) throw wrongData(this.#firstWrong, this.#wrong, tree.superblock.dataBlocks);
    refuseOtherRoot(this.#rootHash, this.#options.rootHash);
    return this.#rootHash;
  }

  /** Lets go of the hash image; harmless after the end. */
  async close(): Promise<void> {
    await this.#expected.close();
  }

  async #compare(leaves: Uint8Array, firstBlock: number): Promise<void> {
    const { tree, stopAt } = this.#options;
    const level = tree.levels.at(-1);
    if (level === undefined) {
      this.#rootHash = Buffer.from(leaves).toString('hex');
      return;
    }
    const start = level.position + firstBlock * DIGEST_BYTES;
    while (this.#expected.offset < start) {
      // Past the levels above, in steps: they were read before.
      const skipped = await this.#expected.take(Math.min(SKIP_BYTES, start - this.#expected.offset));
      if (skipped.length === 0) break;
    }
    const expected = await this.#expected.take(leaves.length);
    if (expected.equals(leaves)) return;
    for (let index = 0; index * DIGEST_BYTES < leaves.length; index += 1) {
      const at = index * DIGEST_BYTES;
      if (isEntry(expected, index, leaves.subarray(at, at + DIGEST_BYTES))) continue;
      if (this.#wrong === 0) this.#firstWrong = firstBlock + index;
      this.#wrong += 1;
    }
    if (stopAt === 'first') throw wrongData(this.#firstWrong, undefined, tree.superblock.dataBlocks);
  }
}

const SKIP_BYTES = 1 << 20;

/** What can be said before anything is read. @throws GantryError `image/not-blocks`, `image/verity-mismatch` */
export function refuseOtherLength({ superblock }: StoredTree, imageBytes: number): void {
  refuseNotBlocks(imageBytes);
  const blocks = imageBytes / BLOCK_BYTES;
  if (blocks !== superblock.dataBlocks) throw otherLength(String(blocks), superblock);
}

function isEntry(digests: Uint8Array, index: number, digest: Uint8Array): boolean {
  return Buffer.compare(digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES), digest) === 0;
}

function refuseOtherRoot(found: string, expected: string | undefined): void {
  if (expected === undefined || found === expected) return;
  throw mismatch('root-hash', `the root hash of the tree is ${found}; expected ${expected}`, {});
}

function brokenTree(level: number, block: number, problem: string): GantryError {
  const which = `block ${block} of level ${level} of the tree`;
  return mismatch('tree', `${which} ${problem}; expected a tree that is whole in itself, and the salt that it was built with`, {
    level,
    block,
  });
}

function otherLength(found: string, { dataBlocks }: VeritySuperblock): GantryError {
  return mismatch(
    'superblock',
    `the image has ${found} blocks; expected the ${dataBlocks} that the superblock of the hash image names`,
    {},
  );
}

/** @param wrong how many there are, when all of them were looked for */
function wrongData(block: number, wrong: number | undefined, dataBlocks: number): GantryError {
  const many =
    wrong === undefined || wrong === 1 ? '' : wrong === dataBlocks ? `, and none of ${dataBlocks} does` : `, nor do ${wrong - 1} others`;
  const problem = `block ${block} of the data, at byte ${block * BLOCK_BYTES}, does not match its digest${many}`;
  return mismatch('data', `${problem}; expected the image that the tree was built from`, {
    block,
    ...(wrong === undefined ? {} : { wrong }),
  });
}

function mismatch(part: VerityPart, problem: string, details: { level?: number; block?: number; wrong?: number }): GantryError {
  return new GantryError('image/verity-mismatch', `Cannot accept the hash image: ${problem}`, { part, ...details });
}

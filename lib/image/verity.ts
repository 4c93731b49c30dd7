/**
 * dm-verity hash trees as `veritysetup format` writes them: superblock version 1, hash type 1, SHA-256, 4 KiB blocks.
 *
 * Layout of the hash image: the superblock in its own block, then the levels of the tree from the top down; a level is the
 * salted digests of the blocks below it, in blocks of 128, the last one padded with zeros.
 */
import { createHash } from 'node:crypto';
import { GantryError } from '../errors.ts';
import { blocksOf } from './blocks.ts';

const BLOCK_BYTES = 4096;
const DIGEST_BYTES = 32;
const PER_BLOCK = BLOCK_BYTES / DIGEST_BYTES;
const SALT_MAX_BYTES = 256;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u;

export interface VerityOptions {
  /** At most 256 bytes; veritysetup's default has 32. */
  readonly salt: Uint8Array;
  readonly uuid: string;
}

export interface VerityTree {
  /** The hash image, block by block. */
  readonly image: readonly Uint8Array[];
  /** What the kernel is told: 64 hexadecimal digits. */
  readonly rootHash: string;
  readonly dataBlocks: number;
}

/**
 * The tree of a raw image of whole 4 KiB blocks. It is held in memory: 0.8 % of the image.
 *
 * @throws GantryError `image/empty`, `image/not-blocks`
 */
export async function buildVerityTree(source: AsyncIterable<Uint8Array>, options: VerityOptions): Promise<VerityTree> {
  if (options.salt.length > SALT_MAX_BYTES) throw new RangeError(`a salt has at most ${SALT_MAX_BYTES} bytes`);
  if (!UUID.test(options.uuid)) throw new RangeError('a UUID has the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx');
  const leaves: Buffer[] = [];
  for await (const chunk of blocksOf(source, BLOCK_BYTES * PER_BLOCK)) {
    if (chunk.length % BLOCK_BYTES !== 0) {
      throw new GantryError(
        'image/not-blocks',
        `Cannot build a verity tree: the image ends with a part of a block; expected whole blocks of ${BLOCK_BYTES} bytes`,
        {
          blockBytes: BLOCK_BYTES,
        },
      );
    }
    leaves.push(digestsOf(chunk, options.salt));
  }
  const [first] = leaves;
  if (first === undefined) throw new GantryError('image/empty', 'Cannot build a verity tree: the image is empty', { what: 'image' });
  const dataBlocks = (leaves.length - 1) * PER_BLOCK + (leaves.at(-1)?.length ?? 0) / DIGEST_BYTES;
  const levels: Buffer[][] = [];
  let digests = leaves;
  // One data block has no level at all: its digest is the root hash.
  while (!(digests.length === 1 && digests[0]?.length === DIGEST_BYTES)) {
    const level = digests.map(padded);
    levels.unshift(level);
    digests = grouped(level, options.salt);
  }
  const rootHash = (digests[0] ?? first).toString('hex');
  return { image: [superblock(dataBlocks, options), ...levels.flat()], rootHash, dataBlocks };
}

/** The length of the hash image of a raw image, as `buildVerityTree` and veritysetup make it. @param rawBytes whole blocks */
export function verityImageBytes(rawBytes: number): number {
  let blocks = 1;
  for (let level = Math.ceil(rawBytes / BLOCK_BYTES); level > 1;) {
    level = Math.ceil(level / PER_BLOCK);
    blocks += level;
  }
  return blocks * BLOCK_BYTES;
}

function digestsOf(blocks: Uint8Array, salt: Uint8Array): Buffer {
  const digests = Buffer.alloc((blocks.length / BLOCK_BYTES) * DIGEST_BYTES);
  for (let index = 0; index * BLOCK_BYTES < blocks.length; index += 1) {
    const block = blocks.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
    createHash('sha256')
      .update(salt)
      .update(block)
      .digest()
      .copy(digests, index * DIGEST_BYTES);
  }
  return digests;
}

/** The digests of a level's blocks, in groups that fill a block of the level above. */
function grouped(level: readonly Buffer[], salt: Uint8Array): Buffer[] {
  const groups: Buffer[] = [];
  for (let start = 0; start < level.length; start += PER_BLOCK) {
    groups.push(Buffer.concat(level.slice(start, start + PER_BLOCK).map((block) => digestsOf(block, salt))));
  }
  return groups;
}

function padded(digests: Buffer): Buffer {
  return Buffer.concat([digests], BLOCK_BYTES);
}

/** cryptsetup's verity superblock: little-endian, 512 bytes, in a block of its own. */
function superblock(dataBlocks: number, { salt, uuid }: VerityOptions): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write('verity\0\0', 0, 'latin1');
  block.writeUInt32LE(1, 8);
  block.writeUInt32LE(1, 12);
  block.write(uuid.replaceAll('-', ''), 16, 'hex');
  block.write('sha256', 32, 'latin1');
  block.writeUInt32LE(BLOCK_BYTES, 64);
  block.writeUInt32LE(BLOCK_BYTES, 68);
  block.writeBigUInt64LE(BigInt(dataBlocks), 72);
  block.writeUInt16LE(salt.length, 80);
  block.set(salt, 88);
  return block;
}

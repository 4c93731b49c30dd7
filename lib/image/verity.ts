/**
 * dm-verity hash trees, bit by bit as `veritysetup format` writes them.
 *
 * Rules:
 * - the image is read once, from one end to the other; its digests go where they belong as they come, because their places follow from
 *   its length, and only the levels above them are held: one byte for 16 KiB of the image;
 * - nothing is random here: salt and UUID come in as arguments, and the same arguments give the same bytes.
 */
import { createHash } from 'node:crypto';
import { GantryError } from '../errors.ts';
import { digestBlocks } from './verity-hash.ts';
import { verityImageBytes, verityLevels } from './verity-layout.ts';
import { LeafHasher, refuseNotBlocks } from './verity-leaves.ts';
import { BLOCK_BYTES, checkSuperblock, DIGEST_BYTES, encodeSuperblock, type VeritySuperblock } from './verity-superblock.ts';

export { verityImageBytes } from './verity-layout.ts';

export interface VerityOptions {
  /** At most 256 bytes; veritysetup's default has 32. */
  readonly salt: Uint8Array;
  /** In lower case. */
  readonly uuid: string;
  /** The length of the raw image. */
  readonly imageBytes: number;
  readonly signal?: AbortSignal;
}

/** A place in the hash image, and what stands there. */
export type WriteAt = (bytes: Uint8Array, position: number) => Promise<void>;

export interface VerityTree {
  readonly superblock: VeritySuperblock;
  /** What the kernel is told: 64 hexadecimal digits. */
  readonly rootHash: string;
  /** The length of the hash image, without what may follow the tree. */
  readonly treeBytes: number;
}

/**
 * Builds the tree of a raw image.
 *
 * @param write is handed every byte of the hash image once, in no particular order
 * @throws GantryError `image/empty`, `image/not-blocks`, `image/wrong-length` when the source has not the announced length, `aborted`;
 * RangeError for a salt or a UUID that cannot stand in a superblock
 */
export async function buildVerityTree(source: AsyncIterable<Uint8Array>, options: VerityOptions, write: WriteAt): Promise<VerityTree> {
  const { salt, uuid, imageBytes, signal } = options;
  if (imageBytes === 0) throw new GantryError('image/empty', 'Cannot build a verity tree: the image is empty', { what: 'image' });
  refuseNotBlocks(imageBytes);
  const superblock = { salt, uuid, dataBlocks: imageBytes / BLOCK_BYTES };
  checkSuperblock(superblock);
  const levels = verityLevels(superblock.dataBlocks);
  const leaves = levels.at(-1);
  let above: Uint8Array[] = [];
  const hasher = new LeafHasher({
    salt,
    signal,
    async onLeaves(digests, firstBlock) {
      if (leaves === undefined) above.push(digests);
      else {
        const blocks = padded(digests);
        await write(blocks, leaves.position + firstBlock * DIGEST_BYTES);
        above.push(digestBlocks(blocks, salt));
      }
    },
  });
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > imageBytes) break;
    await hasher.write(chunk);
  }
  if (bytes !== imageBytes) throw wrongLength(bytes, imageBytes);
  await hasher.end();
  for (const { position } of levels.slice(0, -1).toReversed()) {
    const blocks = padded(Buffer.concat(above));
    await write(blocks, position);
    above = [digestBlocks(blocks, salt)];
  }
  await write(encodeSuperblock(superblock), 0);
  return { superblock, rootHash: Buffer.concat(above).toString('hex'), treeBytes: verityImageBytes(imageBytes) };
}

/**
 * A salt and a UUID that are the same for every build of one product, so that two trees of it differ only where its images do.
 *
 * The salt is the SHA-256 of the line `gantry verity salt 1` and a line with the name; the UUID is made of the first 16 bytes of the
 * same with `uuid`, and marked as version 8 (RFC 9562).
 *
 * @param name for example `my-os/metal/x86_64`
 */
export function verityIdentityOf(name: string): Pick<VerityOptions, 'salt' | 'uuid'> {
  const digestOf = (what: string): Buffer => createHash('sha256').update(`gantry verity ${what} 1\n${name}\n`).digest();
  return { salt: digestOf('salt'), uuid: uuidOf(digestOf('uuid')) };
}

/** @param bytes 16 or more, all but 6 bits of them used */
function uuidOf(bytes: Uint8Array): string {
  const id = Buffer.from(bytes.subarray(0, 16));
  id.writeUInt8((id.readUInt8(6) & 0x0f) | 0x80, 6);
  id.writeUInt8((id.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = id.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

function padded(digests: Uint8Array): Uint8Array {
  const over = digests.length % BLOCK_BYTES;
  return over === 0 ? digests : Buffer.concat([digests], digests.length + BLOCK_BYTES - over);
}

function wrongLength(receivedBytes: number, expectedBytes: number): GantryError {
  const found = receivedBytes > expectedBytes ? 'more bytes' : `${receivedBytes} bytes`;
  return new GantryError('image/wrong-length', `Cannot build a verity tree: the image has ${found}; expected ${expectedBytes}`, {
    expectedBytes,
    receivedBytes,
  });
}

/** Trees in memory, for tests. */
import { buildVerityTree, type VerityTree } from '../../lib/image/verity.ts';
import { verityImageBytes } from '../../lib/image/verity-layout.ts';
import { inChunks } from './bytes.ts';

export const UUID = '6fd8bd60-7fd2-4fca-b0b5-c7a0ae9b2d6f';
export const SALT: Buffer = Buffer.from('00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff', 'hex');

export interface TreeInMemory extends VerityTree {
  readonly hashImage: Buffer;
}

export async function treeOf(
  image: Uint8Array,
  {
    salt = SALT,
    uuid = UUID,
    chunkBytes = 100_000,
  }: { readonly salt?: Uint8Array; readonly uuid?: string; readonly chunkBytes?: number } = {},
): Promise<TreeInMemory> {
  const hashImage = Buffer.alloc(verityImageBytes(image.length));
  const written = new Set<number>();
  const tree = await buildVerityTree(inChunks(image, chunkBytes), { salt, uuid, imageBytes: image.length }, async (bytes, position) => {
    for (let at = position; at < position + bytes.length; at += 4096) {
      if (written.has(at) || bytes.length % 4096 !== 0) throw new RangeError(`byte ${at} is written twice, or not as a block`);
      written.add(at);
    }
    hashImage.set(bytes, position);
  });
  if (written.size * 4096 !== hashImage.length) throw new RangeError(`${written.size} blocks were written`);
  return { ...tree, hashImage };
}

/**
 * Hash images as files: made, verified and read.
 *
 * Rules:
 * - images may be compressed; what is hashed is always the raw image;
 * - a hash image appears when it is whole, and only a hash image that was asked to be replaced is.
 */
import { createAtomicWriter } from '../files/atomic.ts';
import { buildVerityTree, type VerityOptions, type VerityTree } from '../image/verity.ts';
import { readVerityTree, refuseOtherLength, VerityChecker, type StoredTree } from '../image/verity-verify.ts';
import { withImageFile, type ImageFile, type RawOptions } from './image-file.ts';

export interface BuildOptions extends Pick<VerityOptions, 'salt' | 'uuid'>, RawOptions {
  readonly overwrite: 'replace' | 'refuse';
}

/**
 * Writes the hash image of an image.
 *
 * @throws GantryError `image/empty`, `image/not-blocks`, `image/bad-input`, `files/…`, `aborted`; RangeError like `buildVerityTree`
 */
export async function buildHashImage(imagePath: string, hashPath: string, options: BuildOptions): Promise<VerityTree> {
  const { salt, uuid, overwrite, ...rawOptions } = options;
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  return withImageFile(imagePath, async (image) => {
    const writer = await createAtomicWriter(hashPath, { overwrite });
    try {
      const imageBytes = await rawLengthOf(image, options.signal);
      const raw = image.raw({ ...rawOptions, memory: 'shared' });
      const tree = await buildVerityTree(raw, { salt, uuid, imageBytes, ...signal }, async (bytes, position) =>
        writer.write(bytes, position),
      );
      await image.file.assertUnchanged();
      await writer.commit();
      return tree;
    } finally {
      await writer.discard();
    }
  });
}

/** Of what is compressed, nothing but decompressing it tells for sure. */
async function rawLengthOf({ form, file, raw }: ImageFile, signal: AbortSignal | undefined): Promise<number> {
  if (form === 'raw') return file.lengthBytes;
  let lengthBytes = 0;
  for await (const chunk of raw({ signal })) lengthBytes += chunk.length;
  return lengthBytes;
}

/**
 * Compares a hash image with its image, to the end: how much does not fit is known then.
 *
 * @param options.rootHash what it must be, when that is known
 * @returns the tree, and the root hash of both
 * @throws GantryError `image/bad-verity`, `image/verity-mismatch`, `image/not-blocks`, `image/empty`, `image/bad-input`, `files/…`, `aborted`
 */
export async function verifyHashImage(
  imagePath: string,
  hashPath: string,
  options: RawOptions & { readonly rootHash?: string | undefined },
): Promise<{ readonly tree: StoredTree; readonly rootHash: string }> {
  const { rootHash, signal } = options;
  return withImageFile(hashPath, async (hash) => {
    const tree = await readVerityTree(hash.raw({ signal }), rootHash);
    return withImageFile(imagePath, async (image) => {
      if (image.form === 'raw') refuseOtherLength(tree, image.file.lengthBytes);
      const checker = new VerityChecker({ tree, hashImage: hash.raw({ signal }), rootHash, stopAt: 'end', signal });
      try {
        for await (const chunk of image.raw({ ...options, memory: 'shared' })) await checker.write(chunk);
        return { tree, rootHash: await checker.end() };
      } finally {
        await checker.close();
      }
    });
  });
}

/** What a hash image says of itself, and whether it is whole. @throws GantryError like `verifyHashImage` */
export async function readHashImage(hashPath: string, signal?: AbortSignal): Promise<StoredTree> {
  return withImageFile(hashPath, async (hash) => readVerityTree(hash.raw({ signal })));
}

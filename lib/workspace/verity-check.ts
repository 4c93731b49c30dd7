/**
 * Do boot, root and hash image of a release belong together? Found here, and not by a host that does not boot.
 *
 * Rules:
 * - the hash image is a dm-verity tree that is whole in itself, and every block of the root image matches it;
 * - where the boot image names the root hash of a root image, it is this one, and so are the salt and the sizes beside it;
 * - a boot image in which none is found is no error: what is compressed in it cannot be searched;
 * - what is quickly learnt comes first: hash and boot image are read before, the root image in passing while it is compressed.
 */
import { GantryError, isGantryError, quote, type LintFinding } from '../errors.ts';
import type { TableVerity } from '../image/frame-table.ts';
import { RootHashSearch, type StatedRoot } from '../image/root-hash-search.ts';
import { BLOCK_BYTES } from '../image/verity-superblock.ts';
import { readVerityTree, refuseOtherLength, VerityChecker, type StoredTree } from '../image/verity-verify.ts';
import type { ImageKind } from '../release/names.ts';
import type { Inspection } from './compress-image.ts';
import { withImageFile, type ImageFile } from './image-file.ts';
import { sourceName, sourcePath, type ImageSource } from './image-source.ts';

export interface VerityCheck extends Inspection {
  readonly tree: TableVerity;
  readonly findings: readonly LintFinding[];
}

type ImageSources = Readonly<Record<ImageKind, ImageSource>>;

/**
 * What can be learnt without reading the root image: for a rehearsal, and before minutes of compression.
 *
 * @throws GantryError like `withVerityCheck`
 */
export async function checkVerityQuickly(images: ImageSources, signal: AbortSignal | undefined): Promise<void> {
  await withVerityCheck(images, signal, async () => undefined);
}

/**
 * Checks what can be checked at once, and lets the work read the root image through `inspect`.
 *
 * @throws GantryError `image/bad-verity`, `image/verity-mismatch`, `image/not-blocks`, `image/root-hash`, `image/bad-input`, `aborted`,
 * and what the work throws
 */
export async function withVerityCheck<T>(
  images: ImageSources,
  signal: AbortSignal | undefined,
  work: (check: VerityCheck) => Promise<T>,
): Promise<T> {
  const named = <R>(step: Promise<R>): Promise<R> => step.catch((error: unknown) => Promise.reject(ofRelease(error, images)));
  return withImageFile(
    images.hash,
    async (hash) => {
      const tree = await named(readVerityTree(hash.raw({ signal })));
      const rootHash = await named(withImageFile(images.root, async (root) => rootHashOf(root, hash, tree)));
      const findings = await checkBoot(images.boot, { tree, rootHash, signal });
      const checker = new VerityChecker({ tree, hashImage: hash.raw({ signal }), stopAt: 'first', signal });
      const { salt, dataBlocks } = tree.superblock;
      const mark = { rootHash, salt: Buffer.from(salt).toString('hex'), dataBlocks };
      async function* inspect(raw: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
        for await (const chunk of raw) {
          await named(checker.write(chunk));
          yield chunk;
        }
        await named(checker.end());
      }
      try {
        return await work({ tree: { ...tree.superblock, rootHash }, findings, mark, inspect });
      } finally {
        await checker.close();
      }
    },
    `release ${sourceName(images.hash)} as the hash image`,
  );
}

/** The tree has it, unless there is one block only: then the root image is that block. */
async function rootHashOf(root: ImageFile, hash: ImageFile, tree: StoredTree): Promise<string> {
  if (root.form === 'raw') refuseOtherLength(tree, root.file.lengthBytes);
  if (tree.rootHash !== undefined) return tree.rootHash;
  const checker = new VerityChecker({ tree, hashImage: hash.raw(), stopAt: 'first' });
  for await (const chunk of root.raw()) await checker.write(chunk);
  return checker.end();
}

interface Expected {
  readonly tree: StoredTree;
  readonly rootHash: string;
  readonly signal: AbortSignal | undefined;
}

async function checkBoot(boot: ImageSource, { tree, rootHash, signal }: Expected): Promise<readonly LintFinding[]> {
  const { stated, isMentioned } = await withImageFile(
    boot,
    async (image) => {
      const search = new RootHashSearch(rootHash);
      for await (const chunk of image.raw({ signal })) search.write(chunk);
      return search.end();
    },
    `release ${sourceName(boot)} as the boot image`,
  );
  const wrong = stated.filter((one) => differenceOf(one, tree, rootHash) !== undefined);
  const [first] = wrong;
  if (first === undefined) return isMentioned ? [] : [warning(`no root hash is found in ${sourceName(boot)}; expected ${rootHash}`)];
  if (wrong.length === stated.length) {
    const what = differenceOf(first, tree, rootHash) ?? '';
    throw new GantryError('image/root-hash', `Cannot release ${sourceName(boot)} as the boot image: it boots a root image with ${what}`, {
      path: sourcePath(boot),
      expected: rootHash,
      found: [...new Set(wrong.map((one) => one.rootHash))],
    });
  }
  return [warning(`${sourceName(boot)} names the root hash ${rootHash}, and elsewhere ${first.rootHash}; expected one`)];
}

/** What a boot image says of its root image that is not so. */
function differenceOf(stated: StatedRoot, tree: StoredTree, rootHash: string): string | undefined {
  if (stated.rootHash !== rootHash) return `the root hash ${stated.rootHash}; expected ${rootHash}`;
  if (stated.table === undefined) return undefined;
  const { superblock } = tree;
  const salt = Buffer.from(superblock.salt).toString('hex');
  const { table } = stated;
  if (table.salt !== salt) return `the salt ${table.salt || '-'}; expected ${salt || '-'}`;
  const expected = [BLOCK_BYTES, BLOCK_BYTES, superblock.dataBlocks, 1, 'sha256'].join(' ');
  const found = [table.dataBlockBytes, table.hashBlockBytes, table.dataBlocks, table.hashStart, table.algorithm].join(' ');
  return found === expected ? undefined : `the parameters ${quote(found)}; expected ${quote(expected)}`;
}

function warning(message: string): LintFinding {
  return {
    rule: 'boot-root-hash',
    severity: 'warning',
    at: 'boot image',
    message,
    fix: 'see that its kernel command line has it; compressed files are not searched',
  };
}

/** The same error, with the names of the files. */
function ofRelease(error: unknown, { root, hash }: ImageSources): unknown {
  if (isGantryError(error, 'image/bad-verity') || isGantryError(error, 'image/verity-mismatch')) {
    return renamed(error, `release ${sourceName(hash)} as the hash image of ${sourceName(root)}`);
  }
  if (isGantryError(error, 'image/not-blocks') || isGantryError(error, 'image/empty')) {
    return renamed(error, `release ${sourceName(root)} as the root image`);
  }
  return error;
}

function renamed(error: GantryError, attempt: string): GantryError {
  return new GantryError(error.code, `Cannot ${attempt}: ${error.message.replace(/^Cannot [^:]*: /u, '')}`, error.details, {
    cause: error,
  });
}

/** What an image or a partition holds, as far as it begins with something that is known: a file system, or a hash tree. */
import { isGantryError, type LintFinding } from '../errors.ts';
import { findFileSystem, type FileSystem } from '../image/file-system.ts';
import { verityImageBytes } from '../image/verity-layout.ts';
import { BLOCK_BYTES, parseSuperblock, type VeritySuperblock } from '../image/verity-superblock.ts';

export type Held = HeldFileSystem | HeldTree;

interface HeldFileSystem {
  readonly kind: 'file-system';
  readonly fileSystem: FileSystem;
}

interface HeldTree {
  readonly kind: 'verity';
  readonly superblock: VeritySuperblock;
  /** Of what is hashed. */
  readonly dataBytes: number;
  readonly treeBytes: number;
}

/** What an image or a partition holds, by the bytes that it begins with. */
export function heldIn(head: Uint8Array): Held | undefined {
  const fileSystem = findFileSystem(head);
  if (fileSystem !== undefined) return { kind: 'file-system', fileSystem };
  try {
    const superblock = parseSuperblock(head);
    const dataBytes = superblock.dataBlocks * BLOCK_BYTES;
    return { kind: 'verity', superblock, dataBytes, treeBytes: verityImageBytes(dataBytes) };
  } catch (error) {
    if (isGantryError(error, 'image/bad-verity')) return undefined;
    throw error;
  }
}

/** What is wrong with it where it lies. */
export function heldFindings(
  held: Held,
  { at, lengthBytes }: { readonly at: string; readonly lengthBytes: number },
): readonly LintFinding[] {
  const [what, needed] =
    held.kind === 'verity' ? ['hash tree', held.treeBytes] : [`${held.fileSystem.format} file system`, held.fileSystem.lengthBytes];
  const isCut = needed > lengthBytes;
  const cut = `its ${what} has ${needed} bytes, and there are ${lengthBytes}; expected all of it`;
  return [
    ...(isCut ? [{ rule: 'cut-short', severity: 'error', at, message: cut, fix: 'build or copy the image again' } as const] : []),
    ...(held.kind === 'verity' ? [] : held.fileSystem.problems).map(
      (message) => ({ rule: 'file-system', severity: 'warning', at, message, fix: 'fsck finds out more' }) as const,
    ),
  ];
}

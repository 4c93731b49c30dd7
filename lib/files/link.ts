/** A second name for a file that never changes. */
import { constants, copyFile, link, open } from 'node:fs/promises';
import { fromSystemError } from './system-error.ts';

/** What a file system says that has no second names, not across this border, or no more of them. */
const NO_LINKS: ReadonlySet<string> = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/**
 * Gives a file another name, or copies it where that cannot be; a copy is synced.
 *
 * @throws GantryError `files/missing`, `files/exists`, `files/not-writable`, `files/disk-full`
 */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && NO_LINKS.has(String(error.code)))) throw missingOrWrite(error, from, to);
    await copy(from, to).catch((cause: unknown) => {
      throw missingOrWrite(cause, from, to);
    });
  }
}

async function copy(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  const file = await open(to, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function missingOrWrite(error: unknown, from: string, to: string): unknown {
  const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
  return isMissing ? fromSystemError(error, from, 'read') : fromSystemError(error, to, 'write');
}

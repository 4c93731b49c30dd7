/**
 * A repository in folders of this machine: a mounted disk, an unpacked bundle, a directory store.
 *
 * Rules:
 * - a symbolic link may lead to a file within the repository's folders, and nowhere else; a device or a pipe is no file;
 * - a file that is not there is missing, but a folder that is not there is a failure: a disk that is not mounted says nothing of what
 *   was published, and must not end the root chain.
 */
import { realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { fromSystemError } from '../files/read.ts';
import type { Locate } from './local-transport.ts';

/** Whether a link may lead out of the folders: `tuftool create` makes links of target files, and what comes is verified all the same. */
export type Links = 'inside' | 'anywhere';

/** @param folders `file:` URLs that end with a slash */
export function locateInFolders(folders: readonly URL[], links: Links = 'inside'): Locate {
  return async (url) => {
    const folder = folders.find(({ pathname }) => url.pathname.startsWith(pathname));
    const name = folder === undefined ? undefined : nameBelow(url, folder);
    if (folder === undefined || name === undefined) return undefined;
    const base = fileURLToPath(folder);
    const path = join(base, name);
    const real = await resolved(path);
    if (real === undefined) {
      await refuseNoFolder(base);
      return undefined;
    }
    if (links === 'anywhere') return real;
    const bases = await Promise.all(folders.map(async (each) => resolved(fileURLToPath(each))));
    if (bases.some((each) => each !== undefined && isInside(real, each))) return real;
    throw new GantryError(
      'files/not-readable',
      `Cannot read ${quote(path)}: it leads to ${quote(real)}; expected a file of the repository`,
      {
        path,
      },
    );
  };
}

/** What a URL asks for below a folder, as a server would read it; undefined for what no file is called. */
export function nameBelow(url: URL, folder: URL): string | undefined {
  const asked = url.pathname.slice(folder.pathname.length);
  try {
    const name = decodeURIComponent(asked);
    return name.split('/').some((part) => part === '' || part === '.' || part === '..' || part.includes('\0')) ? undefined : name;
  } catch {
    return undefined;
  }
}

/** Undefined when it is not there. */
async function resolved(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch (error) {
    const problem = fromSystemError(error, path, 'read');
    // A name that no file can have belongs to no file.
    if (isGantryError(problem, 'files/missing') || (error instanceof Error && 'code' in error && error.code === 'ENAMETOOLONG')) {
      return undefined;
    }
    throw problem;
  }
}

async function refuseNoFolder(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (error) {
    throw fromSystemError(error, path, 'read');
  }
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

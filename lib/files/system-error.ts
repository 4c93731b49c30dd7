/** What the operating system said, in our codes. */
import { GantryError, quote, type ErrorCode } from '../errors.ts';

type FilesCode = Extract<ErrorCode, 'files/missing' | 'files/not-readable' | 'files/not-writable' | 'files/disk-full' | 'files/exists'>;

const MEANINGS: Readonly<Record<string, { readonly code: FilesCode; readonly is: string }>> = {
  ENOENT: { code: 'files/missing', is: 'it does not exist' },
  ENOTDIR: { code: 'files/missing', is: 'a part of the path is not a directory' },
  EISDIR: { code: 'files/not-readable', is: 'it is a directory; expected a file' },
  ENOSPC: { code: 'files/disk-full', is: 'the disk is full' },
  EDQUOT: { code: 'files/disk-full', is: 'the disk quota is used up' },
  EFBIG: { code: 'files/disk-full', is: 'the file would be larger than the file system allows' },
  EEXIST: { code: 'files/exists', is: 'it exists already' },
  EROFS: { code: 'files/not-writable', is: 'the file system is read-only' },
};

/**
 * The error as a `GantryError`; one that is one already, or that no file system throws, stays what it is.
 *
 * @param what the attempt, for example `read` or `write`
 */
export function fromSystemError(error: unknown, path: string, what: string): unknown {
  if (error instanceof GantryError || !(error instanceof Error) || !('code' in error)) return error;
  const systemCode = String(error.code);
  if (systemCode === 'EACCES' || systemCode === 'EPERM') {
    const code = what === 'read' ? 'files/not-readable' : 'files/not-writable';
    return new GantryError(code, `Cannot ${what} ${quote(path)}: permission denied`, { path }, { cause: error });
  }
  const meaning = MEANINGS[systemCode];
  const code = meaning?.code ?? (what === 'read' ? 'files/not-readable' : 'files/not-writable');
  return new GantryError(code, `Cannot ${what} ${quote(path)}: ${meaning?.is ?? error.message}`, { path }, { cause: error });
}

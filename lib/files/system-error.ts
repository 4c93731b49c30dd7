/** What the operating system said, in our codes. */
import { GantryError, quote, type ErrorCode } from '../errors.ts';

type FilesCode = Extract<ErrorCode, 'files/missing' | 'files/not-readable' | 'files/not-writable' | 'files/disk-full' | 'files/exists'>;

/** A system's code; Node's own errors start with `ERR_`. */
const SYSTEM_CODE = /^E[A-Z0-9]+$/u;

const MEANINGS: Readonly<Record<string, { readonly code?: FilesCode; readonly is: string }>> = {
  ENOENT: { code: 'files/missing', is: 'it does not exist' },
  ENOTDIR: { code: 'files/missing', is: 'a part of the path is not a directory' },
  EISDIR: { is: 'it is a directory; expected a file' },
  EACCES: { is: 'permission denied' },
  EPERM: { is: 'permission denied' },
  ELOOP: { is: 'it is a symbolic link; expected a file' },
  ENOSPC: { code: 'files/disk-full', is: 'the disk is full' },
  EDQUOT: { code: 'files/disk-full', is: 'the disk quota is used up' },
  EFBIG: { code: 'files/disk-full', is: 'the file would be larger than the file system allows' },
  EEXIST: { code: 'files/exists', is: 'it exists already' },
  EROFS: { is: 'the file system is read-only' },
};

/**
 * The error as a `GantryError`; one that is one already, or that no file system throws, stays what it is.
 *
 * @param what the attempt, for example `read` or `write`
 */
export function fromSystemError(error: unknown, path: string, what: string): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string' || !SYSTEM_CODE.test(error.code)) return error;
  const meaning = MEANINGS[error.code];
  const code = meaning?.code ?? (what === 'read' ? 'files/not-readable' : 'files/not-writable');
  // A file that is to be made cannot be missing itself.
  const is = what === 'write' && error.code === 'ENOENT' ? 'its directory does not exist' : meaning?.is;
  // Node's text goes on with the path, unquoted.
  const [words] = error.message.split(',', 1);
  return new GantryError(code, `Cannot ${what} ${quote(path)}: ${is ?? words ?? error.code}`, { path }, { cause: error });
}

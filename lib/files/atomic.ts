/**
 * Replacing files safely: the one place that knows how.
 *
 * Rules:
 * - the bytes are written to a temporary name in the same folder, synced, renamed, and the folder is synced;
 * - until then nothing changes under the name; after a failure no temporary stays;
 * - only a file is ever replaced: a rename would put a file in the place of `/dev/null` too;
 * - a temporary of a process that died starts with a dot and ends with `.tmp`, so that whoever lists a folder can tell.
 */
import { randomUUID } from 'node:crypto';
import { link, mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { GantryError, quote } from '../errors.ts';
import { fromSystemError } from './system-error.ts';

export interface AtomicWriter {
  /** @param position where in the file; without one for any chunk, each goes behind the one before */
  write(chunk: Uint8Array, position?: number): Promise<void>;
  /** Syncs, and gives the bytes their name. @throws GantryError `files/exists` when overwriting is refused */
  commit(): Promise<void>;
  /** Forgets the bytes; harmless after a commit. */
  discard(): Promise<void>;
  /** The same as `discard`. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface AtomicOptions {
  /** Permission bits, before the process's mask; 0o666 by default. */
  readonly mode?: number;
}

/**
 * A file that appears under `path` when it is committed.
 *
 * @throws GantryError `files/missing`, `files/not-writable`, `files/disk-full`
 */
export async function createAtomicWriter(
  path: string,
  options: AtomicOptions & { readonly overwrite: 'replace' | 'refuse' },
): Promise<AtomicWriter> {
  await refuseNotFile(path);
  const temporary = temporaryName(path);
  let handle: FileHandle | undefined = await attempt(path, async () => open(temporary, 'wx', options.mode ?? 0o666));
  const discard = async (): Promise<void> => {
    if (handle === undefined) return;
    const closing = handle;
    handle = undefined;
    await closing.close().catch(() => undefined);
    await rm(temporary, { force: true });
  };
  const whileOpen = async (work: (open: FileHandle) => Promise<void>): Promise<void> => {
    const current = handle;
    if (current === undefined) throw new TypeError(`the writer of ${path} is closed`);
    await attempt(path, async () => work(current));
  };
  return {
    discard,
    [Symbol.asyncDispose]: discard,
    write: async (chunk, position) =>
      whileOpen(async (file) => {
        for (let done = 0; done < chunk.length;) {
          const at = position === undefined ? null : position + done;
          done += (await file.write(chunk, done, chunk.length - done, at)).bytesWritten;
        }
      }),
    commit: async () => {
      try {
        await whileOpen(async (file) => file.sync());
        await attempt(path, async () => (options.overwrite === 'replace' ? rename(temporary, path) : link(temporary, path)));
      } finally {
        await discard();
      }
      await syncFolder(dirname(path));
    },
  };
}

/** Writes or replaces a file. @throws GantryError like `createAtomicWriter` */
export async function writeFileAtomic(path: string, content: Uint8Array | string, options: AtomicOptions = {}): Promise<void> {
  await writeWhole(path, content, { ...options, overwrite: 'replace' });
}

/** Writes a file that must not exist. @throws GantryError `files/exists`, and like `createAtomicWriter` */
export async function writeNewFile(path: string, content: Uint8Array | string, options: AtomicOptions = {}): Promise<void> {
  await writeWhole(path, content, { ...options, overwrite: 'refuse' });
}

async function writeWhole(
  path: string,
  content: Uint8Array | string,
  options: AtomicOptions & { readonly overwrite: 'replace' | 'refuse' },
): Promise<void> {
  const writer = await createAtomicWriter(path, options);
  try {
    await writer.write(typeof content === 'string' ? Buffer.from(content, 'utf8') : content);
    await writer.commit();
  } catch (error) {
    await writer.discard();
    throw error;
  }
}

/** Makes a directory that only its owner may enter, and its parents. */
export async function ensurePrivateDirectory(path: string): Promise<void> {
  await attempt(path, async () => mkdir(path, { recursive: true, mode: 0o700 }));
}

/** Makes a directory and its parents, so that they survive a power cut. @throws GantryError like `createAtomicWriter` */
export async function makeFolders(path: string): Promise<void> {
  const folder = resolve(path);
  const first = await attempt(folder, async () => mkdir(folder, { recursive: true }));
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
}

/** Makes a rename survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  await attempt(path, async () => {
    const folder = await open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  });
}

/** @throws GantryError `files/not-writable` when a directory, a device or a pipe has the name */
export async function refuseNotFile(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  const is = found.isDirectory() ? 'it is a directory; expected a file' : 'it is a device or a pipe; expected a file or a free name';
  throw new GantryError('files/not-writable', `Cannot write ${quote(path)}: ${is}`, { path });
}

function temporaryName(path: string): string {
  // Short, so that the longest allowed file name still has room.
  return join(dirname(path), `.${basename(path).slice(0, 40)}.${randomUUID()}.tmp`);
}

async function attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fromSystemError(error, path, 'write');
  }
}

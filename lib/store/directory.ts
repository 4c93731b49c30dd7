/**
 * A store in a directory, which any static server can serve.
 *
 * Rules:
 * - an object appears under its name complete, synced and all at once;
 * - bytes are copied before the lock is taken (`uploads.ts`): only "look and rename" happens under it;
 * - what Gantry needs for itself lies in `.gantry/`, and no name that starts with a dot is ever listed or served;
 * - a symbolic link is not an object: following it could lead out of the store.
 */
import { constants } from 'node:fs';
import { lstat, open, readdir, rename, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { isGantryError, refuseAborted } from '../errors.ts';
import { makeFolders, syncFolder } from '../files/atomic.ts';
import { withLock, type LockOptions } from '../files/lock.ts';
import { fromSystemError } from '../files/read.ts';
import { isStorePath } from './path.ts';
import { failed, missing, refuseLinks, refuseOwnLinks, refuseUnexpected, STORE_LOCK, storeError } from './refusals.ts';
import type { ObjectInfo, ReadOptions, Store, StorePath, StoreVersion, StoredObject } from './store.ts';
import { withUpload } from './uploads.ts';

const CHUNK_BYTES = 1 << 20;
const LOCK_WAIT_MS = 60_000;

/** @param directory made on the first write when it is missing */
export function createDirectoryStore(directory: string): Store {
  const root = resolve(directory);
  const fileOf = (path: StorePath): string => join(root, ...path.split('/'));
  const head = async (path: StorePath): Promise<ObjectInfo | undefined> => {
    await refuseLinks(root, path, 'head');
    return infoOf(path, fileOf(path));
  };

  return {
    description: root,
    head,

    async read(path, { signal } = {}): Promise<StoredObject> {
      refuseAborted(signal);
      await refuseLinks(root, path, 'read');
      const handle = await openObject(path, fileOf(path));
      try {
        const found = await handle.stat({ bigint: true });
        if (!found.isFile()) throw missing(path, 'read');
        const info = describe(path, found);
        // A body that nobody reads must not keep a file open: Node ends the process for it.
        const small = info.lengthBytes <= CHUNK_BYTES;
        const body = small ? inMemory(await drain(readAll(handle, info, signal))) : readLater(info, fileOf(path), signal);
        return { info, body };
      } finally {
        await handle.close();
      }
    },

    async write(path, body, options): Promise<StoreVersion> {
      const file = fileOf(path);
      const lock = lockOptions(options);
      await refuseOwnLinks(root, path, 'write');
      refuseUnexpected(path, await head(path), options.expect);
      const replace = async (upload: string): Promise<StoreVersion> => {
        refuseUnexpected(path, await head(path), options.expect);
        await place(upload, file);
        const info = await head(path);
        if (info === undefined) throw failed(path, 'write', 'it vanished right after it was written');
        return info.version;
      };
      return withUpload({ root, path, file }, body, { ...options, lock }, async (upload) =>
        withLock(join(root, STORE_LOCK), lock, async () => replace(upload)).catch((error: unknown) => {
          throw storeError(error, path, 'write', file);
        }),
      );
    },

    async *list(prefix, { signal } = {}): AsyncGenerator<ObjectInfo, void, undefined> {
      for await (const file of filesBelow(root, prefix)) {
        refuseAborted(signal);
        const name = relative(root, file).split(sep).join('/');
        // What has no name of ours is nothing of the store.
        if (!name.startsWith(prefix) || !isStorePath(name)) continue;
        const info = await infoOf(name, file);
        if (info !== undefined) yield info;
      }
    },

    async remove(path): Promise<void> {
      const file = fileOf(path);
      await refuseOwnLinks(root, path, 'remove');
      await withLock(join(root, STORE_LOCK), lockOptions(), async () => {
        await refuseLinks(root, path, 'remove');
        await unlink(file).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT') throw fromSystemError(error, file, 'remove');
        });
      }).catch((error: unknown) => {
        throw storeError(error, path, 'remove', file);
      });
    },
  };
}

function lockOptions({ signal }: ReadOptions = {}): LockOptions {
  return signal === undefined ? { waitMs: LOCK_WAIT_MS } : { waitMs: LOCK_WAIT_MS, signal };
}

/** Gives the received bytes their name. */
async function place(upload: string, file: string): Promise<void> {
  await makeFolders(dirname(file));
  await rename(upload, file).catch((error: unknown) => {
    throw fromSystemError(error, file, 'write');
  });
  await syncFolder(dirname(file));
}

/** Node's own recursive listing follows links. */
async function* filesBelow(folder: string, prefix: string): AsyncGenerator<string, void, undefined> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    const known = fromSystemError(error, folder, 'read');
    if (isGantryError(known, 'files/missing')) return [];
    throw storeError(known, prefix, 'list', folder);
  });
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path, prefix);
    else if (entry.isFile()) yield path;
  }
}

async function openObject(path: StorePath, file: string): Promise<FileHandle> {
  try {
    // Not waiting for the writer of a pipe that somebody put there.
    return await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw storeError(fromSystemError(error, file, 'read'), path, 'read', file);
  }
}

async function* inMemory(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks;
}

async function drain(source: AsyncIterable<Uint8Array>): Promise<readonly Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return chunks;
}

/** @throws GantryError `store/failed` when the object is another one by now */
async function* readLater(info: ObjectInfo, file: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void, undefined> {
  const handle = await openObject(info.path, file);
  try {
    const { version } = describe(info.path, await handle.stat({ bigint: true }));
    if (version !== info.version) throw failed(info.path, 'read', 'it was replaced before its bytes were read');
    yield* readAll(handle, info, signal);
  } finally {
    await handle.close();
  }
}

async function* readAll(
  handle: FileHandle,
  { path, lengthBytes }: ObjectInfo,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for (let done = 0; ;) {
      refuseAborted(signal);
      // The end is seen with one byte of room; a name is replaced, its file never grows.
      const left = Math.min(CHUNK_BYTES, Math.max(1, lengthBytes - done + 1));
      const buffer = Buffer.allocUnsafeSlow(left);
      const { bytesRead } = await handle.read(buffer, 0, left);
      if (bytesRead === 0) return;
      done += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    throw storeError(fromSystemError(error, path, 'read'), path, 'read', path);
  }
}

async function infoOf(path: StorePath, file: string): Promise<ObjectInfo | undefined> {
  try {
    const found = await lstat(file, { bigint: true });
    return found.isFile() ? describe(path, found) : undefined;
  } catch (error) {
    const known = fromSystemError(error, file, 'read');
    if (isGantryError(known, 'files/missing')) return undefined;
    throw storeError(known, path, 'head', file);
  }
}

/** A rename always changes the inode or the times, so these are a version. */
function describe(
  path: StorePath,
  { ino, size, mtimeNs, mtime }: { readonly ino: bigint; readonly size: bigint; readonly mtimeNs: bigint; readonly mtime: Date },
): ObjectInfo {
  const version = [ino, size, mtimeNs].map((part) => part.toString(36)).join('-') as StoreVersion;
  return { path, lengthBytes: Number(size), version, modified: mtime };
}

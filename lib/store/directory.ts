/**
 * A store in a directory, which any static server can serve.
 *
 * Rules:
 * - an object appears under its name complete, synced and all at once;
 * - bytes are copied before the lock is taken: only "look and rename" happens under it, so a large upload holds up nobody;
 * - what Gantry needs for itself lies in `.gantry/`, and no name that starts with a dot is ever listed or served;
 * - a symbolic link is not an object: following it could lead out of the store.
 */
import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, readdir, rename, rm, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { GantryError, isGantryError, quote, refuseAborted } from '../errors.ts';
import { createAtomicWriter, syncFolder } from '../files/atomic.ts';
import { withLock } from '../files/lock.ts';
import { fromSystemError } from '../files/read.ts';
import { isStorePath } from './path.ts';
import type { ByteSource, Expect, ObjectInfo, Store, StorePath, StoreVersion, StoredObject, WriteOptions } from './store.ts';

const CHUNK_BYTES = 1 << 20;
const LOCK_WAIT_MS = 60_000;
/** An upload that was not touched for a day belongs to nobody. */
const ABANDONED_MS = 24 * 3600 * 1000;

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

    async read(path): Promise<StoredObject> {
      await refuseLinks(root, path, 'read');
      const handle = await openObject(path, fileOf(path));
      try {
        const found = await handle.stat({ bigint: true });
        if (!found.isFile()) throw missing(path, 'read');
        const info = describe(path, found);
        // A body that nobody reads must not keep a file open: Node ends the process for it.
        const body = info.lengthBytes > CHUNK_BYTES ? readLater(info, fileOf(path)) : inMemory(await drain(readAll(handle, path)));
        return { info, body };
      } finally {
        await handle.close();
      }
    },

    async write(path, body, options): Promise<StoreVersion> {
      const file = fileOf(path);
      refuseUnexpected(path, await head(path), options.expect);
      const upload = await receive(root, path, body, options);
      try {
        return await withLock(join(root, '.gantry', 'lock.sqlite'), lockOptions(options), async () => {
          refuseUnexpected(path, await head(path), options.expect);
          await place(upload, file, root);
          const info = await head(path);
          if (info === undefined) throw failed(path, 'write', 'it vanished right after it was written');
          return info.version;
        });
      } catch (error) {
        throw storeError(error, path, 'write');
      } finally {
        await rm(upload, { force: true });
      }
    },

    async *list(prefix): AsyncGenerator<ObjectInfo, void, undefined> {
      for await (const file of filesBelow(root, prefix)) {
        const name = relative(root, file).split(sep).join('/');
        // What has no name of ours is nothing of the store.
        if (!name.startsWith(prefix) || !isStorePath(name)) continue;
        const info = await infoOf(name, file);
        if (info !== undefined) yield info;
      }
    },

    async remove(path): Promise<void> {
      await withLock(join(root, '.gantry', 'lock.sqlite'), { waitMs: LOCK_WAIT_MS }, async () => {
        await refuseLinks(root, path, 'remove');
        await unlink(fileOf(path)).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT') throw fromSystemError(error, fileOf(path), 'remove');
        });
      }).catch((error: unknown) => {
        throw storeError(error, path, 'remove');
      });
    },
  };
}

function lockOptions({ signal }: WriteOptions): { readonly waitMs: number; readonly signal?: AbortSignal } {
  return signal === undefined ? { waitMs: LOCK_WAIT_MS } : { waitMs: LOCK_WAIT_MS, signal };
}

/** Copies the source to `.gantry/uploads/`, on the same file system; checks that it is what it says. */
async function receive(root: string, path: StorePath, body: ByteSource, options: WriteOptions): Promise<string> {
  const folder = join(root, '.gantry', 'uploads');
  const upload = join(folder, randomUUID());
  let writer;
  try {
    await prepareUploads(folder);
    writer = await createAtomicWriter(upload, { overwrite: 'replace' });
    const hash = createHash('sha256');
    let length = 0;
    for await (const chunk of body.open()) {
      refuseAborted(options.signal);
      hash.update(chunk);
      length += chunk.length;
      await writer.write(chunk);
      options.onProgress?.(length);
    }
    const sha256 = hash.digest('hex');
    if (length !== body.lengthBytes || sha256 !== body.sha256) {
      throw new GantryError(
        'store/source-changed',
        `Cannot write ${quote(path)}: its source gave ${length} bytes, SHA-256 ${sha256}; expected ${body.lengthBytes} bytes, SHA-256 ${body.sha256}`,
        { path },
      );
    }
    await writer.commit();
    return upload;
  } catch (error) {
    await writer?.discard();
    throw storeError(error, path, 'write');
  }
}

async function prepareUploads(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await removeAbandoned(folder);
  } catch (error) {
    throw fromSystemError(error, folder, 'write');
  }
}

async function removeAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const file = join(folder, name);
    const found = await lstat(file).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > ABANDONED_MS) await rm(file, { force: true });
  }
}

/** Gives the received bytes their name, and makes every new folder on the way durable. */
async function place(upload: string, file: string, root: string): Promise<void> {
  const folder = dirname(file);
  const made = await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw fromSystemError(error, file, 'write');
  });
  await rename(upload, file).catch((error: unknown) => {
    throw fromSystemError(error, file, 'write');
  });
  await syncFolder(folder);
  if (made === undefined) return;
  for (let above = dirname(folder); above.length >= root.length; above = dirname(above)) await syncFolder(above);
}

function refuseUnexpected(path: StorePath, found: ObjectInfo | undefined, expect: Expect): void {
  const expected = expect === 'absent' ? undefined : expect.version;
  if (found?.version === expected) return;
  const name = (version: string | undefined): string => (version === undefined ? 'nothing' : `version ${version}`);
  throw new GantryError('store/conflict', `Cannot write ${quote(path)}: found ${name(found?.version)}; expected ${name(expected)}`, {
    path,
    expected: name(expected),
    found: name(found?.version),
  });
}

/** Node's own recursive listing follows links. */
async function* filesBelow(folder: string, prefix: string): AsyncGenerator<string, void, undefined> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    const known = fromSystemError(error, folder, 'read');
    if (isGantryError(known, 'files/missing')) return [];
    throw storeError(known, prefix, 'list');
  });
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path, prefix);
    else if (entry.isFile()) yield path;
  }
}

/** A link in the place of a folder leads out of the store as well. @throws GantryError `store/denied` */
async function refuseLinks(root: string, path: StorePath, call: string): Promise<void> {
  const folders = path.split('/').slice(0, -1);
  for (let depth = 1; depth <= folders.length; depth += 1) {
    const folder = join(root, ...folders.slice(0, depth));
    const found = await lstat(folder).catch(() => undefined);
    if (found?.isSymbolicLink() !== true) continue;
    throw new GantryError(
      'store/denied',
      `Cannot ${call} ${quote(path)} in the store: ${quote(folder)} is a symbolic link; expected a directory`,
      { path },
    );
  }
}

async function openObject(path: StorePath, file: string): Promise<FileHandle> {
  try {
    // Not waiting for the writer of a pipe that somebody put there.
    return await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw storeError(fromSystemError(error, file, 'read'), path, 'read');
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
async function* readLater(info: ObjectInfo, file: string): AsyncGenerator<Uint8Array, void, undefined> {
  const handle = await openObject(info.path, file);
  try {
    const { version } = describe(info.path, await handle.stat({ bigint: true }));
    if (version !== info.version) throw failed(info.path, 'read', 'it was replaced before its bytes were read');
    yield* readAll(handle, info.path);
  } finally {
    await handle.close();
  }
}

async function* readAll(handle: FileHandle, path: StorePath): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for (;;) {
      const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    throw storeError(fromSystemError(error, path, 'read'), path, 'read');
  }
}

async function infoOf(path: StorePath, file: string): Promise<ObjectInfo | undefined> {
  try {
    const found = await lstat(file, { bigint: true });
    return found.isFile() ? describe(path, found) : undefined;
  } catch (error) {
    const known = fromSystemError(error, file, 'read');
    if (isGantryError(known, 'files/missing')) return undefined;
    throw storeError(known, path, 'head');
  }
}

/** A rename always changes the inode or the times, so these are a version. */
function describe(
  path: StorePath,
  { ino, size, mtimeNs }: { readonly ino: bigint; readonly size: bigint; readonly mtimeNs: bigint },
): ObjectInfo {
  return { path, lengthBytes: Number(size), version: [ino, size, mtimeNs].map((part) => part.toString(36)).join('-') as StoreVersion };
}

/** What the file system said, in the words of a store; a full disk stays one. */
function storeError(error: unknown, path: string, call: string): unknown {
  // Only a read can find that an object is missing; a write that fails like that has no directory to write to.
  if (isGantryError(error, 'files/missing') && call !== 'write') {
    return missing(path, call, error);
  }
  if (isGantryError(error) && error.code.startsWith('files/') && error.code !== 'files/disk-full' && error.code !== 'files/locked') {
    return new GantryError('store/denied', `Cannot ${call} ${quote(path)} in the store: ${error.message}`, { path }, { cause: error });
  }
  return error;
}

function missing(path: string, call: string, cause?: unknown): GantryError {
  return new GantryError('store/missing', `Cannot ${call} ${quote(path)}: it is not in the store`, { path }, { cause });
}

function failed(path: StorePath, call: string, problem: string): GantryError {
  return new GantryError('store/failed', `Cannot ${call} ${quote(path)}: ${problem}`, { path, call });
}

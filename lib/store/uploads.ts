/**
 * Bytes on their way into a directory store.
 *
 * Rules:
 * - an upload has a folder of its own, on the file system of the store, and its writer holds a lock in it until the end;
 * - the kernel releases that lock when the writer dies, so the next writer can tell what nobody will finish from what is
 *   merely slow, and removes it;
 * - these folders are made and removed under one more lock, for moments only, so that nobody meets one that is half there;
 * - tidying up never changes what came of a write: what could not be removed, the next writer removes;
 * - the lock of the store itself is not held meanwhile: a large upload holds up nobody.
 */
import { createHash, randomUUID } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError, isGantryError, quote, refuseAborted } from '../errors.ts';
import { createAtomicWriter, makeFolders } from '../files/atomic.ts';
import { withLock, type LockOptions } from '../files/lock.ts';
import { fromSystemError } from '../files/read.ts';
import { CLAIMS_LOCK, storeError, UPLOADS } from './refusals.ts';
import type { ByteSource, StorePath, WriteOptions } from './store.ts';

/** Where the bytes are to go. */
export interface Destination {
  /** The directory of the store. */
  readonly root: string;
  readonly path: StorePath;
  readonly file: string;
}

/**
 * Copies the source to a synced file, and runs `work` with its name; whatever `work` leaves there is removed.
 *
 * @throws GantryError `store/source-changed`, `store/denied`, `files/disk-full`, `files/locked`, `aborted`; what the source throws
 */
export async function withUpload<T>(
  destination: Destination,
  source: ByteSource,
  options: WriteOptions & { readonly lock: LockOptions },
  work: (upload: string) => Promise<T>,
): Promise<T> {
  const uploads = join(destination.root, UPLOADS);
  const folder = join(uploads, randomUUID());
  const claims = join(destination.root, CLAIMS_LOCK);
  const { working } = await attempt(destination, async () => {
    await makeFolders(uploads);
    // Between making its folder and locking it, an upload would look like one that nobody will finish.
    return withLock(claims, options.lock, async () => {
      await removeAbandoned(uploads);
      return hold(folder, async () => {
        try {
          return await receive(join(folder, 'bytes'), destination, source, options, work);
        } finally {
          // Not with the signal: what was cancelled is tidied up as well.
          await tidy(async () => withLock(claims, { waitMs: options.lock.waitMs }, async () => removeFolder(folder)));
        }
      });
    });
  });
  const outcome = await working;
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}

type Outcome<T> = { readonly value: T } | { readonly error: unknown };

/** Goes on as soon as the folder is locked; how the work went is told apart from whether it could begin. */
async function hold<T>(folder: string, work: () => Promise<T>): Promise<{ readonly working: Promise<Outcome<T>> }> {
  const { promise: held, resolve: holding } = Promise.withResolvers<void>();
  const working = withLock(join(folder, 'lock.sqlite'), { waitMs: 0 }, async (): Promise<Outcome<T>> => {
    holding();
    try {
      return { value: await work() };
    } catch (error) {
      return { error };
    }
  });
  await Promise.race([held, working]);
  return { working };
}

async function removeAbandoned(uploads: string): Promise<void> {
  for (const entry of await readdir(uploads, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const folder = join(uploads, entry.name);
    // Locked is under way, not writable is another user's: neither is a reason not to write.
    await tidy(async () => withLock(join(folder, 'lock.sqlite'), { waitMs: 0 }, async () => removeFolder(folder)));
  }
}

async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true }).catch((error: unknown) => {
    throw fromSystemError(error, folder, 'remove');
  });
}

async function tidy(work: () => Promise<void>): Promise<void> {
  await work().catch((error: unknown) => {
    if (!isGantryError(error)) throw error;
  });
}

async function receive<T>(
  upload: string,
  destination: Destination,
  source: ByteSource,
  options: WriteOptions,
  work: (upload: string) => Promise<T>,
): Promise<T> {
  const writer = await attempt(destination, async () => createAtomicWriter(upload, { overwrite: 'refuse' }));
  try {
    const hash = createHash('sha256');
    let length = 0;
    for await (const chunk of source.open()) {
      refuseAborted(options.signal);
      hash.update(chunk);
      length += chunk.length;
      if (length > source.lengthBytes) throw changed(destination.path, `more than ${source.lengthBytes} bytes`, source);
      await attempt(destination, async () => writer.write(chunk));
      options.onProgress?.(length);
    }
    const sha256 = hash.digest('hex');
    if (length !== source.lengthBytes || sha256 !== source.sha256) {
      throw changed(destination.path, `${length} bytes, SHA-256 ${sha256}`, source);
    }
    await attempt(destination, async () => writer.commit());
  } finally {
    await writer.discard();
  }
  return work(upload);
}

function changed(path: StorePath, gave: string, { lengthBytes, sha256 }: ByteSource): GantryError {
  const message = `Cannot write ${quote(path)}: its source gave ${gave}; expected ${lengthBytes} bytes, SHA-256 ${quote(sha256)}`;
  return new GantryError('store/source-changed', message, { path });
}

/** Only what the store itself does: what the source throws is not the store's fault. */
async function attempt<T>({ path, file }: Destination, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storeError(error, path, 'write', file);
  }
}

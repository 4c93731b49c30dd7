/**
 * Where a download is written: a private file that gets its name in the end, or a slot or device in place.
 *
 * Rules:
 * - the private file lies beside its destination, so that it can be renamed; it belongs to us alone, or it is not used;
 * - a place of its own size is never made longer or shorter, and must have room before anything is fetched;
 * - data is synced all the while, in the background, and then the journal: what is lost with the power is little.
 */
import { constants } from 'node:fs';
import { chmod, open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GantryError, quote } from '../errors.ts';
import { syncFolder } from '../files/atomic.ts';
import { fromSystemError } from '../files/read.ts';
import type { DownloadJournal } from './download-journal.ts';

/** Never writable for others, so that nobody can hold it open and change it after it was verified. */
const NEW_FILE_MODE = 0o644;
const PRIVATE_MODE = 0o600;
const SYNC_BYTES = 32 << 20;
const SYNC_MS = 250;

export interface Place {
  readonly handle: FileHandle;
  /** What to call it in messages. */
  readonly path: string;
  /** Permission bits that it shall have in the end. */
  readonly mode: number;
  /** Nothing may be written behind. */
  readonly roomBytes: number;
}

/** @throws GantryError `files/not-writable`, `files/disk-full`, `files/missing` */
export async function createPartial(path: string, lengthBytes: number): Promise<Place> {
  return attempt(path, async () => {
    await rm(path, { force: true });
    const handle = await open(path, 'wx+', NEW_FILE_MODE);
    try {
      const { mode } = await handle.stat();
      await handle.chmod(PRIVATE_MODE);
      await handle.truncate(lengthBytes);
      // Its name must outlive a power cut, or the journal would speak of nothing.
      await syncFolder(dirname(path));
      return { handle, path, mode: mode & NEW_FILE_MODE, roomBytes: lengthBytes };
    } catch (error) {
      await handle.close();
      throw error;
    }
  });
}

/** The one that an earlier download has left; undefined when there is none that is ours and of this length. */
export async function reopenPartial(path: string, lengthBytes: number, mode: number): Promise<Place | undefined> {
  const handle = await open(path, constants.O_RDWR | constants.O_NOFOLLOW).catch(() => undefined);
  if (handle === undefined) return undefined;
  const found = await handle.stat();
  const isOurs = found.isFile() && found.nlink === 1 && found.uid === process.geteuid?.() && (found.mode & 0o077) === 0;
  if (isOurs && found.size === lengthBytes) return { handle, path, mode, roomBytes: lengthBytes };
  await handle.close();
  return undefined;
}

/** A slot or device as it is. @throws GantryError `files/missing`, `files/not-writable` when it is too small */
export async function openInPlace(path: string, lengthBytes: number): Promise<Place> {
  return attempt(path, async () => {
    const handle = await open(path, 'r+');
    try {
      return { handle, path, mode: 0, roomBytes: await roomIn(handle, path, lengthBytes) };
    } catch (error) {
      await handle.close();
      throw error;
    }
  });
}

/** A device does not say its size; whether it has enough is found by reading there, and its end by writing. */
async function roomIn(handle: FileHandle, path: string, lengthBytes: number): Promise<number> {
  const found = await handle.stat();
  if (!found.isFile() && !found.isBlockDevice()) {
    throw new GantryError('files/not-writable', `Cannot write ${quote(path)} in place: it is neither a file nor a block device`, { path });
  }
  const last = lengthBytes === 0 ? 1 : (await handle.read(Buffer.alloc(1), 0, 1, lengthBytes - 1)).bytesRead;
  if (last === 1) return found.isFile() ? found.size : Number.MAX_SAFE_INTEGER;
  const has = found.isFile() ? `it has ${found.size}` : 'it ends before that';
  throw new GantryError(
    'files/not-writable',
    `Cannot write ${lengthBytes} bytes to ${quote(path)} in place: ${has}; expected room for all`,
    {
      path,
    },
  );
}

/** All of these, one after the other. */
export async function writeAt({ handle, path }: Place, chunks: readonly Uint8Array[], position: number): Promise<void> {
  await attempt(path, async () => {
    let at = position;
    let left = chunks;
    while (left.length > 0) {
      const { bytesWritten } = await handle.writev(left as Uint8Array[], at);
      at += bytesWritten;
      left = behind(left, bytesWritten);
    }
  });
}

function behind(chunks: readonly Uint8Array[], written: number): readonly Uint8Array[] {
  let skip = written;
  for (const [index, chunk] of chunks.entries()) {
    if (skip < chunk.length) return [chunk.subarray(skip), ...chunks.slice(index + 1)];
    skip -= chunk.length;
  }
  return [];
}

/** Gives the private file its name. */
export async function commitPartial({ handle, path, mode }: Place, destination: string): Promise<void> {
  await attempt(destination, async () => {
    await handle.sync();
    await handle.close();
    await chmod(path, mode);
    await rename(path, destination);
  });
  await syncFolder(dirname(destination));
}

/** Whoever marks it as valid has it read back from the device first. */
export async function commitInPlace({ handle, path }: Place): Promise<void> {
  await attempt(path, async () => handle.sync());
}

/** Syncs in the background, again and again, for as long as bytes are written. */
export class Checkpoints {
  readonly #place: Place;
  readonly #journal: DownloadJournal;
  #unsynced = 0;
  #from = 0;
  #last = performance.now();
  #running: Promise<void> | undefined;
  #failure: unknown;

  constructor(place: Place, journal: DownloadJournal) {
    this.#place = place;
    this.#journal = journal;
  }

  /** @param fromStart bytes from the beginning that are written without a gap; 0 where that is of no use */
  wrote(bytes: number, fromStart: number): void {
    this.#unsynced += bytes;
    this.#from = fromStart;
    if (this.#running !== undefined) return;
    if (this.#unsynced >= SYNC_BYTES || performance.now() - this.#last >= SYNC_MS) this.#running = this.#sync();
  }

  /** Syncs all of it. @throws GantryError `files/…` */
  async finish(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    this.#running = this.#sync();
    await this.#running;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #sync(): Promise<void> {
    const from = this.#from;
    this.#unsynced = 0;
    try {
      await attempt(this.#place.path, async () => this.#place.handle.datasync());
      await this.#journal.synced(from);
    } catch (error) {
      this.#failure ??= error;
    } finally {
      this.#last = performance.now();
      this.#running = undefined;
    }
  }
}

export async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fromSystemError(error, path, 'write');
  }
}

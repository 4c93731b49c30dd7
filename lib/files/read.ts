/** Reading files that may be missing, huge, forbidden, or changed by somebody meanwhile. */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { GantryError, quote } from '../errors.ts';
import { fromSystemError } from './system-error.ts';

export { fromSystemError } from './system-error.ts';

const CHUNK_BYTES = 1 << 20;

/** A part of a file that was looked at before. */
export interface FileSlice {
  readonly path: string;
  readonly offset: number;
  readonly lengthBytes: number;
  /** Of the file when it was looked at: it must still be that one. */
  readonly identity: string;
}

/** `own`: each chunk is the taker's for good. `shared`: it lasts until the next one is asked for, and its memory is used again. */
export type ChunkMemory = 'own' | 'shared';

/** A file, or a part of one, that is read from one end to the other, and must not change meanwhile. */
export interface StableFile {
  readonly path: string;
  readonly lengthBytes: number;
  /** What the whole file takes on the disk: less than its length where it has holes. */
  readonly allocatedBytes: number;
  /** Changes with the file. */
  readonly identity: string;
  /**
   * The content in chunks of at most 1 MiB; the next one is read while the taker is busy with one.
   *
   * @param memory of the chunks, `own` by default
   */
  read(memory?: ChunkMemory): AsyncGenerator<Uint8Array, void, undefined>;
  /** Bytes from anywhere in it; fewer where it ends. */
  readAt(position: number, lengthBytes: number): Promise<Uint8Array>;
  /** @throws GantryError `files/changed` when size, times or identity are not what they were, or it ended elsewhere than its size says */
  assertUnchanged(): Promise<void>;
  close(): Promise<void>;
}

/**
 * @throws GantryError `files/missing`, `files/not-readable` (also for what is no file: it would never end, or never begin), `files/changed`
 * for a part of a file that is another one by now
 */
export async function openStableFile(source: string | FileSlice): Promise<StableFile> {
  const path = typeof source === 'string' ? source : source.path;
  // Opening a pipe would wait for somebody to write to it.
  const handle = await attempt(path, async () => open(path, constants.O_RDONLY | constants.O_NONBLOCK));
  try {
    const before = await identityOf(handle);
    const found = await handle.stat();
    if (!found.isFile()) {
      const is = found.isDirectory() ? 'a directory' : 'a device or a pipe';
      throw new GantryError('files/not-readable', `Cannot read ${quote(path)}: it is ${is}; expected a file`, { path });
    }
    if (typeof source !== 'string' && source.identity !== before) throw changed(path);
    const part = typeof source === 'string' ? { offset: 0, lengthBytes: found.size } : source;
    const ending: Ending = { isElsewhere: false, mayGrow: typeof source === 'string' };
    return {
      path,
      lengthBytes: part.lengthBytes,
      allocatedBytes: found.blocks * STAT_BLOCK_BYTES,
      identity: before,
      read: (memory = 'own') => readPart(handle, path, part, ending, memory),
      readAt: async (position, lengthBytes) => readWithin(handle, path, part, { position, lengthBytes }),
      async assertUnchanged() {
        if (ending.isElsewhere || (await identityOf(handle)) !== before) throw changed(path);
      },
      close: async () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Of `stat`, whatever the file system's own blocks are. */
const STAT_BLOCK_BYTES = 512;

interface Part {
  readonly offset: number;
  readonly lengthBytes: number;
}

interface Ending {
  isElsewhere: boolean;
  /** A whole file that goes on behind its end has grown; a part of one has something behind it. */
  readonly mayGrow: boolean;
}

async function identityOf(handle: FileHandle): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await handle.stat({ bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join('-');
}

async function* readPart(
  handle: FileHandle,
  path: string,
  { offset, lengthBytes }: Part,
  ending: Ending,
  memory: ChunkMemory,
): AsyncGenerator<Uint8Array, void, undefined> {
  // The taker has one chunk while the next one is read: memory may be used again after two.
  const turns: (Buffer | undefined)[] = [undefined, undefined];
  const readAt = async (position: number, turn: 0 | 1): Promise<Buffer> => {
    // One byte more than there should be shows that it grew.
    const left = position > lengthBytes ? CHUNK_BYTES : lengthBytes - position + (ending.mayGrow ? 1 : 0);
    const wanted = Math.min(CHUNK_BYTES, left);
    const held = turns[turn];
    const buffer = held !== undefined && held.length >= wanted ? held : Buffer.allocUnsafeSlow(wanted);
    if (memory === 'shared') turns[turn] = buffer;
    const { bytesRead } = await attempt(path, async () => handle.read(buffer, 0, wanted, offset + position));
    return buffer.subarray(0, bytesRead);
  };
  let position = 0;
  let turn: 0 | 1 = 0;
  for (let coming = readAt(0, turn); ;) {
    const chunk = await coming;
    if (chunk.length === 0) {
      ending.isElsewhere ||= position !== lengthBytes;
      return;
    }
    position += chunk.length;
    turn = turn === 0 ? 1 : 0;
    coming = readAt(position, turn);
    // A taker that leaves now never sees its error.
    coming.catch(() => undefined);
    yield chunk;
  }
}

async function readWithin(
  handle: FileHandle,
  path: string,
  part: Part,
  { position, lengthBytes }: { readonly position: number; readonly lengthBytes: number },
): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(Math.max(0, Math.min(lengthBytes, part.lengthBytes - position)));
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await attempt(path, async () => handle.read(buffer, done, buffer.length - done, part.offset + position + done));
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}

function changed(path: string): GantryError {
  return new GantryError('files/changed', `Cannot use ${quote(path)}: it changed while it was read; expected it to hold still`, { path });
}

/**
 * A small file as bytes.
 *
 * @throws GantryError `files/missing`, `files/not-readable` (also when it has more than `maxBytes`)
 */
export async function readWholeFile(path: string, { maxBytes }: { readonly maxBytes: number }): Promise<Uint8Array> {
  const file = await openStableFile(path);
  try {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of file.read()) {
      length += chunk.length;
      if (length > maxBytes) {
        throw new GantryError(
          'files/not-readable',
          `Cannot read ${quote(path)}: it has more than ${maxBytes} bytes; expected at most that`,
          {
            path,
          },
        );
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } finally {
    await file.close();
  }
}

/** A file with what is known of its content: the source of an upload. */
export function fileSource<M extends { readonly lengthBytes: number; readonly sha256: string }>(
  path: string,
  measured: M,
): Pick<M, 'lengthBytes' | 'sha256'> & { open(): AsyncIterable<Uint8Array> } {
  return {
    lengthBytes: measured.lengthBytes,
    sha256: measured.sha256,
    async *open() {
      const file = await openStableFile(path);
      try {
        yield* file.read('shared');
      } finally {
        await file.close();
      }
    },
  };
}

async function attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fromSystemError(error, path, 'read');
  }
}

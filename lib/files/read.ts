/** Reading files that may be missing, huge, forbidden, or changed by somebody meanwhile. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { GantryError, quote } from '../errors.ts';
import { fromSystemError } from './system-error.ts';

export { fromSystemError } from './system-error.ts';

const CHUNK_BYTES = 1 << 20;

/** A file that is read from one end to the other, and must not change meanwhile. */
export interface StableFile {
  readonly path: string;
  readonly lengthBytes: number;
  /**
   * The content in chunks of at most 1 MiB, each the reader's own.
   *
   * @param buffer what every chunk is read into instead: each then lasts until the next one is asked for
   */
  read(buffer?: Uint8Array): AsyncGenerator<Uint8Array, void, undefined>;
  /** @throws GantryError `files/changed` when size, times or identity are not what they were, or it ended elsewhere than its size says */
  assertUnchanged(): Promise<void>;
  close(): Promise<void>;
}

/** @throws GantryError `files/missing`, `files/not-readable` (also for what is no file: it would never end, or never begin) */
export async function openStableFile(path: string): Promise<StableFile> {
  // Opening a pipe would wait for somebody to write to it.
  const handle = await attempt(path, async () => open(path, constants.O_RDONLY | constants.O_NONBLOCK));
  const identify = async (): Promise<string> => {
    const { dev, ino, size, mtimeNs, ctimeNs } = await handle.stat({ bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join('-');
  };
  try {
    const before = await identify();
    const found = await handle.stat();
    if (!found.isFile()) {
      const is = found.isDirectory() ? 'a directory' : 'a device or a pipe';
      throw new GantryError('files/not-readable', `Cannot read ${quote(path)}: it is ${is}; expected a file`, { path });
    }
    let endedElsewhere = false;
    return {
      path,
      lengthBytes: found.size,
      async *read(shared) {
        for (let position = 0; ;) {
          // One byte more than it should have shows that it grew.
          const left = position > found.size ? CHUNK_BYTES : Math.min(CHUNK_BYTES, found.size - position + 1);
          const buffer = shared ?? Buffer.allocUnsafeSlow(left);
          const { bytesRead } = await attempt(path, async () => handle.read(buffer, 0, buffer.length, position));
          if (bytesRead === 0) {
            endedElsewhere ||= position !== found.size;
            return;
          }
          position += bytesRead;
          yield buffer.subarray(0, bytesRead);
        }
      },
      async assertUnchanged() {
        if (!endedElsewhere && (await identify()) === before) return;
        throw new GantryError('files/changed', `Cannot use ${quote(path)}: it changed while it was read; expected it to hold still`, {
          path,
        });
      },
      close: async () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
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
        yield* file.read(Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, measured.lengthBytes + 1)));
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

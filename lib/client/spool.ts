/**
 * A private file without a name, for bytes that must be checked as a whole before any of them is handed out.
 *
 * Its name is removed as soon as it is open, so that the kernel frees it with its last handle, however the process ends, and
 * nobody can change it between the check and the reading.
 */
import { randomUUID } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError, quote } from '../errors.ts';
import { fromSystemError } from '../files/read.ts';

const CHUNK_BYTES = 1 << 20;

export interface Spool {
  write(chunk: Uint8Array): Promise<void>;
  /** All of it, from the start. */
  read(): AsyncGenerator<Uint8Array, void, undefined>;
  close(): Promise<void>;
}

/** @throws GantryError `files/missing`, `files/not-writable`, `files/disk-full`, like its methods */
export async function openSpool(directory: string): Promise<Spool> {
  const path = join(directory, `.spool-${randomUUID()}`);
  const handle = await attempt(directory, async () => open(path, 'wx+', 0o600));
  try {
    await attempt(directory, async () => rm(path, { force: true }));
  } catch (error) {
    await handle.close();
    throw error;
  }
  let written = 0;
  return {
    async write(chunk) {
      for (let done = 0; done < chunk.length;) {
        const { bytesWritten } = await attempt(directory, async () => handle.write(chunk, done, chunk.length - done, written));
        done += bytesWritten;
        written += bytesWritten;
      }
    },
    async *read() {
      for (let position = 0; position < written;) {
        const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, written - position));
        const { bytesRead } = await attempt(directory, async () => handle.read(buffer, 0, buffer.length, position));
        if (bytesRead === 0) throw lost(directory, written, position);
        position += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    },
    close: async () => handle.close(),
  };
}

function lost(path: string, written: number, read: number): GantryError {
  return new GantryError(
    'files/changed',
    `Cannot read back what was spooled in ${quote(path)}: it ends after ${read} bytes; expected ${written}`,
    { path },
  );
}

async function attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fromSystemError(error, path, 'write');
  }
}

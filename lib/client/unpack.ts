/** The image in a published file that was verified as a whole, written where it shall be. */
import { GantryError, quote } from '../errors.ts';
import { createAtomicWriter } from '../files/atomic.ts';
import { fromSystemError } from '../files/read.ts';
import { readImageCustom } from '../release/custom.ts';
import { commitInPlace, openInPlace, writeAt, type Place } from './download-place.ts';
import type { Session } from './download-session.ts';
import type { Chunks } from './receive.ts';
import { comparedImage, decompressed } from './verified-stream.ts';

const CHUNK_BYTES = 1 << 20;

export interface UnpackOptions {
  readonly destination: string;
  readonly write: 'replace' | 'in-place';
}

/** @returns the length of the image; @throws GantryError `image/…`, `client/target-altered`, `files/…` */
export async function unpackTo(session: Session, { destination, write }: UnpackOptions): Promise<number> {
  const { target, place, content } = session;
  const image = comparedImage(target, decompressed(target, readBack(place, content.lengthBytes)));
  return write === 'replace' ? unpackToFile(image, session, destination) : unpackInPlace(image, session, destination);
}

async function unpackToFile(image: Chunks, { signal }: Session, destination: string): Promise<number> {
  await using writer = await createAtomicWriter(destination, { overwrite: 'replace' });
  let lengthBytes = 0;
  for await (const chunk of image) {
    signal?.throwIfAborted();
    await writer.write(chunk);
    lengthBytes += chunk.length;
  }
  await writer.commit();
  return lengthBytes;
}

async function unpackInPlace(image: Chunks, { target, signal }: Session, destination: string): Promise<number> {
  const place = await openInPlace(destination, readImageCustom(target.custom)?.raw.lengthBytes ?? 0);
  let lengthBytes = 0;
  try {
    for await (const chunk of image) {
      signal?.throwIfAborted();
      if (lengthBytes + chunk.length > place.roomBytes) throw tooSmall(destination, place.roomBytes);
      await writeAt(place, [chunk], lengthBytes);
      lengthBytes += chunk.length;
    }
    await commitInPlace(place);
  } finally {
    await place.handle.close();
  }
  return lengthBytes;
}

async function* readBack({ handle, path }: Place, lengthBytes: number): Chunks {
  for (let position = 0; position < lengthBytes;) {
    const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, lengthBytes - position));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position).catch((error: unknown) => {
      throw fromSystemError(error, path, 'read');
    });
    // The decoder says that it ends too early.
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

function tooSmall(path: string, roomBytes: number): GantryError {
  const message = `Cannot write the image to ${quote(path)} in place: it has ${roomBytes} bytes; expected room for all of the image`;
  return new GantryError('files/not-writable', message, { path });
}

/** Frames that an earlier download has left: each is read back, and compared with the signed table. */
import { fromSystemError } from '../files/read.ts';
import { inOrder } from '../image/worker-pool.ts';
import type { Place } from './download-place.ts';
import { placeOf } from './fill-frames.ts';
import type { SignedFrames } from './frames.ts';

/** On Node's own threads. */
const HASHES_AT_ONCE = 4;

export interface KeptFramesOptions {
  readonly form: 'published' | 'image';
  readonly signal?: AbortSignal | undefined;
}

/** Those of the named ones that are what is signed. */
export async function framesThatHold(
  place: Place,
  table: SignedFrames,
  named: ReadonlySet<number>,
  { form, signal }: KeptFramesOptions,
): Promise<ReadonlySet<number>> {
  const indexes = [...named].filter((index) => index < table.frames.length).toSorted((a, b) => a - b);
  async function* contents(): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    for (const index of indexes) {
      const { position, length } = placeOf(table, form, index);
      yield await readAt(place, position, length);
    }
  }
  const hashOf = async (bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
    Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex');
  const sound = new Set<number>();
  let at = 0;
  for await (const found of inOrder(contents(), hashOf, { atOnce: HASHES_AT_ONCE, signal })) {
    const index = indexes[at] ?? 0;
    const frame = table.frames[index];
    if (found === (form === 'image' ? frame?.rawSha256 : frame?.sha256)) sound.add(index);
    at += 1;
  }
  return sound;
}

/** Zeros where the file ends before. */
async function readAt({ handle, path }: Place, position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  try {
    for (let done = 0; done < length;) {
      const { bytesRead } = await handle.read(bytes, done, length - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
  } catch (error) {
    throw fromSystemError(error, path, 'read');
  }
  return bytes;
}

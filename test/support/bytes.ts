/** Bytes to compress, hash and damage. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

/** Bytes like those of an image: some runs, some text, some noise; equal seeds give equal bytes. */
export function imageBytes(lengthBytes: number, seed = 'image'): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  const block = 1 << 16;
  for (let at = 0, index = 0; at < lengthBytes; at += block, index += 1) {
    const digest = createHash('sha256').update(`${seed} ${index}`).digest();
    const end = Math.min(at + block, lengthBytes);
    switch (index % 3) {
      case 0:
        bytes.fill(digest.toString('base64'), at, end);
        break;
      case 1:
        noise(bytes.subarray(at, end), digest.readUInt32LE());
        break;
      default:
        break;
    }
  }
  return bytes;
}

/** xorshift32: fast, and as good as random to a compressor. */
function noise(bytes: Buffer, seed: number): void {
  let state = seed | 1;
  for (let index = 0; index < bytes.length; index += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[index] = state & 0xff;
  }
}

/** A stream of chunks of this size, the last one shorter. */
export async function* inChunks(bytes: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let start = 0; start < bytes.length; start += chunkBytes) yield bytes.subarray(start, start + chunkBytes);
}

export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  // The source may use a chunk's memory again.
  for await (const chunk of source) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** How many bytes come out before the end or an error, and the error. */
export async function drain(source: AsyncIterable<Uint8Array>): Promise<{ readonly lengthBytes: number; readonly error: unknown }> {
  let lengthBytes = 0;
  try {
    for await (const chunk of source) lengthBytes += chunk.length;
  } catch (error) {
    return { lengthBytes, error };
  }
  return { lengthBytes, error: undefined };
}

/** Without the difference, which takes minutes to print for megabytes. */
export function assertSameBytes(found: Uint8Array, expected: Uint8Array, message = 'other bytes than expected'): void {
  assert.ok(Buffer.from(found.buffer, found.byteOffset, found.length).equals(expected), message);
}

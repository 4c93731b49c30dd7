/** Counting and hashing bytes as they pass. */
import { createHash } from 'node:crypto';

export interface Measured {
  readonly lengthBytes: number;
  /** 64 lowercase hexadecimal digits. */
  readonly sha256: string;
}

export interface Measuring {
  /** The bytes that came in, unchanged. */
  readonly stream: AsyncGenerator<Uint8Array, void, undefined>;
  /** @throws TypeError before the stream has ended */
  readonly result: () => Measured;
}

/** @param onBytes told the bytes so far */
export function measuring(source: AsyncIterable<Uint8Array>, onBytes?: (bytes: number) => void): Measuring {
  const hash = createHash('sha256');
  let lengthBytes = 0;
  let measured: Measured | undefined;
  async function* pass(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of source) {
      hash.update(chunk);
      lengthBytes += chunk.length;
      onBytes?.(lengthBytes);
      yield chunk;
    }
    measured = { lengthBytes, sha256: hash.digest('hex') };
  }
  return {
    stream: pass(),
    result() {
      if (measured === undefined) throw new TypeError('the stream has not ended');
      return measured;
    },
  };
}

export async function measure(source: AsyncIterable<Uint8Array>): Promise<Measured> {
  const measured = measuring(source);
  for await (const _ of measured.stream);
  return measured.result();
}

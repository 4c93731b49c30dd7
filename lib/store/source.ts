import { hash } from 'node:crypto';
import type { ByteSource } from './store.ts';

/** Bytes in memory as the source of a write. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    lengthBytes: bytes.length,
    sha256: hash('sha256', bytes, 'hex'),
    async *open() {
      yield bytes;
    },
  };
}

import { sha256Hex } from '../tuf/hash.ts';
import type { ByteSource } from './store.ts';

/** Bytes in memory as the source of a write. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    lengthBytes: bytes.length,
    sha256: sha256Hex(bytes),
    async *open() {
      yield bytes;
    },
  };
}

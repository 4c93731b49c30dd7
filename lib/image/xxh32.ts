/** xxHash32 with seed 0, the checksum of LZ4 frames. */
import xxhash, { type XXHashAPI } from 'xxhash-wasm';

export interface Checksum32 {
  update(bytes: Uint8Array): void;
  digest(): number;
}

let loading: Promise<XXHashAPI> | undefined;

async function load(): Promise<XXHashAPI> {
  loading ??= xxhash();
  return loading;
}

export async function checksum32(bytes: Uint8Array): Promise<number> {
  return (await load()).h32Raw(bytes) >>> 0;
}

export async function streamChecksum32(): Promise<Checksum32> {
  const state = (await load()).create32();
  return {
    update: (bytes) => {
      state.update(bytes);
    },
    digest: () => state.digest() >>> 0,
  };
}

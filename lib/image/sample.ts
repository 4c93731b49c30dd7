/**
 * How well an image compresses, tried on a sample of it.
 *
 * Rules:
 * - the sample is every n-th frame's worth of raw data, the first one included, so that equal images have equal samples;
 * - n doubles when there are more than 32 of them: 17 to 32 MiB are tried of a large image, and all of a small one;
 * - what is tried is compressed frame by frame with the settings of a release; the library's asynchronous call makes a little more or less
 *   of the same bytes than the one that the workers use.
 */
import { promisify } from 'node:util';
import { zstdCompress } from 'node:zlib';
import { refuseAborted } from '../errors.ts';
import { blocksOf } from './blocks.ts';
import { frameOptions } from './frame-codec.ts';
import { FRAME_RAW_BYTES } from './frame-table.ts';

export interface CompressionSample {
  readonly level: number;
  /** Blocks of a frame's raw bytes that were tried, and that there are. */
  readonly blocks: number;
  readonly ofBlocks: number;
  readonly rawBytes: number;
  readonly compressedBytes: number;
}

/** In libuv's threads: starting threads of our own takes longer than a sample. */
const compress = promisify(zstdCompress);
const SAMPLE_MAX = 32;
/** Memory is that of the blocks under way. */
const AT_ONCE = 4;

interface Tried {
  readonly rawBytes: number;
  readonly compressedBytes: number;
}

/** @param raw read to its end @throws GantryError `aborted` */
export async function sampleCompression(
  raw: AsyncIterable<Uint8Array>,
  { level, signal }: { readonly level: number; readonly signal?: AbortSignal | undefined },
): Promise<CompressionSample> {
  const spare: ArrayBuffer[] = [];
  const attempt = async (block: Uint8Array<ArrayBuffer>): Promise<Tried> => {
    const compressed = await compress(block, frameOptions(level, block.length));
    spare.push(block.buffer);
    return { rawBytes: block.length, compressedBytes: compressed.length };
  };
  let tried: Promise<Tried>[] = [];
  let [stride, ofBlocks] = [1, 0];
  try {
    for await (const block of blocksOf(raw, FRAME_RAW_BYTES, () => spare.pop())) {
      refuseAborted(signal);
      if (ofBlocks % stride === 0) tried.push(attempt(block));
      else spare.push(block.buffer);
      ofBlocks += 1;
      await tried.at(-AT_ONCE);
      if (tried.length <= SAMPLE_MAX) continue;
      stride *= 2;
      await Promise.all(tried);
      tried = tried.filter((_, index) => index % 2 === 0);
    }
    const all = await Promise.all(tried);
    const sum = (member: keyof Tried): number => all.reduce((total, one) => total + one[member], 0);
    return { level, blocks: all.length, ofBlocks, rawBytes: sum('rawBytes'), compressedBytes: sum('compressedBytes') };
  } finally {
    await Promise.allSettled(tried);
  }
}

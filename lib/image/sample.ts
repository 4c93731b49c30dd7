/**
 * How well an image compresses, tried on a sample of it.
 *
 * Rules:
 * - the sample is every n-th frame's worth of raw data, the first one included, so that equal images have equal samples;
 * - n doubles when there are more than 64 of them: 33 to 64 MiB are tried of a large image, and all of a small one;
 * - what is tried is compressed frame by frame with the settings of a release; the library's asynchronous call makes a little more or less
 *   of the same bytes than the one that the workers use.
 */
import { promisify } from 'node:util';
import { zstdCompress } from 'node:zlib';
import { refuseAborted } from '../errors.ts';
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
const SAMPLE_MAX = 64;
/** Memory is that of the blocks under way. */
const AT_ONCE = 4;

interface Tried {
  readonly rawBytes: number;
  readonly compressedBytes: number;
}

/** @param raw read to its end; a chunk is used until the next one is asked for @throws GantryError `aborted` */
export async function sampleCompression(
  raw: AsyncIterable<Uint8Array>,
  { level, signal }: { readonly level: number; readonly signal?: AbortSignal | undefined },
): Promise<CompressionSample> {
  const sampler = new Sampler(level);
  try {
    for await (const chunk of raw) {
      refuseAborted(signal);
      await sampler.write(chunk);
    }
    return await sampler.end();
  } finally {
    await sampler.settle();
  }
}

class Sampler {
  readonly #level: number;
  readonly #spare: Buffer[] = [];
  #tried: Promise<Tried>[] = [];
  #stride = 1;
  /** Blocks before the current one. */
  #index = 0;
  #filled = 0;
  /** The current one, where it is tried. */
  #block: Buffer | undefined;

  constructor(level: number) {
    this.#level = level;
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let start = 0; start < chunk.length;) {
      const taken = Math.min(chunk.length - start, FRAME_RAW_BYTES - this.#filled);
      if (this.#index % this.#stride === 0) {
        this.#block ??= this.#spare.pop() ?? Buffer.allocUnsafeSlow(FRAME_RAW_BYTES);
        this.#block.set(chunk.subarray(start, start + taken), this.#filled);
      }
      start += taken;
      this.#filled += taken;
      if (this.#filled === FRAME_RAW_BYTES) await this.#finishBlock();
    }
  }

  async end(): Promise<CompressionSample> {
    if (this.#filled > 0) await this.#finishBlock();
    const all = await Promise.all(this.#tried);
    const sum = (member: keyof Tried): number => all.reduce((total, one) => total + one[member], 0);
    return {
      level: this.#level,
      blocks: all.length,
      ofBlocks: this.#index,
      rawBytes: sum('rawBytes'),
      compressedBytes: sum('compressedBytes'),
    };
  }

  /** Nothing is under way afterwards. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#tried);
  }

  async #finishBlock(): Promise<void> {
    if (this.#block !== undefined) this.#tried.push(this.#try(this.#block, this.#filled));
    this.#block = undefined;
    this.#filled = 0;
    this.#index += 1;
    await this.#tried.at(-AT_ONCE);
    if (this.#tried.length <= SAMPLE_MAX) return;
    this.#stride *= 2;
    await Promise.all(this.#tried);
    this.#tried = this.#tried.filter((_, index) => index % 2 === 0);
  }

  async #try(block: Buffer, rawBytes: number): Promise<Tried> {
    const compressed = await compress(block.subarray(0, rawBytes), frameOptions(this.#level, rawBytes));
    this.#spare.push(block);
    return { rawBytes, compressedBytes: compressed.length };
  }
}

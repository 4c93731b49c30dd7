/**
 * The digests of an image's blocks, for whoever builds a tree or compares one.
 *
 * Rules:
 * - bytes are pushed, so that whoever reads an image for something else hands them over in passing;
 * - the digests are told in order, whoever computes them;
 * - memory is what is in flight: three pieces of 1 MiB for each thread.
 */
import { GantryError, refuseAborted } from '../errors.ts';
import { digestBlocks } from './verity-hash.ts';
import { BLOCK_BYTES, DIGEST_BYTES } from './verity-superblock.ts';
import { sharedPool, type WorkerPool } from './worker-pool.ts';

const PIECE_BYTES = 1 << 20;
/** One under way, one at hand for the thread, and one that is being filled. */
const PIECES_PER_THREAD = 3;

export interface LeafOptions {
  readonly salt: Uint8Array;
  /** The process's own by default. */
  readonly pool?: WorkerPool;
  readonly signal?: AbortSignal | undefined;
  /** Told the digests of the blocks from `firstBlock` on, in order. */
  readonly onLeaves: (leaves: Uint8Array, firstBlock: number) => Promise<void> | void;
}

export class LeafHasher {
  readonly #options: LeafOptions;
  readonly #pool: WorkerPool;
  readonly #underWay: Promise<Uint8Array>[] = [];
  readonly #spare: ArrayBuffer[] = [];
  #piece: Uint8Array<ArrayBuffer> | undefined;
  #filled = 0;
  #told = 0;
  #bytes = 0;

  constructor(options: LeafOptions) {
    this.#options = options;
    this.#pool = options.pool ?? sharedPool();
  }

  /** Takes the next bytes of the image; they are copied. @throws GantryError `image/worker-died`, `aborted`, and what `onLeaves` throws */
  async write(chunk: Uint8Array): Promise<void> {
    refuseAborted(this.#options.signal);
    this.#bytes += chunk.length;
    for (let start = 0; start < chunk.length;) {
      const piece = (this.#piece ??= new Uint8Array(this.#spare.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES).buffer));
      const taken = Math.min(chunk.length - start, PIECE_BYTES - this.#filled);
      piece.set(chunk.subarray(start, start + taken), this.#filled);
      start += taken;
      this.#filled += taken;
      if (this.#filled < PIECE_BYTES) continue;
      this.#begin(this.#hash(piece.buffer));
      if (this.#underWay.length >= this.#pool.threads * PIECES_PER_THREAD) await this.#tell();
    }
  }

  /** @throws GantryError `image/empty`, `image/not-blocks`, and like `write` */
  async end(): Promise<void> {
    if (this.#bytes === 0) throw new GantryError('image/empty', 'Cannot hash the blocks of the image: it is empty', { what: 'image' });
    refuseNotBlocks(this.#bytes);
    // What is left, which may be all of a small image, is not worth a thread.
    if (this.#piece !== undefined) this.#begin(Promise.resolve(digestBlocks(this.#piece.subarray(0, this.#filled), this.#options.salt)));
    while (this.#underWay.length > 0) await this.#tell();
  }

  #begin(digests: Promise<Uint8Array>): void {
    // It may fail while an earlier one is awaited; whoever awaits it later still gets the error.
    digests.catch(() => undefined);
    this.#underWay.push(digests);
    this.#piece = undefined;
    this.#filled = 0;
  }

  async #hash(piece: ArrayBuffer): Promise<Uint8Array> {
    const { salt, signal } = this.#options;
    const input = { blocks: piece, lengthBytes: PIECE_BYTES, salt };
    const { blocks, digests } = await this.#pool.run('hash-blocks', input, { transfer: [piece], signal });
    this.#spare.push(blocks);
    return digests;
  }

  async #tell(): Promise<void> {
    const leaves = await this.#underWay.shift();
    if (leaves === undefined) return;
    await this.#options.onLeaves(leaves, this.#told);
    this.#told += leaves.length / DIGEST_BYTES;
  }
}

/** @throws GantryError `image/not-blocks` */
export function refuseNotBlocks(imageBytes: number): void {
  if (imageBytes % BLOCK_BYTES === 0) return;
  throw new GantryError(
    'image/not-blocks',
    `Cannot hash the blocks of the image: it has ${imageBytes} bytes and ends with a part of a block; expected whole blocks of ${BLOCK_BYTES} bytes`,
    { blockBytes: BLOCK_BYTES },
  );
}

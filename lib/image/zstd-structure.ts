/**
 * Where zstd frames begin and end (RFC 8878 §3.1), read from their headers while the bytes pass.
 *
 * Node's decoder stops without a word at bytes that start no frame; `zstd` refuses them, and so do we. The decoder cannot be asked
 * either: it counts the first bytes of a magic number as read. What lies inside of a block is left to it.
 */

const MAGIC = 0xfd2f_b528;
const SKIPPABLE_MAGIC = 0x184d_2a50;
const SKIPPABLE_MASK = 0xffff_fff0;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];
const CONTENT_SIZE_BYTES = [0, 2, 4, 8];
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

/** Bytes to look at, or to pass over. */
type Step = { readonly look: number } | { readonly pass: number };
type Steps<R> = Generator<Step, R, Buffer>;

/** What is wrong with a zstd file, with the offset of the first byte that it is about. */
export class ZstdStructureError extends Error {
  readonly offset: number;

  constructor(problem: string, offset: number) {
    super(`${problem} (at byte ${offset})`);
    this.name = 'ZstdStructureError';
    this.offset = offset;
  }
}

/** One frame that has passed. */
export interface PassedFrame {
  readonly lengthBytes: number;
  /** What its header says, if it does. */
  readonly rawLengthBytes: bigint | undefined;
}

/** Follows one zstd file from its first byte to its last; memory is one header. */
export class ZstdStructure {
  readonly #steps: Steps<void> = this.#file();
  #step: Step;
  #looked: Buffer = Buffer.alloc(0);
  /** Of the current step. */
  #passed = 0;
  #offset = 0;
  #frames = 0;
  #skippable = 0;
  #insideFrame = false;
  readonly #onFrame: ((frame: PassedFrame) => void) | undefined;

  /** @param onFrame told each frame, when its last byte has passed */
  constructor(onFrame?: (frame: PassedFrame) => void) {
    this.#onFrame = onFrame;
    this.#step = this.#next(Buffer.alloc(0));
  }

  /** Frames that were begun, without skippable ones. */
  get frames(): number {
    return this.#frames;
  }

  get skippableFrames(): number {
    return this.#skippable;
  }

  /** @throws ZstdStructureError when the bytes cannot belong to a zstd file */
  follow(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      const wanted = 'look' in this.#step ? this.#step.look - this.#looked.length : this.#step.pass - this.#passed;
      const taken = Math.min(wanted, chunk.length - at);
      if ('look' in this.#step) this.#looked = Buffer.concat([this.#looked, chunk.subarray(at, at + taken)]);
      else this.#passed += taken;
      at += taken;
      this.#offset += taken;
      if (taken === wanted) this.#step = this.#next(this.#looked);
    }
  }

  /** @throws ZstdStructureError when the file does not end where a frame does */
  end(): void {
    if (this.#frames + this.#skippable === 0 && this.#looked.length === 0) throw new ZstdStructureError('it is empty', this.#offset);
    if (this.#insideFrame || this.#looked.length > 0) throw new ZstdStructureError('it is cut short', this.#offset);
  }

  /** The next step that takes a byte at least. */
  #next(looked: Buffer): Step {
    this.#looked = Buffer.alloc(0);
    this.#passed = 0;
    for (let answer = looked; ; answer = Buffer.alloc(0)) {
      const { value, done } = this.#steps.next(answer);
      if (done === true) throw new TypeError('a file has no last step');
      if ('look' in value || value.pass > 0) return value;
    }
  }

  *#file(): Steps<void> {
    for (;;) {
      this.#insideFrame = false;
      const magic = (yield { look: 4 }).readUInt32LE();
      this.#insideFrame = true;
      if (magic === MAGIC) {
        this.#frames += 1;
        const start = this.#offset - 4;
        const rawLengthBytes = yield* this.#frame();
        this.#onFrame?.({ lengthBytes: this.#offset - start, rawLengthBytes });
      } else if ((magic & SKIPPABLE_MASK) >>> 0 === SKIPPABLE_MAGIC) {
        this.#skippable += 1;
        yield { pass: (yield { look: 4 }).readUInt32LE() };
      } else {
        throw new ZstdStructureError('no zstd frame starts there', this.#offset - 4);
      }
    }
  }

  /** @returns the raw length that the header says */
  *#frame(): Steps<bigint | undefined> {
    const descriptor = (yield { look: 1 }).readUInt8();
    const isSingleSegment = (descriptor & 0x20) !== 0;
    const contentSizeBytes = CONTENT_SIZE_BYTES[descriptor >> 6] ?? 0;
    yield { pass: (isSingleSegment ? 0 : 1) + (DICTIONARY_ID_BYTES[descriptor & 3] ?? 0) };
    const sizeBytes = isSingleSegment && contentSizeBytes === 0 ? 1 : contentSizeBytes;
    const rawLengthBytes = sizeBytes === 0 ? undefined : contentSizeOf(yield { look: sizeBytes });
    for (let isLast = false; !isLast;) {
      const header = (yield { look: 3 }).readUIntLE(0, 3);
      isLast = (header & 1) !== 0;
      const type = (header >> 1) & 3;
      if (type === RESERVED_BLOCK) throw new ZstdStructureError('a block is of no known type', this.#offset - 3);
      yield { pass: type === RLE_BLOCK ? 1 : header >> 3 };
    }
    yield { pass: (descriptor & 4) === 0 ? 0 : 4 };
    return rawLengthBytes;
  }
}

/** Two bytes begin to count where one byte ends. */
function contentSizeOf(field: Buffer): bigint {
  if (field.length === 8) return field.readBigUInt64LE();
  return BigInt(field.readUIntLE(0, field.length) + (field.length === 2 ? 256 : 0));
}

/** True for the bytes of one frame and nothing else. */
export function isOneFrame(bytes: Uint8Array): boolean {
  const structure = new ZstdStructure();
  try {
    structure.follow(bytes);
    structure.end();
  } catch (error) {
    if (error instanceof ZstdStructureError) return false;
    throw error;
  }
  return structure.frames === 1 && structure.skippableFrames === 0;
}

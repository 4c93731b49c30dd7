/** How a file is compressed, and its digest: read once, as it is. */
import type { StableFile } from '../files/read.ts';
import { ByteReader } from '../image/byte-reader.ts';
import { readLz4Header } from '../image/lz4.ts';
import { measure } from '../image/measure.ts';
import { ZstdStructure, ZstdStructureError, type PassedFrame } from '../image/zstd-structure.ts';
import type { Compression } from '../release/names.ts';

const HEADER_MAX_BYTES = 64;

export type CompressedInfo =
  | {
      readonly format: 'zst';
      readonly frames: number;
      readonly skippableFrames: number;
      /** Of every frame but the last, where they are equal and say so. */
      readonly frameRawBytes?: number;
      readonly largestFrameBytes: number;
    }
  | {
      readonly format: 'lz4';
      readonly blockBytes: number;
      readonly blocks: 'independent' | 'linked';
      readonly contentBytes?: number;
      readonly contentChecksum: boolean;
      readonly blockChecksums: boolean;
    };

/**
 * Only a header that cannot be read is an error: decompressing says what else is wrong.
 *
 * @throws GantryError `image/bad-lz4`
 */
export async function readCompressed(
  file: StableFile,
  form: Compression,
  tell: (bytes: number) => void,
): Promise<{ readonly sha256: string; readonly compressed: CompressedInfo }> {
  if (form !== 'zst') {
    const header = await readLz4Header(new ByteReader(oneChunk(await file.readAt(0, HEADER_MAX_BYTES))));
    const { sha256 } = await measure(counted(file, tell));
    const size = header.contentSize === undefined ? {} : { contentBytes: Number(header.contentSize) };
    const checksums = { contentChecksum: header.contentChecksum, blockChecksums: header.blockChecksum };
    const blocks = header.linked ? 'linked' : 'independent';
    return { sha256, compressed: { format: 'lz4', blockBytes: header.blockBytes, blocks, ...size, ...checksums } };
  }
  const frames = new FrameSizes();
  const structure = new ZstdStructure((frame) => frames.add(frame));
  let isZstd = true;
  async function* followed(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of counted(file, tell)) {
      if (isZstd) isZstd = follows(structure, chunk);
      yield chunk;
    }
  }
  const { sha256 } = await measure(followed());
  const counts = { frames: structure.frames, skippableFrames: structure.skippableFrames };
  return { sha256, compressed: { format: 'zst', ...counts, ...frames.summary() } };
}

function follows(structure: ZstdStructure, chunk: Uint8Array): boolean {
  try {
    structure.follow(chunk);
    return true;
  } catch (error) {
    if (error instanceof ZstdStructureError) return false;
    throw error;
  }
}

/** Of any number of frames, in little memory. */
class FrameSizes {
  #largest = 0;
  #first: bigint | undefined;
  #last: bigint | undefined;
  #count = 0;
  #areEqual = true;

  add({ lengthBytes, rawLengthBytes }: PassedFrame): void {
    this.#largest = Math.max(this.#largest, lengthBytes);
    if (this.#count === 0) this.#first = rawLengthBytes;
    else if (this.#last !== this.#first) this.#areEqual = false;
    this.#last = rawLengthBytes;
    this.#count += 1;
  }

  summary(): { readonly frameRawBytes?: number; readonly largestFrameBytes: number } {
    const isKnown = this.#areEqual && this.#first !== undefined && this.#last !== undefined && this.#last <= this.#first;
    return { ...(isKnown ? { frameRawBytes: Number(this.#first) } : {}), largestFrameBytes: this.#largest };
  }
}

async function* counted(file: StableFile, tell: (bytes: number) => void): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  for await (const chunk of file.read('shared')) {
    bytes += chunk.length;
    tell(bytes);
    yield chunk;
  }
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

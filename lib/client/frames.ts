/**
 * The frames of a framed image, authenticated one by one against the signed table, whoever sends them (design D8).
 *
 * Rules:
 * - a frame is compared with its signed SHA-256 before anybody sees it, and before anything is decompressed;
 * - one that arrives altered is fetched again, it alone, from another mirror; who sent it is dropped;
 * - ETags say nothing here: every frame is verified by itself.
 */
import { hash } from 'node:crypto';
import { isGantryError } from '../errors.ts';
import { decodeFrameTable, FRAME_TABLE_MAX_BYTES, type Frame, type FrameTable } from '../image/frame-table.ts';
import type { ImageCustom } from '../release/custom.ts';
import type { Mirror, TargetStream } from './mirrors.ts';
import { fetchVerified, refuseAltered, streamOf, type StreamOptions, type TargetSource } from './receive.ts';
import type { VerifiedTarget } from './target.ts';

export type FramedCustom = ImageCustom & { readonly format: 'zstd-frames' };

export interface SignedFrames extends FrameTable {
  /** Of the encoded table. */
  readonly sha256: string;
}

export interface VerifiedFrame {
  /** In memory of its own. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly frame: Frame;
  readonly index: number;
}

/** Frames that are wanted, by number; somebody else may take over the end of it while it is fetched. */
export interface FrameRun {
  /** Counts up with every frame that is verified. */
  next: number;
  end: number;
}

/** The frame table is a target of its own; it must describe exactly this image. */
export async function readFrameTable(
  source: TargetSource,
  target: VerifiedTarget,
  custom: FramedCustom,
  options: StreamOptions,
): Promise<SignedFrames> {
  const { signal } = options;
  const aborting = signal === undefined ? {} : { signal };
  const tableTarget = await source.target(custom.frames, aborting);
  if (tableTarget.lengthBytes > FRAME_TABLE_MAX_BYTES) {
    refuseAltered(tableTarget, `${tableTarget.lengthBytes} bytes`, `at most ${FRAME_TABLE_MAX_BYTES}`, 'its length');
  }
  const encoded = await fetchVerified(source, tableTarget, aborting);
  const table = decodeFrameTable(encoded);
  const total = table.frames.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  refuseAltered(target, String(total), String(target.lengthBytes), 'the sum of its frames');
  refuseAltered(target, table.raw.sha256, custom.raw.sha256, 'the raw SHA-256 in its frame table');
  refuseAltered(target, String(table.raw.lengthBytes), String(custom.raw.lengthBytes), 'the raw length in its frame table');
  return { ...table, sha256: hash('sha256', encoded, 'hex') };
}

export interface FetchFramesOptions extends Pick<StreamOptions, 'signal'> {
  /** Told the length of each chunk. */
  readonly onReceived?: (bytes: number) => void;
  readonly ranges?: 'required';
}

/** The frames of a run, in order. */
export async function* fetchFrames(
  source: TargetSource,
  target: VerifiedTarget,
  frames: readonly Frame[],
  run: FrameRun,
  options: FetchFramesOptions = {},
): AsyncGenerator<VerifiedFrame, void, undefined> {
  /** Frames of which nobody could tell who had altered them. */
  const unclear = new Set<number>();
  while (run.next < run.end) {
    const { next } = run;
    const altered = yield* soundFrames(source, target, frames, run, options);
    if (altered === undefined) return;
    const check = (): void => refuseAltered(target, altered.found, frames[run.next]?.sha256 ?? '', `the SHA-256 of frame ${run.next}`);
    blameSenders(source, altered, check, { isRepeated: run.next === next && unclear.has(next) });
    unclear.add(run.next);
  }
}

interface Altered {
  readonly senders: ReadonlySet<Mirror>;
  readonly found: string;
}

/** Goes on when another mirror is there to ask; or once more, when the frame came from several. */
function blameSenders({ mirrors }: TargetSource, { senders }: Altered, check: () => void, { isRepeated }: { isRepeated: boolean }): void {
  try {
    check();
  } catch (error) {
    if (!isGantryError(error)) throw error;
    const before = mirrors.count;
    mirrors.blame({ servedBy: senders }, error.message);
    const mayHelp = mirrors.count < before || (senders.size > 1 && !isRepeated);
    if (!mayHelp) throw error;
  }
}

/** Until one is altered. */
async function* soundFrames(
  source: TargetSource,
  target: VerifiedTarget,
  frames: readonly Frame[],
  run: FrameRun,
  { onReceived, ...request }: FetchFramesOptions,
): AsyncGenerator<VerifiedFrame, Altered | undefined, undefined> {
  const { end } = run;
  const offset = frames[run.next]?.offset ?? 0;
  const stream = streamOf(source, target, { ...request, offset, length: offsetOf(frames, end) - offset, etags: 'ignored' });
  const reader = new FrameReader(source, stream, onReceived);
  try {
    while (run.next < run.end) {
      const index = run.next;
      const frame = frames[index];
      if (frame === undefined) throw new RangeError(`there is no frame ${index}`);
      const { bytes, senders } = await reader.take(frame.lengthBytes);
      const found = hash('sha256', bytes, 'hex');
      if (found !== frame.sha256) return { senders, found };
      // What follows the last one is an error of its own, and it is told before the frame is handed out.
      if (index === end - 1) await reader.drain();
      run.next += 1;
      yield { bytes, frame, index };
    }
  } finally {
    await reader.close();
  }
  return undefined;
}

/** Where a frame begins, or where the last one ends. */
function offsetOf(frames: readonly Frame[], index: number): number {
  const last = frames[index - 1];
  return last === undefined ? 0 : last.offset + last.lengthBytes;
}

/** Puts chunks together, and remembers who sent them. */
class FrameReader {
  readonly #source: TargetSource;
  readonly #stream: TargetStream;
  readonly #onReceived: ((bytes: number) => void) | undefined;
  #held: Uint8Array = new Uint8Array();
  #used = 0;

  constructor(source: TargetSource, stream: TargetStream, onReceived: ((bytes: number) => void) | undefined) {
    this.#source = source;
    this.#stream = stream;
    this.#onReceived = onReceived;
  }

  async take(lengthBytes: number): Promise<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly senders: ReadonlySet<Mirror> }> {
    const bytes = Buffer.allocUnsafeSlow(lengthBytes);
    const senders = new Set<Mirror>();
    for (let filled = 0; filled < lengthBytes;) {
      // The stream itself refuses an end that comes too early.
      if (this.#used === this.#held.length) await this.#next();
      const sender = this.#stream.sender();
      if (sender !== undefined) senders.add(sender);
      const part = this.#held.subarray(this.#used, this.#used + lengthBytes - filled);
      bytes.set(part, filled);
      filled += part.length;
      this.#used += part.length;
    }
    return { bytes, senders };
  }

  async drain(): Promise<void> {
    await this.#stream.chunks.next();
  }

  async close(): Promise<void> {
    await this.#stream.chunks.return(undefined);
  }

  async #next(): Promise<void> {
    const next = await this.#stream.chunks.next();
    if (next.done === true) throw new RangeError('the stream ended before its length; it should have said so');
    this.#source.mirrors.release(this.#held);
    this.#held = next.value;
    this.#used = 0;
    this.#onReceived?.(next.value.length);
  }
}

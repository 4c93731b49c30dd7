/**
 * A framed image, frame by frame, in whatever order frames come.
 *
 * Rules:
 * - a frame is authenticated before it is decompressed or written, and named in the journal once it is written;
 * - one connection fetches what is missing, from its beginning on. When whoever writes has had nothing to do for a while, another one
 *   takes over the second half of the largest part that is left; four at most, and only while each one made it faster;
 * - a helper that is refused gives back what it took, and no other is sent: one that helps must not do harm;
 * - what is in hand is bounded: so many frames for each worker thread, whatever the image's size.
 */
import { isGantryError, refuseAborted } from '../errors.ts';
import { FRAME_RAW_BYTES } from '../image/frame-table.ts';
import { createWorkerPool, type WorkerPool } from '../image/worker-pool.ts';
import { freeMemory } from '../http/memory.ts';
import type { Session } from './download-session.ts';
import { Checkpoints, writeAt } from './download-place.ts';
import type { FrameJobs } from './frame-jobs.ts';
import { fetchFrames, type FrameRun, type SignedFrames, type VerifiedFrame } from './frames.ts';

const CONNECTIONS_MAX = 4;
/** Fewer frames are not worth a connection. */
const RUN_MIN_FRAMES = 16;
/** So many frames in a row that found nobody at work. */
const IDLE_FRAMES = 16;
/** What another connection must bring. */
const FASTER = 1.15;
/** One under way, and one at hand. */
const FRAMES_PER_THREAD = 2;

export interface FramesJob extends Session {
  readonly table: SignedFrames;
}

/** Where a frame lies in the file that is written. */
export function placeOf(
  { frames }: SignedFrames,
  form: 'published' | 'image',
  index: number,
): { readonly position: number; readonly length: number } {
  const frame = frames[index];
  if (frame === undefined) throw new RangeError(`there is no frame ${index}`);
  return form === 'image'
    ? { position: index * FRAME_RAW_BYTES, length: frame.rawLengthBytes }
    : { position: frame.offset, length: frame.lengthBytes };
}

/** Fetches and writes what is not kept. @throws GantryError `client/target-altered`, `image/bad-frame`, `http/…`, `files/…`, `aborted` */
export async function fillFrames(job: FramesJob): Promise<void> {
  const writer = new FrameWriter(job);
  const crew = new Crew(job, writer);
  try {
    await crew.work();
  } finally {
    await writer.settle();
  }
  await writer.finish();
}

/** Runs of frames that are missing. */
function missingRuns(count: number, kept: ReadonlySet<number>): FrameRun[] {
  const runs: FrameRun[] = [];
  for (let index = 0; index < count; index += 1) {
    if (kept.has(index)) continue;
    const last = runs.at(-1);
    if (last?.end === index) last.end += 1;
    else runs.push({ next: index, end: index + 1 });
  }
  return runs;
}

class Crew {
  readonly #job: FramesJob;
  readonly #writer: FrameWriter;
  readonly #waiting: FrameRun[];
  readonly #active = new Set<FrameRun>();
  readonly #fetchers: Promise<void>[] = [];
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #connections = 0;
  /** The first: the others end because of it. */
  #failure: { readonly error: unknown } | undefined;
  #mayHelp = true;
  #idleFrames = 0;
  #rate = { bytesPerMs: 0, bytes: 0, since: performance.now() };

  constructor(job: FramesJob, writer: FrameWriter) {
    this.#job = job;
    this.#writer = writer;
    this.#waiting = missingRuns(job.table.frames.length, job.kept.frames);
    this.#signal = job.signal === undefined ? this.#stop.signal : AbortSignal.any([job.signal, this.#stop.signal]);
  }

  async work(): Promise<void> {
    this.#start('first');
    // Helpers come while others are awaited.
    for (let index = 0; index < this.#fetchers.length; index += 1) {
      await this.#fetchers[index];
      const isOver = this.#failure === undefined && index === this.#fetchers.length - 1;
      if (isOver && this.#waiting.length > 0) this.#start('first');
    }
    refuseAborted(this.#job.signal);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #start(role: 'first' | 'helper'): void {
    this.#connections += 1;
    this.#fetchers.push(
      this.#fetch(role).catch((error: unknown) => {
        this.#failure ??= { error };
        this.#stop.abort(error);
      }),
    );
  }

  async #fetch(role: 'first' | 'helper'): Promise<void> {
    try {
      for (let run = this.#claim(role); run !== undefined; run = this.#claim(role)) await this.#fetchRun(run, role);
    } finally {
      this.#connections -= 1;
    }
  }

  #claim(role: 'first' | 'helper'): FrameRun | undefined {
    if (role === 'helper' && !this.#mayHelp) return undefined;
    const run = this.#waiting.shift() ?? (this.#mayHelp ? this.#half() : undefined);
    if (run !== undefined) this.#active.add(run);
    return run;
  }

  /** Of what somebody else has the most left of. */
  #half(): FrameRun | undefined {
    const [most] = [...this.#active].toSorted((one, other) => other.end - other.next - (one.end - one.next));
    if (most === undefined || most.end - most.next < 2 * RUN_MIN_FRAMES) return undefined;
    const { end } = most;
    most.end = most.next + Math.ceil((end - most.next) / 2);
    return { next: most.end, end };
  }

  async #fetchRun(run: FrameRun, role: 'first' | 'helper'): Promise<void> {
    const { source, target, table, onReceived } = this.#job;
    const options = { onReceived, signal: this.#signal, ...(role === 'helper' ? { ranges: 'required' as const } : {}) };
    try {
      for await (const frame of fetchFrames(source, target, table.frames, run, options)) {
        this.#callHelp(frame.bytes.length);
        await this.#writer.take(frame);
      }
    } catch (error) {
      const isRefused = role === 'helper' && isGantryError(error) && error.code.startsWith('http/');
      if (!isRefused) throw error;
      this.#mayHelp = false;
      this.#giveBack(run);
    } finally {
      this.#active.delete(run);
    }
  }

  /** To whoever fetches what lies before it, if that one is not done yet. */
  #giveBack(run: FrameRun): void {
    const before = [...this.#active].find(({ next, end }) => end === run.next && next < end);
    if (before === undefined) this.#waiting.push(run);
    else before.end = run.end;
  }

  #callHelp(bytes: number): void {
    this.#rate.bytes += bytes;
    this.#idleFrames = this.#writer.isIdle ? this.#idleFrames + 1 : 0;
    if (!this.#mayHelp || this.#idleFrames < IDLE_FRAMES * this.#connections || this.#connections >= CONNECTIONS_MAX) return;
    const now = performance.now();
    const bytesPerMs = this.#rate.bytes / Math.max(1, now - this.#rate.since);
    if (bytesPerMs < this.#rate.bytesPerMs * FASTER) {
      this.#mayHelp = false;
      return;
    }
    this.#rate = { bytesPerMs, bytes: 0, since: now };
    this.#idleFrames = 0;
    this.#start('helper');
  }
}

/** Decompresses and writes, so many at once. */
class FrameWriter {
  readonly #job: FramesJob;
  readonly #checkpoints: Checkpoints;
  readonly #pool = framePool();
  readonly #inHand = new Set<Promise<void>>();
  readonly #written: Uint8Array;
  /** Frames from the beginning that are written. */
  #prefix = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(job: FramesJob) {
    this.#job = job;
    this.#checkpoints = new Checkpoints(job.place, job.journal);
    this.#written = new Uint8Array(job.table.frames.length);
    for (const index of job.kept.frames) this.#written[index] = 1;
    this.#advance();
  }

  get isIdle(): boolean {
    return this.#inHand.size === 0;
  }

  /** Waits for room only. */
  async take(frame: VerifiedFrame): Promise<void> {
    await this.failed();
    const work = this.#write(frame)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#inHand.delete(work));
    this.#inHand.add(work);
    while (this.#inHand.size >= this.#pool.threads * FRAMES_PER_THREAD) await Promise.race(this.#inHand);
  }

  async failed(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** What is in hand gets written, and named, whatever has gone wrong elsewhere. */
  async settle(): Promise<void> {
    while (this.#inHand.size > 0) await Promise.race(this.#inHand);
  }

  async finish(): Promise<void> {
    await this.failed();
    await this.#checkpoints.finish();
  }

  async #write({ bytes, frame, index }: VerifiedFrame): Promise<void> {
    const { place, journal, table, content } = this.#job;
    const { position, length } = placeOf(table, content.form, index);
    if (content.form === 'image') {
      const { handle, path } = place;
      const { rawLengthBytes } = frame;
      const input = { bytes, index, rawLengthBytes, fd: handle.fd, path, position };
      await this.#pool.run('unpack-frame', input, { transfer: [bytes.buffer] });
    } else {
      await writeAt(place, [bytes], position);
      freeMemory(bytes);
    }
    journal.frame(index);
    this.#checkpoints.wrote(length, 0);
    this.#written[index] = 1;
    this.#advance();
  }

  #advance(): void {
    const { table, digest, content } = this.#job;
    while (this.#written[this.#prefix] === 1) this.#prefix += 1;
    if (this.#prefix === 0) return;
    const { position, length } = placeOf(table, content.form, this.#prefix - 1);
    digest.advance(position + length);
  }
}

let shared: WorkerPool<FrameJobs> | undefined;

/** Of this process, as the one for images is: idle threads cost less than starting them for every download. */
function framePool(): WorkerPool<FrameJobs> {
  shared ??= createWorkerPool<FrameJobs>({ script: ownScript() });
  return shared;
}

/** Sources run as `.ts`, the built package as `.js`. */
function ownScript(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './frame-worker.ts' : './frame-worker.js', import.meta.url);
}

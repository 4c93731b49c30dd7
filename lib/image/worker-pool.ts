/**
 * Worker threads for what keeps a core busy: one per core, shared by the whole process.
 *
 * Rules:
 * - a thread starts when a job finds none free, and stays; it keeps the process alive only while it has a job;
 * - buffers named in `transfer` change hands and are not copied;
 * - what waits is bounded: `inOrder` takes its next input only when a thread will soon want it;
 * - a fired signal ends the waiting at once; what a thread has begun it finishes, and nobody sees the result;
 * - a thread that dies takes its own jobs with it, with a clear error, and no others.
 */
import { Worker } from 'node:worker_threads';
import { abortedBy, GantryError, refuseAborted } from '../errors.ts';
import type { Jobs } from './worker-jobs.ts';
import { unpackError, type Job, type JobAnswer, type JobRequest } from './worker-serve.ts';

type InputOf<J> = J extends Job<infer I, unknown> ? I : never;
type OutputOf<J> = J extends Job<never, infer O> ? O : never;

export interface JobOptions {
  /** Buffers of the input that change hands. */
  readonly transfer?: readonly ArrayBuffer[];
  readonly signal?: AbortSignal | undefined;
}

export interface WorkerPool<J extends object = Jobs> {
  /** Most threads that it ever has. */
  readonly threads: number;
  /** Threads that it has now. */
  readonly started: number;
  /**
   * Runs one job.
   *
   * @throws GantryError what the job throws, `image/worker-died`, `aborted`; RangeError when too many wait already
   */
  run<N extends keyof J & string>(name: N, input: InputOf<J[N]>, options?: JobOptions): Promise<OutputOf<J[N]>>;
  /** Ends every thread; jobs that are not done fail with `image/worker-died`. The next job starts new ones. */
  close(): Promise<void>;
}

export interface PoolOptions {
  /** One per core by default. */
  readonly threads?: number;
  /** The file that the threads run; it calls `serveJobs`. */
  readonly script?: URL;
}

/** With one job under way and one at hand, a thread never waits for this side. */
const JOBS_PER_THREAD = 2;
/** For a thread's own objects; buffers lie outside of it. */
const HEAP = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 } as const;
/** Far more than bounded callers ever have waiting. */
const WAITING_MAX = 1024;

interface Pending {
  readonly request: JobRequest;
  readonly transfer: readonly ArrayBuffer[];
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: unknown) => void;
}

class Pool<J extends object> implements WorkerPool<J> {
  readonly threads: number;
  readonly #script: URL;
  readonly #crew = new Map<Worker, Map<number, Pending>>();
  readonly #waiting = new Map<number, Pending>();
  #lastId = 0;

  constructor(threads: number, script: URL) {
    this.threads = threads;
    this.#script = script;
  }

  get started(): number {
    return this.#crew.size;
  }

  async run<N extends keyof J & string>(name: N, input: InputOf<J[N]>, options: JobOptions = {}): Promise<OutputOf<J[N]>> {
    const { signal, transfer = [] } = options;
    refuseAborted(signal);
    if (this.#waiting.size >= WAITING_MAX) throw new RangeError(`${WAITING_MAX} jobs wait already; expected the caller to wait for them`);
    const id = (this.#lastId += 1);
    let onAbort: (() => void) | undefined;
    try {
      const output = await new Promise((resolve, reject) => {
        onAbort = (): void => {
          this.#waiting.delete(id);
          if (signal !== undefined) reject(abortedBy(signal));
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        this.#waiting.set(id, { request: { id, name, input }, transfer, resolve, reject });
        this.#dispatch();
      });
      // Proof: the thread runs the job of this name, and `Jobs` gives its output.
      return output as OutputOf<J[N]>;
    } finally {
      if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
    }
  }

  async close(): Promise<void> {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    const crew = [...this.#crew.keys()];
    for (const { reject } of waiting) reject(died('it was closed'));
    for (const worker of crew) this.#bury(worker, 'it was closed');
    await Promise.all(crew.map(async (worker) => worker.terminate()));
  }

  #dispatch(): void {
    for (const [id, pending] of this.#waiting) {
      const worker = this.#free();
      if (worker === undefined) return;
      this.#waiting.delete(id);
      this.#send(worker, pending);
    }
  }

  /** The thread with the least to do, a new one before one that is busy. */
  #free(): Worker | undefined {
    let best: Worker | undefined;
    let least = JOBS_PER_THREAD;
    for (const [worker, jobs] of this.#crew) {
      if (jobs.size >= least) continue;
      least = jobs.size;
      best = worker;
    }
    return least > 0 && this.#crew.size < this.threads ? this.#start() : best;
  }

  #send(worker: Worker, pending: Pending): void {
    const jobs = this.#crew.get(worker);
    if (jobs === undefined) return pending.reject(died('it has ended'));
    try {
      worker.postMessage(pending.request, [...pending.transfer]);
    } catch (error) {
      return pending.reject(error);
    }
    jobs.set(pending.request.id, pending);
    worker.ref();
  }

  #start(): Worker {
    // Neither options nor variables of this process: they may hold secrets, or be meant for its main file alone.
    const worker = new Worker(this.#script, { name: 'gantry image', execArgv: [], env: {}, resourceLimits: HEAP });
    this.#crew.set(worker, new Map());
    worker.unref();
    worker.on('message', (answer: JobAnswer) => this.#settle(worker, answer));
    worker.once('messageerror', (error) => this.#bury(worker, 'its answer cannot be read', error));
    worker.once('error', (error) => this.#bury(worker, error instanceof Error ? error.message : 'it failed', error));
    worker.once('exit', (code) => this.#bury(worker, `it ended with code ${code}`));
    return worker;
  }

  #settle(worker: Worker, answer: JobAnswer): void {
    const jobs = this.#crew.get(worker);
    const pending = jobs?.get(answer.id);
    if (jobs === undefined || pending === undefined) return;
    jobs.delete(answer.id);
    if (jobs.size === 0) worker.unref();
    if ('error' in answer) pending.reject(unpackError(answer.error));
    else pending.resolve(answer.output);
    this.#dispatch();
  }

  /** Takes a thread out of the pool, once. */
  #bury(worker: Worker, why: string, cause?: unknown): void {
    const jobs = this.#crew.get(worker);
    if (jobs === undefined) return;
    this.#crew.delete(worker);
    for (const { reject } of jobs.values()) reject(died(why, cause));
    void worker.terminate();
    this.#dispatch();
  }
}

function died(why: string, cause?: unknown): GantryError {
  return new GantryError(
    'image/worker-died',
    `Cannot finish the work on an image: its worker thread is gone: ${why}; expected an answer`,
    { why },
    { cause },
  );
}

/** @throws RangeError for a number of threads that there is not */
export function createWorkerPool<J extends object = Jobs>(options: PoolOptions = {}): WorkerPool<J> {
  const { threads = cores(), script = ownScript() } = options;
  if (!Number.isInteger(threads) || threads < 1) throw new RangeError(`the pool has ${threads} threads; expected 1 or more`);
  return new Pool<J>(threads, script);
}

let shared: WorkerPool | undefined;

/** The pool of this process. */
export function sharedPool(): WorkerPool {
  shared ??= createWorkerPool();
  return shared;
}

/** Sources run as `.ts`, the built package as `.js`. */
function ownScript(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);
}

/** What `os.availableParallelism()` says, which a pure room cannot ask. */
function cores(): number {
  return Math.max(1, navigator.hardwareConcurrency);
}

/**
 * Outputs in the order of the inputs, with as many jobs under way as the pool can use; each input is taken only then.
 *
 * @param start begins the job of one input
 */
export async function* inOrder<I, O>(
  inputs: AsyncIterable<I>,
  start: (input: I, index: number) => Promise<O>,
  options: { readonly atOnce: number; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<O, void, undefined> {
  const underWay: Promise<O>[] = [];
  const source = inputs[Symbol.asyncIterator]();
  let index = 0;
  // The next input comes in while the taker of an output is busy with it.
  let coming = take(source);
  try {
    for (;;) {
      const next = await coming;
      if (next.done === true) break;
      refuseAborted(options.signal);
      const job = start(next.value, index);
      // It may fail while an earlier one is awaited; whoever awaits it below still gets the error.
      job.catch(() => undefined);
      underWay.push(job);
      index += 1;
      coming = take(source);
      const first = underWay.length < options.atOnce ? undefined : underWay.shift();
      if (first !== undefined) yield await first;
    }
    for (let first = underWay.shift(); first !== undefined; first = underWay.shift()) yield await first;
  } finally {
    await Promise.allSettled([coming, ...underWay]);
    await source.return?.();
  }
}

/** Its error waits for whoever awaits it. */
async function take<I>(source: AsyncIterator<I>): Promise<IteratorResult<I>> {
  const next = source.next();
  next.catch(() => undefined);
  return next;
}

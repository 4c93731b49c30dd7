/** What a worker thread can do to the pool. */
import { isMainThread, threadId } from 'node:worker_threads';
import { GantryError } from '../../lib/errors.ts';
import { serveJobs, type Job } from '../../lib/image/worker-serve.ts';

export interface PracticeJobs {
  readonly echo: Job<ArrayBuffer, ArrayBuffer>;
  /** Sleeps for so many milliseconds, and says which thread it was. */
  readonly sleep: Job<number, number>;
  readonly refuse: Job<number, never>;
  readonly misuse: Job<string, never>;
  /** Ends the thread in this way. */
  readonly die: Job<'exit' | 'throw' | 'memory', never>;
  readonly environment: Job<null, { readonly variables: readonly string[]; readonly options: readonly string[] }>;
}

const JOBS: PracticeJobs = {
  echo: (buffer) => ({ output: buffer, transfer: [buffer] }),
  sleep: (ms) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    return { output: threadId, transfer: [] };
  },
  refuse: (frame) => {
    throw new GantryError('image/bad-frame', `Cannot decompress frame ${frame}: it is bad`, { frame }, { cause: new Error('inside') });
  },
  misuse: (name) => {
    throw name === 'RangeError'
      ? new RangeError('too far')
      : name === 'TypeError'
        ? new TypeError('of another kind')
        : new Error('just so');
  },
  die: (how) => {
    if (how === 'exit') process.exit(7);
    if (how === 'memory') for (const kept: number[][] = []; ; kept.push(Array.from({ length: 1e6 }, () => Math.random())));
    queueMicrotask(() => {
      throw new Error('nobody catches this');
    });
    return { output: undefined as never, transfer: [] };
  },
  environment: () => ({ output: { variables: Object.keys(process.env), options: process.execArgv }, transfer: [] }),
};

if (!isMainThread) serveJobs(JOBS);

/** Worker pools that end with their test. */
import type { TestContext } from 'node:test';
import { createWorkerPool, type WorkerPool } from '../../lib/image/worker-pool.ts';
import type { PracticeJobs } from './practice-worker.ts';

/** The pool of images with this many threads. */
export function poolOf(t: TestContext, threads: number): WorkerPool {
  const pool = createWorkerPool({ threads });
  t.after(async () => pool.close());
  return pool;
}

/** Threads whose jobs fail, die, wait and come back on request. */
export function practicePool(t: TestContext, threads: number): WorkerPool<PracticeJobs> {
  const pool = createWorkerPool<PracticeJobs>({ threads, script: new URL('practice-worker.ts', import.meta.url) });
  t.after(async () => pool.close());
  return pool;
}

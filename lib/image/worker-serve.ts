/**
 * The worker's side of the pool: one job after the other, each answered under its number.
 *
 * An error crosses as what it was: a `GantryError` with its code and details, a wrong argument as `TypeError` or `RangeError`.
 */
import { parentPort } from 'node:worker_threads';
import { GantryError, isGantryError, type ErrorCode } from '../errors.ts';

/** What a job gives back, and which buffers of it are handed over instead of copied. */
export interface JobResult<O> {
  readonly output: O;
  readonly transfer: readonly ArrayBuffer[];
}

export type Job<I, O> = (input: I) => JobResult<O>;

export interface JobRequest {
  readonly id: number;
  readonly name: string;
  readonly input: unknown;
}

export type JobAnswer = { readonly id: number; readonly output: unknown } | { readonly id: number; readonly error: CrossedError };

/** An error as plain data. */
export interface CrossedError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly gantry?: { readonly code: ErrorCode; readonly details: unknown };
}

/** Answers requests until the pool ends the thread. */
export function serveJobs(jobs: object): void {
  const port = parentPort;
  if (port === null) throw new TypeError('this file is for a worker thread');
  const byName = new Map<string, unknown>(Object.entries(jobs));
  port.on('message', ({ id, name, input }: JobRequest) => {
    let answer: JobAnswer;
    let transfer: readonly ArrayBuffer[] = [];
    try {
      const job = byName.get(name);
      if (typeof job !== 'function') throw new TypeError(`there is no job ${name}`);
      // Proof: the pool's types let nobody ask for a job with the input of another.
      const result = (job as Job<unknown, unknown>)(input);
      answer = { id, output: result.output };
      transfer = result.transfer;
    } catch (error) {
      answer = { id, error: packError(error) };
    }
    port.postMessage(answer, [...transfer]);
  });
}

function packError(error: unknown): CrossedError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: undefined };
  const { name, message, stack } = error;
  return { name, message, stack, ...(isGantryError(error) ? { gantry: { code: error.code, details: error.details } } : {}) };
}

/** The error on this side; the worker's own stack is in its cause. */
export function unpackError({ name, message, stack, gantry }: CrossedError): Error {
  const cause = new Error(`in a worker thread: ${message}`);
  if (stack !== undefined) cause.stack = stack;
  // Proof: code and details come from one GantryError, whose types hold them together.
  if (gantry !== undefined) return new GantryError(gantry.code, message, gantry.details as never, { cause });
  if (name === 'RangeError') return new RangeError(message, { cause });
  if (name === 'TypeError') return new TypeError(message, { cause });
  return new Error(message, { cause });
}

/**
 * The body of an answer, never more than was asked for and never slower than a deadline on progress allows.
 *
 * Rules:
 * - time counts only while we wait for the server: a slow disk on our side is not the server's fault;
 * - a body that is not read to its end has its connection closed.
 */
import type { IncomingMessage } from 'node:http';
import { GantryError } from '../errors.ts';
import { aborted, interrupted, stalled, tooLong, tooShort, tooSlow } from './failures.ts';

export interface BodyLimits {
  readonly maxBytes: number;
  readonly expectedBytes?: number;
  readonly signal?: AbortSignal;
}

/** Slower than this over a whole deadline is a server that wants to keep us waiting (slow retrieval): the slowest modem is faster. */
const MIN_BYTES_PER_SECOND = 512;

/**
 * @param onBytes told the length of each chunk
 * @throws GantryError `http/too-long`, `http/too-short`, `http/stalled`, `http/interrupted`, `aborted`
 */
export async function* readBody(
  response: IncomingMessage,
  url: URL,
  { maxBytes, expectedBytes, signal }: BodyLimits,
  { idleTimeoutMs, onBytes }: { readonly idleTimeoutMs: number; readonly onBytes: (bytes: number) => void },
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks: AsyncIterator<Buffer> = response[Symbol.asyncIterator]();
  const checkPace = paceOf(url, idleTimeoutMs);
  const deadline = deadlineOf(idleTimeoutMs, () => response.destroy(stalled(url, idleTimeoutMs)));
  let received = 0;
  let atEnd = false;
  try {
    for (;;) {
      const started = performance.now();
      deadline.begin();
      const next = await chunks.next();
      deadline.end();
      if (signal?.aborted === true) throw aborted(signal);
      if (next.done === true) break;
      received += next.value.length;
      if (received > maxBytes) throw tooLong(url, maxBytes);
      checkPace(next.value.length, performance.now() - started);
      onBytes(next.value.length);
      yield next.value;
    }
    atEnd = true;
  } catch (error) {
    if (signal?.aborted === true) throw aborted(signal);
    throw error instanceof GantryError ? error : interrupted(url, received, error);
  } finally {
    deadline.close();
    if (!atEnd) response.destroy();
  }
  if (expectedBytes !== undefined && received < expectedBytes) throw tooShort(url, expectedBytes, received);
}

/** Adds up until a deadline's worth of waiting is over, then compares. */
function paceOf(url: URL, idleTimeoutMs: number): (bytes: number, waitedMs: number) => void {
  const expected = Math.ceil((idleTimeoutMs * MIN_BYTES_PER_SECOND) / 1000);
  let came = 0;
  let waited = 0;
  return (bytes, waitedMs) => {
    came += bytes;
    waited += waitedMs;
    if (came < expected && waited >= idleTimeoutMs) throw tooSlow(url, idleTimeoutMs, came, expected);
    if (came >= expected) [came, waited] = [0, 0];
  };
}

/** One timer for all waits: making one for each chunk is what a fast network would wait for. */
function deadlineOf(ms: number, onLate: () => void): { begin(): void; end(): void; close(): void } {
  let isWaiting = false;
  const timer = setTimeout(() => {
    if (isWaiting) onLate();
  }, ms);
  return {
    begin() {
      isWaiting = true;
      timer.refresh();
    },
    end() {
      isWaiting = false;
    },
    close() {
      clearTimeout(timer);
    },
  };
}

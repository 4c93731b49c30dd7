/**
 * How long to go on with a request that fails.
 *
 * Rules:
 * - as long as bytes come there is no last try; without them patience ends, however often was tried until then;
 * - drops are no progress: patience begins anew only after a good many bytes, or a server could keep us for years with one at a time;
 * - between two tries lies an exponential back-off with full jitter, so that a fleet does not come back at once;
 * - a server that says when to come back is obeyed, or given up; never asked sooner, and never waited for longer than our patience;
 * - nobody waits long for a server that has never answered: it is more often a wrong URL than a bad day.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isGantryError, type GantryError } from '../errors.ts';
import { aborted } from './failures.ts';

export interface PatienceOptions {
  /** How long to go on without progress, in milliseconds; 0 is one try. */
  readonly patienceMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Before each wait. */
  readonly onRetry?: ((error: GantryError, waitMs: number) => void) | undefined;
  /** Whether any of its servers has ever answered: shared by the requests of a client. */
  readonly contact: { made: boolean };
  readonly clock?: PatienceClock;
}

/** Time and chance, for tests to take the place of. */
export interface PatienceClock {
  /** In milliseconds, never backwards. */
  readonly now: () => number;
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
  /** From 0 up to 1. */
  readonly random: () => number;
}

export interface Patience {
  /** New bytes came, beyond all that came before. */
  progress(bytes: number): void;
  /**
   * Waits until it is time for another try.
   *
   * @throws the error, when another try would be of no use; GantryError `aborted`
   */
  wait(error: unknown): Promise<void>;
}

export const DEFAULT_PATIENCE_MS = 60_000;
const CLOCK: PatienceClock = {
  now: () => performance.now(),
  random: Math.random,
  sleep: async (ms, signal) => delay(ms, undefined, signal === undefined ? {} : { signal }),
};
const FIRST_CONTACT_MS = 2000;
const BASE_MS = 200;
const LONGEST_PAUSE_MS = 20_000;
/** One deadline's worth of a crawl. */
const PROGRESS_BYTES = 65_536;

export function createPatience({ patienceMs, signal, onRetry, contact, clock = CLOCK }: PatienceOptions): Patience {
  let since = clock.now();
  let failures = 0;
  let progressed = 0;
  return {
    progress(bytes) {
      contact.made = true;
      progressed += bytes;
      if (progressed < PROGRESS_BYTES) return;
      since = clock.now();
      failures = 0;
      progressed = 0;
    },
    async wait(failure) {
      if (!mayPass(failure)) throw failure;
      if (failure.code !== 'http/unreachable' && failure.code !== 'http/proxy') contact.made = true;
      failures += 1;
      const pause = pauseMs(failure, failures, clock.random());
      const patience = contact.made ? patienceMs : Math.min(patienceMs, FIRST_CONTACT_MS);
      if (clock.now() - since + pause > patience) throw failure;
      onRetry?.(failure, pause);
      await clock.sleep(pause, signal).catch(() => {
        throw aborted(signal);
      });
    },
  };
}

function pauseMs(error: GantryError, failures: number, random: number): number {
  const jitter = random * Math.min(LONGEST_PAUSE_MS, BASE_MS * 2 ** Math.min(failures, 20));
  const asked = isGantryError(error, 'http/status') ? (error.details.retryAfterMs ?? 0) : 0;
  return asked + jitter;
}

const PASSING_STATUS: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** True for what another try may cure: nobody there, a broken or stalled answer, a server in trouble. */
export function mayPass(error: unknown): error is GantryError {
  if (isGantryError(error, 'http/status')) return PASSING_STATUS.has(error.details.status);
  if (isGantryError(error, 'http/proxy')) return error.details.status === undefined || PASSING_STATUS.has(error.details.status);
  return isGantryError(error, 'http/unreachable') || isGantryError(error, 'http/interrupted') || isGantryError(error, 'http/stalled');
}

const SECONDS = /^[0-9]{1,9}$/u;
const HTTP_DATE = /^[A-Z][a-z]{2,8},? /u;

/** What `Retry-After` asks for, in seconds or as a date; undefined for anything else. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? '';
  if (SECONDS.test(text)) return Number(text) * 1000;
  const date = HTTP_DATE.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

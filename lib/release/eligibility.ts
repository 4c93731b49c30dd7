/**
 * When a host may have an update: Bottlerocket's `update_ready`, bit for bit, and the rule as it was meant.
 *
 * Rules:
 * - a host has a seed from 0 to 2047; a wave with bound B owns the seeds up to B that no smaller bound owns;
 * - below the first bound there is nothing to wait for: seed 0 never waits, and nobody does without waves;
 * - inside a wave hosts follow one another in equal steps. Stock hosts multiply the step with their absolute seed, so in all but
 *   the first wave they come too late, and most of them all at once when the wave ends; `relative` counts from the wave's start;
 * - behind the last bound everybody comes at the last bound's time.
 */
import { GantryError } from '../errors.ts';
import type { Update } from './manifest.ts';
import { parseWaveTime, SECOND, type Instant } from './wave-time.ts';

/** How many seeds there are: 0 to 2047. */
export const SEEDS = 2048;

/** `stock`: as Bottlerocket's updog computes it. `relative`: as it was meant, and as our own agent computes it. */
export type WaveRule = 'stock' | 'relative';

/** Waves in the form that hosts compute with. */
export interface WaveSchedule {
  /** Ascending. */
  readonly bounds: readonly number[];
  /** One for each bound. */
  readonly times: readonly Instant[];
}

/**
 * @param waves of a manifest that was read or built here
 * @throws RangeError when a bound or a time has another form: a manifest that was read has none of these
 */
export function scheduleOf(waves: Update['waves']): WaveSchedule {
  const entries = Object.entries(waves)
    .map(([bound, text]) => {
      const time = parseWaveTime(text);
      if (time === undefined || !/^\d+$/u.test(bound)) throw new RangeError(`${JSON.stringify({ [bound]: text })} is no wave`);
      return [Number(bound), time] as const;
    })
    .toSorted(([a], [b]) => a - b);
  return { bounds: entries.map(([bound]) => bound), times: entries.map(([, time]) => time) };
}

/**
 * A host's seed, checked.
 *
 * @throws GantryError `release/bad-seed`: stock hosts with a seed above 2048 stop with a panic
 */
export function checkSeed(seed: number): number {
  if (Number.isInteger(seed) && seed >= 0 && seed < SEEDS) return seed;
  throw new GantryError('release/bad-seed', `Cannot use ${seed} as a host's seed: expected a whole number from 0 to ${SEEDS - 1}`, {
    seed,
  });
}

/** Where a seed stands between two waves; absent members: there is none on that side. */
interface Position {
  readonly prev?: { readonly bound: number; readonly time: Instant };
  readonly next?: { readonly bound: number; readonly time: Instant };
}

function positionOf({ bounds, times }: WaveSchedule, seed: number): Position {
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((bounds[middle] ?? 0) < seed) low = middle + 1;
    else high = middle;
  }
  const at = (index: number): Position['prev'] => {
    const [bound, time] = [bounds[index], times[index]];
    return bound === undefined || time === undefined ? undefined : { bound, time };
  };
  const [prev, next] = [at(low - 1), at(low)];
  return {
    ...(prev === undefined ? {} : { prev }),
    // Hosts do not look beyond 2048: what is there is inert.
    ...(next === undefined || next.bound > SEEDS ? {} : { next }),
  };
}

/**
 * Whether a host may have the update now.
 *
 * @param seed 0 to 2047
 * @param now nanoseconds since 1970
 */
export function updateReady(schedule: WaveSchedule, seed: number, now: Instant, rule: WaveRule = 'stock'): boolean {
  const { prev, next } = positionOf(schedule, seed);
  if (prev === undefined) return true;
  if (next === undefined) return now >= prev.time;
  if (now >= next.time) return true;
  if (now < prev.time) return false;
  return now >= targetOf(prev, next, seed, rule);
}

/** The first moment at which `updateReady` is true; undefined when it always is. */
export function readyAt(schedule: WaveSchedule, seed: number, rule: WaveRule = 'stock'): Instant | undefined {
  const { prev, next } = positionOf(schedule, seed);
  if (prev === undefined) return undefined;
  if (next === undefined) return prev.time;
  const target = targetOf(prev, next, seed, rule);
  const open = target > prev.time ? target : prev.time;
  return open < next.time ? open : next.time;
}

/** `readyAt` of every seed. */
export function readyTimes(schedule: WaveSchedule, rule: WaveRule = 'stock'): readonly (Instant | undefined)[] {
  return Array.from({ length: SEEDS }, (_, seed) => readyAt(schedule, seed, rule));
}

/** How many seeds may have the update now; for ordered waves these are the lowest ones. */
export function readySeeds(schedule: WaveSchedule, now: Instant, rule: WaveRule = 'stock'): number {
  let ready = 0;
  for (let seed = 0; seed < SEEDS; seed += 1) if (updateReady(schedule, seed, now, rule)) ready += 1;
  return ready;
}

function targetOf(prev: NonNullable<Position['prev']>, next: NonNullable<Position['next']>, seed: number, rule: WaveRule): Instant {
  const step = divide(next.time - prev.time, BigInt(next.bound - prev.bound));
  return prev.time + step * BigInt(rule === 'stock' ? seed : seed - prev.bound);
}

/** As chrono divides: seconds and nanoseconds apart, each cut towards zero. */
function divide(duration: Instant, by: bigint): Instant {
  const nanos = ((duration % SECOND) + SECOND) % SECOND;
  const seconds = (duration - nanos) / SECOND;
  return (seconds / by) * SECOND + ((seconds % by) * SECOND) / by + nanos / by;
}

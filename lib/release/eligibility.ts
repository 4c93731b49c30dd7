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

interface Wave {
  readonly bound: number;
  readonly time: Instant;
}

function waveAt({ bounds, times }: WaveSchedule, index: number): Wave | undefined {
  const [bound, time] = [bounds[index], times[index]];
  return bound === undefined || time === undefined ? undefined : { bound, time };
}

/** The index of the first wave whose bound is not below the seed; the one before it, if there is one, starts the seed's wave. */
function indexFor(bounds: readonly number[], seed: number): number {
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((bounds[middle] ?? 0) < seed) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Hosts do not look beyond 2048: what is there is inert. */
export function isInert(bound: number | undefined): boolean {
  return bound === undefined || bound > SEEDS;
}

/**
 * Whether a host may have the update now.
 *
 * @param seed 0 to 2047
 * @param now nanoseconds since 1970
 */
export function updateReady(schedule: WaveSchedule, seed: number, now: Instant, rule: WaveRule = 'stock'): boolean {
  const { bounds, times } = schedule;
  const index = indexFor(bounds, seed);
  const start = times[index - 1];
  const end = times[index];
  if (start === undefined) return true;
  if (end === undefined || isInert(bounds[index])) return now >= start;
  if (now >= end) return true;
  if (now < start) return false;
  return now >= targetOf(schedule, index, seed, rule);
}

/** The first moment at which `updateReady` is true; undefined when it always is. */
export function readyAt(schedule: WaveSchedule, seed: number, rule: WaveRule = 'stock'): Instant | undefined {
  const index = indexFor(schedule.bounds, seed);
  const start = schedule.times[index - 1];
  const end = schedule.times[index];
  if (start === undefined) return undefined;
  if (end === undefined || isInert(schedule.bounds[index])) return start;
  const target = targetOf(schedule, index, seed, rule);
  const open = target > start ? target : start;
  return open < end ? open : end;
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

/**
 * The seed's moment in the wave that ends at this index, before the wave's ends cut it: stock hosts compute it first.
 *
 * @throws RangeError when no wave ends there
 */
export function targetOf(schedule: WaveSchedule, index: number, seed: number, rule: WaveRule): Instant {
  const [start, end] = [waveAt(schedule, index - 1), waveAt(schedule, index)];
  if (start === undefined || end === undefined) throw new RangeError(`there is no wave that ends at ${index}`);
  const step = divide(end.time - start.time, BigInt(end.bound - start.bound));
  return start.time + step * BigInt(rule === 'stock' ? seed : seed - start.bound);
}

/** As chrono divides: seconds and nanoseconds apart, each cut towards zero. */
function divide(duration: Instant, by: bigint): Instant {
  const nanos = ((duration % SECOND) + SECOND) % SECOND;
  const seconds = (duration - nanos) / SECOND;
  return (seconds / by) * SECOND + ((seconds % by) * SECOND) / by + nanos / by;
}

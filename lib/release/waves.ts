/**
 * Waves that make stock hosts follow a curve.
 *
 * Stock hosts release a wave with bounds (P, B] all at once, at the time of B, whenever B - P <= P: the step that they compute,
 * times any of its absolute seeds, is past the wave's end. So narrow waves describe any curve, batch by batch; only a wave that
 * starts at bound 0 spreads as it was meant.
 *
 * Rules:
 * - nobody is let in earlier than the curve says; a batch comes when its last host is due;
 * - a batch is at most 20 seeds, just under 1 % of the fleet, unless more are due in the same second;
 * - times are whole seconds and grow with the bounds, which stock tools insist on.
 */
import { GantryError } from '../errors.ts';
import { readyTimes, scheduleOf, SEEDS, type WaveSchedule } from './eligibility.ts';
import type { Update } from './manifest.ts';
import { ceilSecond, SECOND, waveTime, type Instant } from './wave-time.ts';

export type Waves = Update['waves'];

/** Seeds of one batch. */
const BATCH_SEEDS = 20;

export interface Wave {
  readonly bound: number;
  /** A whole second. */
  readonly time: Instant;
}

export interface BatchLimits {
  /** How long the first host of a batch may have to wait for the last one. */
  readonly maxSpan?: Instant;
  /** Seeds at which a batch ends. */
  readonly joints?: ReadonlySet<number>;
}

/**
 * Many narrow waves from few wide ones: stock hosts then follow the curve that was meant within 1 % of the fleet.
 *
 * @param waves coarse ones, as `policyWaves` makes them
 * @throws GantryError `release/bad-waves`
 */
export function smoothWaves(waves: Waves): Waves {
  const schedule = orderedSchedule(waves);
  const { bounds, times } = schedule;
  // Up to here every wave starts at bound 0, and stock hosts spread it as it was meant.
  const kept = bounds.slice(0, bounds[0] === 0 ? 2 : 1).map((bound, index) => ({ bound, time: ceilSecond(times[index] ?? 0n) }));
  const last = kept.at(-1);
  if (last === undefined) return {};
  return wavesFrom([...kept, ...batches(readyTimes(schedule, 'relative'), last, { joints: new Set(bounds) })]);
}

/**
 * The batches in which the seeds above `after` come, at their times or at most one batch later.
 *
 * @param times of every seed, growing with the seed
 * @param after the wave that goes before
 */
export function batches(times: readonly (Instant | undefined)[], after: Wave, limits: BatchLimits = {}): readonly Wave[] {
  const waves: Wave[] = [];
  const timeOf = (seed: number): Instant => times[seed] ?? after.time;
  const final = timeOf(SEEDS - 1);
  let { bound, time } = after;
  while (bound < SEEDS - 1 && ceilSecond(final) > time) {
    const first = bound + 1;
    // Whoever is behind the last bound comes at its time: one bound is enough for all of them.
    const end = timeOf(first) === final ? first : endOfBatch(times, first, limits);
    const due = ceilSecond(timeOf(end));
    time = due > time ? due : time + SECOND;
    waves.push({ bound: end, time });
    bound = end;
  }
  return waves;
}

function endOfBatch(times: readonly (Instant | undefined)[], first: number, { maxSpan, joints }: BatchLimits): number {
  const start = times[first] ?? 0n;
  // Wider than this, and stock hosts would let the first ones in before the batch is due.
  const widest = Math.min(Math.max(first, 2 * (first - 1)), SEEDS - 1);
  let end = first;
  while (end < widest && joints?.has(end) !== true) {
    const [now, next] = [times[end] ?? 0n, times[end + 1] ?? 0n];
    const fits = end + 1 - first < BATCH_SEEDS && (maxSpan === undefined || next - start <= maxSpan);
    // What is due within one second goes together: times are whole seconds, and must not pile up.
    if (!fits && ceilSecond(next) > ceilSecond(now)) break;
    end += 1;
  }
  return end;
}

export function wavesFrom(waves: readonly Wave[]): Waves {
  return Object.fromEntries(waves.map(({ bound, time }) => [String(bound), waveTime(time)]));
}

/**
 * A schedule that can be steered: bounds within the seeds, times that grow.
 *
 * @throws GantryError `release/bad-waves`
 */
export function orderedSchedule(waves: Waves): WaveSchedule {
  const schedule = scheduleOf(waves);
  for (const [index, bound] of schedule.bounds.entries()) {
    const [time, before] = [schedule.times[index] ?? 0n, schedule.times[index - 1]];
    if (bound >= SEEDS) throw badWaves(bound, `it is beyond every host's seed; expected bounds from 0 to ${SEEDS - 1}`);
    if (before !== undefined && time <= before)
      throw badWaves(bound, `its time ${waveTime(time)} is not after the wave before it; expected times that grow`);
  }
  return schedule;
}

function badWaves(bound: number, problem: string): GantryError {
  return new GantryError('release/bad-waves', `Cannot use these waves: bound ${bound}: ${problem}`, { bound });
}

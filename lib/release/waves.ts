/**
 * Waves that make stock hosts follow a curve.
 *
 * Stock hosts release a wave with bounds (P, B] all at once, at the time of B, whenever B - P <= P: the step that they compute,
 * times any of its absolute seeds, is past the wave's end. So narrow waves describe any curve, batch by batch; only a wave that
 * starts at bound 0 spreads as it was meant.
 *
 * Rules:
 * - nobody is let in earlier than the curve says; a batch comes when its last host is due;
 * - a batch is at most 20 seeds, just under 1 % of the fleet, unless more are due in the same millisecond;
 * - times grow with the bounds, which stock tools insist on. They are whole seconds, but for batches that share one: of these the
 *   last comes at the whole second, and the others to the millisecond.
 */
import { GantryError } from '../errors.ts';
import { readyTimes, scheduleOf, SEEDS, type WaveSchedule } from './eligibility.ts';
import type { Update } from './manifest.ts';
import { ceilSecond, ceilTo, MILLISECOND, SECOND, waveTime, type Instant } from './wave-time.ts';

export type Waves = Update['waves'];

/** Seeds of one batch. */
const BATCH_SEEDS = 20;

export interface Wave {
  readonly bound: number;
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
  const turns = times.map((time) => ceilTo(MILLISECOND, time ?? after.time));
  const final = turns[SEEDS - 1] ?? after.time;
  const due: Wave[] = [];
  let { bound, time } = after;
  while (bound < SEEDS - 1 && final > time) {
    const first = bound + 1;
    // Whoever is behind the last bound comes at its time: one bound is enough for all of them.
    bound = turns[first] === final ? first : endOfBatch(turns, first, limits);
    time = turns[bound] ?? final;
    due.push({ bound, time });
  }
  // In a schedule of seconds, a second is too much.
  const unit = limits.maxSpan !== undefined && limits.maxSpan < SECOND ? MILLISECOND : SECOND;
  return rounded(due, after.time, unit);
}

/** Up, and apart: nobody comes before its time. */
function rounded(due: readonly Wave[], after: Instant, unit: Instant): readonly Wave[] {
  let before = after;
  return due.map(({ bound, time }, index): Wave => {
    const next = due[index + 1]?.time;
    const whole = ceilTo(unit, time);
    const wanted = next !== undefined && ceilTo(unit, next) === whole ? time : whole;
    before = wanted > before ? wanted : before + MILLISECOND;
    return { bound, time: before };
  });
}

/** @param turns whole milliseconds: what is due within one goes together, or times would pile up */
function endOfBatch(turns: readonly Instant[], first: number, { maxSpan, joints }: BatchLimits): number {
  const start = turns[first] ?? 0n;
  const widest = widestEnd(first);
  let end = first;
  while (end < widest && joints?.has(end) !== true) {
    const [now, next] = [turns[end] ?? 0n, turns[end + 1] ?? 0n];
    const fits = end + 1 - first < BATCH_SEEDS && (maxSpan === undefined || next - start <= maxSpan);
    if (!fits && next > now) break;
    end += 1;
  }
  return end;
}

/** The last seed of a wave that stock hosts let in all at once, at its time: a wider one they would spread, and begin early. */
export function widestEnd(first: number): number {
  return Math.min(Math.max(first, 2 * (first - 1)), SEEDS - 1);
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

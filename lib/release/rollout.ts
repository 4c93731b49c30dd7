/**
 * Steering a rollout that is under way: pause, resume, accelerate.
 *
 * An update carries two schedules: `waves`, which stock hosts compute with, and in `gantry.waves` the one that was meant, which
 * our own agents compute with (`gantry` absent: `waves` serves both). Steering changes both, each by its own rule.
 *
 * Rules:
 * - a host that may have the update keeps it, whatever is done;
 * - an edit holds for one moment, a little ahead: until then the old schedule goes on to the second, so a publication that
 *   comes early lets nobody in early;
 * - a pause keeps the schedule as it was in `gantry.paused`, and resuming shifts what was left of it;
 * - a pause is moved by resuming and pausing: one that is published must not be lost because its successor is published late.
 */
import { GantryError, type ErrorDetails } from '../errors.ts';
import { readySeeds, readyTimes, scheduleOf, SEEDS, updateReady, type WaveSchedule } from './eligibility.ts';
import type { Update, UpdateExtras } from './manifest.ts';
import { batches, orderedSchedule, wavesFrom, widestEnd, type Wave, type Waves } from './waves.ts';
import { ceilSecond, ceilTo, floorSecond, instantOf, MILLISECOND, parseWaveTime, SECOND, waveTime, type Instant } from './wave-time.ts';

/**
 * How far away a paused host's turn is. Stock hosts multiply it by their seed in a date type that ends with the year 262142, and
 * stop with a panic beyond that: 20 years times 2048 is well within it.
 */
const FAR = 20n * 365n * 86_400n * SECOND;
/** Of the schedule's length: how much a batch may add to a host's wait. */
const SPAN_SHARE = 200n;

type Ready = readonly (Instant | undefined)[];

/**
 * Nobody new from `at` on.
 *
 * @param from now: whoever is ready by then keeps the update at once
 * @param at when it holds; whole seconds, rounded up
 * @throws GantryError `release/rollout` when it is paused, also from a moment on that is still to come, or done by then; `release/bad-waves`
 */
export function pauseRollout(update: Update, from: Date, at: Date): Update {
  refusePaused(update, 'pause');
  const schedule = orderedSchedule(update.waves);
  const [start, hold] = [instantOf(from), holdOf(from, at)];
  const ready = readyTimes(schedule);
  const last = lastReady(ready, hold);
  if (last === SEEDS - 1) throw refuseDone(update, 'pause', ready, start);
  const steps = untilThen(ready, start, last);
  return {
    ...update,
    waves: wavesFrom([...steps, { bound: last + 1, time: hold + FAR }]),
    gantry: { ...update.gantry, paused: { at: waveTime(hold), waves: update.waves } },
  };
}

/**
 * The schedule goes on where it was stopped, with everything that was left shifted by the length of the pause.
 *
 * @param from now: a pause whose moment is still to come has not held up anybody by then
 * @param at when the first hosts go on waiting; whole seconds, rounded up
 * @throws GantryError `release/rollout` when it is not paused
 */
export function resumeRollout(update: Update, from: Date, at: Date): Update {
  const { paused, ...extras } = update.gantry ?? {};
  if (paused === undefined) throw refusal(update, 'resume', 'it is not paused', 'not-paused');
  const hold = parseWaveTime(paused.at) ?? 0n;
  const go = ceilSecond(instantOf(at));
  // A pause whose moment has not come yet has held up nobody.
  if (go <= hold) return withExtras({ ...update, waves: paused.waves }, extras);
  const later = (time: Instant): Instant => time + (go - hold);
  const waves = warpStock(paused.waves, { from: instantOf(from), hold, go }, later);
  return withExtras({ ...update, waves }, { ...extras, waves: warpMeant(extras.waves ?? paused.waves, hold, later) });
}

/**
 * What is left of the schedule takes `1 / factor` of the time.
 *
 * @param from now: whoever is ready by then keeps the update
 * @param at when it takes effect; whole seconds, rounded up
 * @param factor above 1
 * @throws GantryError `release/rollout` when it is paused or done; RangeError unless the factor is above 1
 */
export function accelerateRollout(update: Update, from: Date, at: Date, factor: number): Update {
  if (!(factor > 1 && factor <= 1e6)) throw new RangeError('a factor is above 1');
  refusePaused(update, 'accelerate');
  const schedule = orderedSchedule(update.waves);
  const hold = holdOf(from, at);
  const ready = readyTimes(schedule);
  const last = lastReady(ready, hold);
  if (last === SEEDS - 1) throw refuseDone(update, 'accelerate', ready, instantOf(from));
  const faster = (time: Instant): Instant => hold + scaled(time - hold, factor);
  const steps = untilThen(ready, instantOf(from), last);
  const rest = ready.map((time) => (time === undefined || time <= hold ? time : faster(time)));
  const before: Wave = { bound: last, time: steps.at(-1)?.time ?? floorSecond(hold) };
  return {
    ...update,
    waves: wavesFrom([...steps, ...batches(rest, before, { maxSpan: spanOf(schedule) })]),
    gantry: { ...update.gantry, waves: warpMeant(update.gantry?.waves ?? update.waves, hold, faster) },
  };
}

/**
 * Another schedule altogether; a pause is over.
 *
 * @param meant the schedule for our own agents, when it is another one than `waves`
 */
export function replaceWaves(update: Update, waves: Waves, meant?: Waves): Update {
  const { paused: _, waves: __, ...extras } = update.gantry ?? {};
  return withExtras({ ...update, waves }, meant === undefined ? extras : { ...extras, waves: meant });
}

/** Whoever is ready at `from` keeps the update, so nothing can hold before that. */
function holdOf(from: Date, at: Date): Instant {
  return ceilSecond(instantOf(at > from ? at : from));
}

function withExtras(update: Update, extras: UpdateExtras): Update {
  const { gantry: _, ...plain } = update;
  return Object.keys(extras).length === 0 ? plain : { ...update, gantry: extras };
}

function scaled(duration: Instant, factor: number): Instant {
  const precision = 1_000_000;
  return (duration * BigInt(precision)) / BigInt(Math.round(factor * precision));
}

/** The highest seed that is ready then; seed 0 always is. */
function lastReady(ready: Ready, at: Instant): number {
  return ready.findLastIndex((time) => time === undefined || time <= at);
}

/**
 * Waves that let in at once whoever is ready at `from`, and the others up to `last` each in the second in which the schedule
 * would: at most a second earlier, and later by no more than the milliseconds that keep waves of one second apart.
 */
function untilThen(ready: Ready, from: Instant, last: number): readonly Wave[] {
  const first = Math.min(lastReady(ready, from), last);
  const timeOf = (seed: number): Instant => floorSecond(ready[seed] ?? from);
  const steps: Wave[] = [];
  for (let seed = first + 1; seed <= last;) {
    const [start, widest] = [timeOf(seed), Math.min(widestEnd(seed), last)];
    const before = steps.at(-1)?.time;
    let bound = seed;
    while (bound < widest && timeOf(bound + 1) === start) bound += 1;
    steps.push({ bound, time: before === undefined || before < start ? start : before + MILLISECOND });
    seed = bound + 1;
  }
  const [step] = steps;
  const base = floorSecond(from);
  return [{ bound: first, time: step === undefined || base < step.time ? base : step.time - SECOND }, ...steps];
}

/** The waves of stock hosts, with the turns after `hold` moved to where `move` says; until then they go on as they were. */
function warpStock(
  waves: Waves,
  { from, hold, go }: { readonly from: Instant; readonly hold: Instant; readonly go: Instant },
  move: (time: Instant) => Instant,
): Waves {
  const schedule = orderedSchedule(waves);
  const ready = readyTimes(schedule);
  const last = lastReady(ready, hold);
  const moved = ready.map((time) => (time === undefined || time <= hold ? time : move(time)));
  // Whoever was ready at the pause is ready at once, wherever the first bound's time lies.
  const steps = from < hold ? untilThen(ready, from, last) : [{ bound: last, time: go }];
  const before = steps.at(-1) ?? { bound: last, time: go };
  return wavesFrom([...steps, ...batches(moved, before, { maxSpan: spanOf(schedule) })]);
}

/**
 * The schedule that was meant, with the turns after `hold` moved: linear before and after, with a joint at the host whose turn
 * is next.
 */
function warpMeant(waves: Waves, hold: Instant, move: (time: Instant) => Instant): Waves {
  const schedule = orderedSchedule(waves);
  const ready = readyTimes(schedule, 'relative');
  const last = lastReady(ready, hold);
  if (last === SEEDS - 1) return waves;
  const joint = [last, last + 1].map((bound): Wave => {
    const time = ready[bound] ?? hold - SECOND;
    return { bound, time: time <= hold ? time : move(time) };
  });
  const around = schedule.bounds.map((bound, index): Wave => {
    const time = schedule.times[index] ?? 0n;
    return { bound, time: time <= hold ? time : move(time) };
  });
  const all = [...around.filter(({ bound }) => bound < last), ...joint, ...around.filter(({ bound }) => bound > last + 1)];
  return wavesFrom(roundedTogether(all, hold));
}

/**
 * In the coarsest unit that keeps them apart: a joint that fell into the time of another wave would be none. Up to the hold they are
 * rounded down, because whoever has the update by then must not lose it, and up behind it.
 */
function roundedTogether(waves: readonly Wave[], hold: Instant): readonly Wave[] {
  for (const unit of [SECOND, MILLISECOND]) {
    const rounded = waves.map(({ bound, time }) => ({ bound, time: ceilTo(unit, time <= hold ? time - unit + 1n : time) }));
    if (rounded.every(({ time }, index) => time > (rounded[index - 1]?.time ?? time - 1n))) return rounded;
  }
  return waves.filter((wave, index) => waves.slice(index + 1).every(({ time }) => time > wave.time));
}

function spanOf({ times }: WaveSchedule): Instant {
  return ((times.at(-1) ?? 0n) - (times[0] ?? 0n)) / SPAN_SHARE;
}

function refusePaused(update: Update, verb: string): void {
  const at = update.gantry?.paused?.at;
  if (at !== undefined) throw refusal(update, verb, `it is paused from ${at} on`, 'paused');
}

/** Whether they have it now, or will have it at the moment for which the edit is computed. */
function refuseDone(update: Update, verb: string, ready: Ready, from: Instant): GantryError {
  if (lastReady(ready, from) === SEEDS - 1) return refusal(update, verb, 'every host may have it already', 'done');
  const ends = waveTime(ceilSecond(ready.reduce<Instant>((latest, time) => (time !== undefined && time > latest ? time : latest), from)));
  return refusal(update, verb, `every host may have it from ${ends} on, before that holds; expected a moment before`, 'done-by-then');
}

function refusal(update: Update, verb: string, problem: string, state: ErrorDetails['release/rollout']['state']): GantryError {
  const { variant, arch, version } = update;
  return new GantryError('release/rollout', `Cannot ${verb} ${version} of ${variant}/${arch}: ${problem}`, {
    variant,
    arch,
    version,
    state,
  });
}

/**
 * Whether a host may have the update now, as our own agents decide it: by the schedule that was meant.
 *
 * @param seed 0 to 2047
 */
export function isOffered(update: Update, seed: number, now: Instant): boolean {
  return updateReady(meantSchedule(update), seed, momentFor(update, now), 'relative');
}

/** For how many seeds `isOffered` is true. */
export function offeredSeeds(update: Update, now: Instant): number {
  return readySeeds(meantSchedule(update), momentFor(update, now), 'relative');
}

function meantSchedule({ waves, gantry }: Update): WaveSchedule {
  return scheduleOf(gantry?.waves ?? gantry?.paused?.waves ?? waves);
}

/** The schedule stands still from the moment of a pause on. */
function momentFor({ gantry }: Update, now: Instant): Instant {
  const hold = gantry?.paused === undefined ? undefined : parseWaveTime(gantry.paused.at);
  return hold !== undefined && hold < now ? hold : now;
}

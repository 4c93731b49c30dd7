/**
 * What a fleet does with a wave schedule: whose turn comes when, who downloads and who runs the new version.
 *
 * Rules:
 * - a host's turn (`offered`) comes when its seed is ready; it downloads at its first poll from then on, and runs the new version
 *   (`updated`) at the next moment at which it may reboot;
 * - hosts poll regularly, each at a moment of its own. One random draw gives a host its seed and that moment; another generator
 *   decides who fails, so that one `rngSeed` is one fleet whatever the other options are;
 * - a host fails, or does not, when it has rebooted. When enough have failed, and the reaction to it has come into effect, nobody
 *   downloads any more; who has downloaded by then reboots all the same, because stock hosts do not look again;
 * - nothing is kept for a host. All that is counted is how many hosts do something in a bin of a minute (of more, for schedules
 *   that last for years), so time grows with the fleet and memory does not.
 */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { readyTimes, SEEDS, type WaveRule, type WaveSchedule } from './eligibility.ts';
import { minutesToReboot, WEEK_MINUTES, type RebootWindow } from './reboot-windows.ts';
import { SECOND, type Instant } from './wave-time.ts';

export interface SimulationOptions {
  readonly hosts: number;
  /** When hosts start to look. */
  readonly from: Instant;
  readonly pollSeconds: number;
  /** Any whole number of 32 bits: the same number is the same fleet. */
  readonly rngSeed: number;
  /** Empty or absent: hosts reboot at once. */
  readonly rebootWindows?: readonly RebootWindow[];
  /** Of one host. */
  readonly downloadBytes?: number;
  readonly failures?: FailureOptions;
  /** Nobody's turn comes after this moment: the rollout is paused. */
  readonly holdAt?: Instant;
}

export interface FailureOptions {
  /** Of the hosts that reboot: 0 to 1. */
  readonly share: number;
  /** How many failed hosts make somebody abort the rollout; absent: nobody does. */
  readonly abortAfter?: number;
  /** From the failure to the moment at which no poll finds the update any more: people, signing, caches. */
  readonly reactionSeconds: number;
}

/** Times are seconds after `from`. */
export interface Rollout {
  readonly hosts: number;
  readonly from: Instant;
  readonly binSeconds: number;
  /** The schedule's own view: hosts that may have the update, whether they have looked or not. */
  readonly offered: Stage;
  readonly downloaded: Stage;
  /** Hosts that have rebooted into the new version, those that fail then among them. */
  readonly updated: Stage;
  readonly failed: number;
  /** When nobody downloads any more. */
  readonly abortedAt?: number;
  /** The bin in which most turns come: a schedule's largest jump. */
  readonly jump: Burst;
  /** The ten minutes in which most hosts download. */
  readonly peak: Burst & { readonly bytesPerSecond: number };
}

export interface Stage {
  /** In the end. */
  readonly hosts: number;
  /** How many hosts have come that far at each multiple of `binSeconds`; it stays at the last one. */
  readonly curve: Uint32Array;
  readonly reached: readonly Reached[];
}

export interface Reached {
  /** Of the whole fleet. */
  readonly percent: number;
  /** Absent: never. */
  readonly after?: number;
}

export interface Burst {
  readonly hosts: number;
  /** When it ends. */
  readonly after: number;
  readonly withinSeconds: number;
}

const PERCENTS = [1, 5, 10, 25, 50, 75, 90, 99, 100];
const MINUTE = 60;
const PEAK_SECONDS = 600;
/** Two years of minutes. */
const MAX_BINS = 1 << 20;
const MAX_HOSTS = 1e9;
const MAX_POLL_SECONDS = 366 * 86_400;
/** A draw has 32 bits: the upper 11 are the seed, the others the moment of the poll. */
const DRAWS = 2 ** 32;
const PHASE_BITS = 21;
const PHASES = 2 ** PHASE_BITS;

/**
 * @param rule how hosts compute their turn
 * @throws RangeError when an option makes no sense
 */
export function simulateRollout(schedule: WaveSchedule, rule: WaveRule, options: SimulationOptions): Rollout {
  refuseNonsense(options);
  const plan = planOf(schedule, rule, options);
  const { failures } = options;
  const tally = sweep(plan, options, Number.POSITIVE_INFINITY);
  const bin = failures?.abortAfter === undefined ? undefined : binWith(runningTotal(tally.failures), failures.abortAfter);
  if (bin === undefined || failures === undefined) return summaryOf(plan, options, tally);
  // Whoever failed so early had downloaded before anybody could react: the same hosts fail by then in a rollout that is aborted.
  const abortedAt = bin * plan.binSeconds + failures.reactionSeconds;
  return { ...summaryOf(plan, options, sweep(plan, options, abortedAt)), abortedAt };
}

function refuseNonsense({ hosts, pollSeconds, rngSeed, downloadBytes = 0, failures }: SimulationOptions): void {
  const { share, abortAfter = 1, reactionSeconds } = failures ?? { share: 0, reactionSeconds: 0 };
  const nonsense = [
    [Number.isInteger(hosts) && hosts >= 1 && hosts <= MAX_HOSTS, `1 to ${MAX_HOSTS} hosts`],
    [pollSeconds >= 1 && pollSeconds <= MAX_POLL_SECONDS, 'polls between a second and a year apart'],
    [Number.isInteger(rngSeed) && rngSeed >= -(2 ** 31) && rngSeed < 2 ** 32, 'a random seed of 32 bits'],
    [downloadBytes >= 0 && Number.isFinite(downloadBytes), 'a download of 0 bytes or more'],
    [share >= 0 && share <= 1, 'a share of failures from 0 to 1'],
    [Number.isInteger(abortAfter) && abortAfter >= 1, 'an abort after one failed host or more'],
    [reactionSeconds >= 0 && Number.isFinite(reactionSeconds), 'a reaction that takes no time or some'],
  ].find(([isRight]) => isRight === false);
  if (nonsense !== undefined) throw new RangeError(`cannot simulate this: expected ${String(nonsense[1])}`);
}

interface Plan {
  /** Each seed's turn; infinite when it never comes. */
  readonly turns: Float64Array;
  readonly bins: number;
  readonly binSeconds: number;
}

function planOf(schedule: WaveSchedule, rule: WaveRule, { from, holdAt, pollSeconds, rebootWindows = [] }: SimulationOptions): Plan {
  const turns = Float64Array.from(readyTimes(schedule, rule), (time) => {
    if (time === undefined) return 0;
    if (holdAt !== undefined && time > holdAt) return Number.POSITIVE_INFINITY;
    return time <= from ? 0 : Number(time - from) / Number(SECOND);
  });
  const last = turns.reduce((latest, turn) => (Number.isFinite(turn) && turn > latest ? turn : latest), 0);
  const end = last + pollSeconds + (rebootWindows.length === 0 ? 0 : WEEK_MINUTES * MINUTE);
  const binSeconds = Math.ceil(end / MINUTE / MAX_BINS) * MINUTE;
  return { turns, bins: Math.ceil(end / binSeconds) + 1, binSeconds };
}

/** How many hosts did something in each bin. Bin `n` ends with `n` times its length, so the first one is the start itself. */
interface Tally {
  readonly offers: Uint32Array;
  readonly downloads: Uint32Array;
  readonly updates: Uint32Array;
  readonly failures: Uint32Array;
}

/**
 * All hosts, one after the other.
 *
 * @param until who polls after this moment finds nothing
 */
function sweep({ turns, bins, binSeconds }: Plan, options: SimulationOptions, until: number): Tally {
  const { hosts, pollSeconds, rebootWindows = [], failures: { share } = { share: 0 } } = options;
  // A host polls at `phase + n * pollSeconds`: in the period in which its turn comes or, when that poll is too early, in the next.
  const period = turns.map((turn) => Math.floor(turn / pollSeconds) * pollSeconds);
  const into = turns.map((turn, seed) => (Number.isFinite(turn) ? turn - (period[seed] ?? 0) : 0));
  const waits = minutesToReboot(rebootWindows);
  const weekday = secondsOfWeek(options.from);
  const failLimit = share * DRAWS;
  const seeds = new Uint32Array(SEEDS);
  const [downloads, updates, failures] = [new Uint32Array(bins), new Uint32Array(bins), new Uint32Array(bins)];
  const fleet = xoroshiro128plus(options.rngSeed);
  // The generator's first states are mostly zeros and ones; those far ahead are not.
  fleet.jump();
  const fate = fleet.clone();
  fate.jump();
  for (let host = 0; host < hosts; host += 1) {
    const draw = fleet.next();
    const seed = draw >>> PHASE_BITS;
    const phase = ((draw & (PHASES - 1)) / PHASES) * pollSeconds;
    const fails = failLimit > 0 && fate.next() >>> 0 < failLimit;
    seeds[seed] = (seeds[seed] ?? 0) + 1;
    const download = (period[seed] ?? 0) + phase + (phase < (into[seed] ?? 0) ? pollSeconds : 0);
    if (download > until || download === Number.POSITIVE_INFINITY) continue;
    const downloadBin = Math.ceil(download / binSeconds);
    downloads[downloadBin] = (downloads[downloadBin] ?? 0) + 1;
    const minute = Math.floor((download + weekday) / MINUTE);
    const wait = waits[minute % WEEK_MINUTES] ?? 0;
    const updateBin = wait === 0 ? downloadBin : Math.ceil(((minute + wait) * MINUTE - weekday) / binSeconds);
    updates[updateBin] = (updates[updateBin] ?? 0) + 1;
    if (fails) failures[updateBin] = (failures[updateBin] ?? 0) + 1;
  }
  const offers = new Uint32Array(bins);
  for (const [seed, turn] of turns.entries()) {
    const bin = Math.ceil(turn / binSeconds);
    if (Number.isFinite(turn) && turn <= until) offers[bin] = (offers[bin] ?? 0) + (seeds[seed] ?? 0);
  }
  return { offers, downloads, updates, failures };
}

/** Since Monday, 0 o'clock UTC. */
function secondsOfWeek(instant: Instant): number {
  const week = BigInt(WEEK_MINUTES * MINUTE) * SECOND;
  // 1970 began on a Thursday.
  const since = (instant + 3n * 86_400n * SECOND) % week;
  return Number((since + week) % week) / Number(SECOND);
}

function summaryOf({ binSeconds }: Plan, options: SimulationOptions, tally: Tally): Rollout {
  const { hosts, from, downloadBytes = 0 } = options;
  const peak = burstOf(tally.downloads, binSeconds, Math.max(1, Math.round(PEAK_SECONDS / binSeconds)));
  return {
    hosts,
    from,
    binSeconds,
    offered: stageOf(tally.offers, hosts, binSeconds),
    downloaded: stageOf(tally.downloads, hosts, binSeconds),
    updated: stageOf(tally.updates, hosts, binSeconds),
    failed: runningTotal(tally.failures).at(-1) ?? 0,
    jump: burstOf(tally.offers, binSeconds, 1),
    peak: { ...peak, bytesPerSecond: (peak.hosts * downloadBytes) / peak.withinSeconds },
  };
}

function stageOf(counts: Uint32Array, hosts: number, binSeconds: number): Stage {
  const last = counts.findLastIndex((count) => count > 0);
  const curve = runningTotal(counts.subarray(0, last + 1));
  const reached = PERCENTS.map((percent) => {
    const bin = binWith(curve, (hosts * percent) / 100);
    return { percent, ...(bin === undefined ? {} : { after: bin * binSeconds }) };
  });
  return { hosts: curve.at(-1) ?? 0, curve, reached };
}

function runningTotal(counts: Uint32Array): Uint32Array {
  let total = 0;
  return counts.map((count) => (total += count));
}

/** The first bin with which the total is reached. */
function binWith(curve: Uint32Array, total: number): number | undefined {
  const bin = curve.findIndex((hosts) => hosts >= total);
  return bin === -1 ? undefined : bin;
}

/** The bins in a row in which most hosts did something. */
function burstOf(counts: Uint32Array, binSeconds: number, width: number): Burst {
  let [within, most, end] = [0, 0, 0];
  for (const [bin, count] of counts.entries()) {
    within += count - (counts[bin - width] ?? 0);
    if (within <= most) continue;
    most = within;
    end = bin;
  }
  return { hosts: most, after: end * binSeconds, withinSeconds: width * binSeconds };
}

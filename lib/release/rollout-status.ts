/** Where a rollout stands: who may have an update now, and when the others may. */
import { readyTimes, scheduleOf, SEEDS } from './eligibility.ts';
import { isWithdrawn } from './find.ts';
import type { Update } from './manifest.ts';
import { offeredSeeds } from './rollout.ts';
import { dateOfInstant, instantOf, parseWaveTime, type Instant } from './wave-time.ts';

/**
 * `everyone`: there are no waves for which a host would have to wait. `scheduled`: only hosts that never wait have it. `withdrawn`: nobody is offered it, whatever
 * its waves say.
 */
export type RolloutState = 'everyone' | 'scheduled' | 'running' | 'paused' | 'done' | 'withdrawn';

export interface RolloutStatus {
  readonly state: RolloutState;
  /** Share of the fleet that may have it now, 0 to 1: stock hosts, and our own agents. */
  readonly offered: number;
  readonly offeredToAgents: number;
  /** Of the last host's turn; absent without waves and while it is paused. */
  readonly ends?: Date;
  /** The next moment at which more stock hosts may have it, and the share that may then. */
  readonly next?: { readonly at: Date; readonly offered: number };
  readonly pausedAt?: Date;
}

export function rolloutStatus(update: Update, now: Date): RolloutStatus {
  const at = instantOf(now);
  const times = readyTimes(scheduleOf(update.waves));
  const ready = times.filter((time) => time === undefined || time <= at).length;
  const shares = { offered: ready / SEEDS, offeredToAgents: offeredSeeds(update, at) / SEEDS };
  const hold = update.gantry?.paused === undefined ? undefined : parseWaveTime(update.gantry.paused.at);
  if (isWithdrawn(update)) return { state: 'withdrawn', ...shares };
  const last = times.reduce((latest, time) => (latest === undefined || (time !== undefined && time > latest) ? time : latest), undefined);
  // Without waves, and with waves that begin beyond every seed.
  if (last === undefined) return { state: 'everyone', ...shares };
  const next = nextStep(times, at, hold);
  if (hold !== undefined) return { state: 'paused', ...shares, pausedAt: dateOfInstant(hold), ...(next === undefined ? {} : { next }) };
  const ends = dateOfInstant(last);
  if (ready === SEEDS) return { state: 'done', ...shares, ends };
  const state = ready === times.filter((time) => time === undefined).length && !hasBegun(update, at) ? 'scheduled' : 'running';
  return { state, ...shares, ends, ...(next === undefined ? {} : { next }) };
}

const LONG_AGO: Instant = -(10n ** 30n);

/** By the schedule that was meant: in a resumed one, hosts that had their turn before the pause wait for nobody. */
function hasBegun(update: Update, now: Instant): boolean {
  return offeredSeeds(update, now) > offeredSeeds(update, LONG_AGO);
}

/** While a rollout is paused its waves name a moment that is only there to be far away. */
function nextStep(
  times: readonly (Instant | undefined)[],
  now: Instant,
  hold: Instant | undefined,
): { readonly at: Date; readonly offered: number } | undefined {
  const later = times.filter((time): time is Instant => time !== undefined && time > now && (hold === undefined || time <= hold));
  if (later.length === 0) return undefined;
  const at = later.reduce((first, time) => (time < first ? time : first));
  return { at: dateOfInstant(at), offered: times.filter((time) => time === undefined || time <= at).length / SEEDS };
}

/** When a seed's turn comes; `always` when it never waits, `never` while the rollout is paused before it. */
export function turnOf(update: Update, seed: number): Date | 'always' | 'never' {
  const time = readyTimes(scheduleOf(update.waves))[seed];
  if (time === undefined) return 'always';
  const hold = update.gantry?.paused === undefined ? undefined : parseWaveTime(update.gantry.paused.at);
  return hold !== undefined && time > hold ? 'never' : dateOfInstant(time);
}

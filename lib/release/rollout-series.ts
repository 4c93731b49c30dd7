/** Simulated rollouts as series with equal steps, for charts, tables and files. */
import type { Rollout, Stage } from './simulate.ts';

/** One entry for each moment: `0`, `stepSeconds`, twice as much, …; hosts, not shares. */
export interface RolloutSeries {
  readonly offered: readonly number[];
  readonly downloaded: readonly number[];
  readonly updated: readonly number[];
  /** Hosts that download in the step that ends at the moment. */
  readonly downloads: readonly number[];
}

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
const STEPS = [MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, DAY, 7 * DAY, 28 * DAY];

/** How many hosts have come that far. @param seconds after the start */
export function hostsAt({ curve }: Stage, { binSeconds }: Pick<Rollout, 'binSeconds'>, seconds: number): number {
  if (seconds < 0) return 0;
  return curve[Math.min(Math.floor(seconds / binSeconds), curve.length - 1)] ?? 0;
}

/** When nothing happens any more, in seconds after the start; at least one bin. */
export function endOf({ offered, downloaded, updated, binSeconds, abortedAt = 0 }: Rollout): number {
  const bins = Math.max(2, ...[offered, downloaded, updated].map(({ curve }) => curve.length));
  return Math.max((bins - 1) * binSeconds, abortedAt);
}

/** The shortest round step, in seconds, with which `seconds` make at most `most` steps. */
export function stepFor(seconds: number, most: number): number {
  const longest = 28 * DAY;
  return STEPS.find((step) => seconds <= step * most) ?? Math.ceil(seconds / most / longest) * longest;
}

/** Up to the first step at which `endSeconds` have passed. */
export function seriesOf(rollout: Rollout, stepSeconds: number, endSeconds: number): RolloutSeries {
  const moments = Array.from({ length: Math.ceil(endSeconds / stepSeconds) + 1 }, (_, step) => step * stepSeconds);
  const sampled = (stage: Stage): readonly number[] => moments.map((moment) => hostsAt(stage, rollout, moment));
  const downloaded = sampled(rollout.downloaded);
  return {
    offered: sampled(rollout.offered),
    downloaded,
    updated: sampled(rollout.updated),
    downloads: downloaded.map((hosts, step) => hosts - (downloaded[step - 1] ?? 0)),
  };
}

/** Rollouts in words. */
import type { RolloutStatus } from '../../lib/release/rollout-status.ts';
import { formatWhen } from './format.ts';

/** `37.1 %`; never rounded to 0 or 100 when it is neither. */
export function formatShare(share: number): string {
  const percent = share * 100;
  if (percent > 0 && percent < 0.1) return '< 0.1 %';
  if (percent < 100 && percent > 99.9) return '> 99.9 %';
  return `${percent.toFixed(percent === 0 || percent === 100 ? 0 : 1)} %`;
}

/** `2026-03-03T17:00:00Z` */
export function formatMoment(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/u, 'Z');
}

/** `2026-03-03T17:00:00Z (in 3 hours)` */
export function formatMomentFrom(date: Date, now: Date): string {
  return `${formatMoment(date)} (${formatWhen(date, now)})`;
}

/** Where a rollout stands, in a few words. */
export function describeRollout(status: RolloutStatus, now: Date): string {
  const { state, offered, ends, next, pausedAt } = status;
  const left = ends === undefined ? '' : `, everyone ${formatWhen(ends, now)}`;
  switch (state) {
    case 'everyone':
      return 'everyone';
    case 'done':
      return 'everyone, the rollout is done';
    case 'withdrawn':
      return 'withdrawn';
    case 'scheduled':
      return `starts ${next === undefined ? 'later' : formatWhen(next.at, now)}${left}`;
    case 'running':
      return `${formatShare(offered)}${left}`;
    case 'paused':
      if (pausedAt !== undefined && pausedAt > now) return `${formatShare(offered)}, pauses ${formatWhen(pausedAt, now)}`;
      return `${formatShare(offered)}, paused ${pausedAt === undefined ? '' : formatWhen(pausedAt, now)}`;
  }
}

/** The same as a sentence about a release, to come after its name and a colon. */
export function rolloutSentence(status: RolloutStatus, now: Date): string {
  const { state, offered, ends, next, pausedAt } = status;
  const last = ends === undefined ? '' : `, the last hosts ${formatWhen(ends, now)}`;
  switch (state) {
    case 'everyone':
      return 'every host is offered it.';
    case 'done':
      return 'every host is offered it; the rollout is done.';
    case 'withdrawn':
      return 'nobody is offered it: it is withdrawn.';
    case 'scheduled':
      return `the first hosts are offered it ${next === undefined ? 'later' : formatWhen(next.at, now)}${last}.`;
    case 'running':
      return `${formatShare(offered)} of the fleet is offered it${last}.`;
    case 'paused':
      if (pausedAt !== undefined && pausedAt > now)
        return `${formatShare(offered)} of the fleet is offered it, and it pauses ${formatWhen(pausedAt, now)}.`;
      return `${formatShare(offered)} of the fleet is offered it, and nobody else while it is paused.`;
  }
}

/** A rollout for programs: times as everywhere else, in whole seconds. */
export function rolloutJson({ ends, next, pausedAt, ...plain }: RolloutStatus): object {
  return {
    ...plain,
    ...(ends === undefined ? {} : { ends: formatMoment(ends) }),
    ...(next === undefined ? {} : { next: { at: formatMoment(next.at), offered: next.offered } }),
    ...(pausedAt === undefined ? {} : { pausedAt: formatMoment(pausedAt) }),
  };
}

/**
 * Media that age: a bundle on a disk in a drawer is still the one that was signed when its timestamp has expired. Whoever opens it may
 * accept that, up to a length of time.
 *
 * Rules (docs/decisions.md, "Media that age"):
 * - tuf-js decides, as of a moment that lies this length before now: what had not expired then is accepted, whatever the role;
 * - that moment is never earlier than the last refresh that succeeded, and that is what the next one is measured by: versions and the
 *   trusted time only go up;
 * - every role that was accepted although it has expired is named, each time.
 */
import { named } from '../errors.ts';
import type { AcceptedRoles } from './tuf.ts';

/** A role that was accepted although it has expired. */
export interface ExpiredRole {
  readonly role: string;
  readonly version: number;
  /** As it was signed. */
  readonly expires: string;
}

export interface Moment {
  /** What expiry is compared with. */
  readonly judged: Date;
  /** What the clock says, or the last refresh that succeeded, if the clock was moved back. */
  readonly present: Date;
}

/** @param latest when a refresh succeeded last */
export function momentOf(clock: Date, latest: Date | undefined, acceptExpiredMs: number): Moment {
  const known = latest?.getTime() ?? Number.NEGATIVE_INFINITY;
  const present = Math.max(clock.getTime(), known);
  return { judged: new Date(Math.max(present - acceptExpiredMs, known)), present: new Date(present) };
}

/** The top-level roles among what was accepted. */
export function expiredOf({ root, timestamp, snapshot, targets }: AcceptedRoles, present: Date): readonly ExpiredRole[] {
  return Object.entries({ root, timestamp, snapshot, targets }).flatMap(([role, signed]) => expiredRole(role, signed, present));
}

export function expiredRole(role: string, { version, expires }: Omit<ExpiredRole, 'role'>, present: Date): readonly ExpiredRole[] {
  return Date.parse(expires) > present.getTime() ? [] : [{ role, version, expires }];
}

export function sentenceOf({ role, version, expires }: ExpiredRole, present: Date): string {
  const hours = Math.floor((present.getTime() - Date.parse(expires)) / 3_600_000);
  const ago =
    hours >= 48 ? `${Math.floor(hours / 24)} days ago` : hours === 1 ? '1 hour ago' : hours === 0 ? 'just now' : `${hours} hours ago`;
  return `Accepted ${named(role)} version ${version} although it expired at ${expires}, ${ago}: media that expired are accepted`;
}

/** What the options of a client say. A server can publish anew; only media cannot. @throws TypeError, RangeError */
export function toleranceOf(options: object): number {
  const acceptExpiredMs = ('acceptExpiredMs' in options ? options.acceptExpiredMs : undefined) ?? 0;
  if (typeof acceptExpiredMs !== 'number') throw new TypeError('acceptExpiredMs is no number');
  if (!(acceptExpiredMs >= 0 && Number.isFinite(acceptExpiredMs)))
    throw new RangeError(`acceptExpiredMs is ${acceptExpiredMs}; expected milliseconds`);
  if (acceptExpiredMs > 0 && !('bundle' in options)) throw new TypeError('acceptExpiredMs is for bundles only');
  if ('bundle' in options && 'metadataUrl' in options)
    throw new TypeError('a repository is opened from a bundle or from a URL, not from both');
  return acceptExpiredMs;
}

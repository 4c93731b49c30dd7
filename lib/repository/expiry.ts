/**
 * The expiry policy: how long each role lives, and how long before its end it is renewed.
 *
 * Rules:
 * - a life is a length, counted from the moment of drafting, or one date for every version;
 * - a lead is a length, shorter than the life: a role would be due from its first moment otherwise;
 * - pure: time comes in as an argument.
 */
import { GantryError, quote } from '../errors.ts';
import { parseOffset } from '../release/duration.ts';
import { dateOfInstant, parseRfc3339 } from '../release/wave-time.ts';
import { dateOf, tufDate } from '../tuf/date.ts';
import type { TopRoleName, TufDate } from '../tuf/types.ts';

/** What the policy says of one role. */
export interface RoleExpiry {
  /** Seconds from the moment it is drafted; with `until`, what it would be without that date. */
  readonly lifeSeconds: number;
  /** It expires then, whenever it is drafted. */
  readonly until?: Date;
  /** It is due when this much of its life is left, or less. */
  readonly leadSeconds: number;
}

export type ExpiryPolicy = Readonly<Record<TopRoleName, RoleExpiry>>;

/** Where a role stands: `due` from its lead on, `overdue` from its end on. */
export type Urgency = 'fine' | 'due' | 'overdue';

const WEEK = 7 * 24 * 3600;

/** Bottlerocket's `2w-2w-1w`, and 52 weeks for a root. */
const DEFAULT_LIFE: Readonly<Record<TopRoleName, number>> = { root: 52 * WEEK, targets: 2 * WEEK, snapshot: 2 * WEEK, timestamp: WEEK };

/** A role that says nothing else is due with 30 % of its life left. */
const LEAD_SHARE = 0.3;

const ROLES: readonly TopRoleName[] = ['root', 'targets', 'snapshot', 'timestamp'];
const WANTED = 'expected a length such as "2 weeks" or "14d"';
const WANTED_LIFE = `${WANTED}, or a date such as "2027-01-31T12:00:00Z"`;

/**
 * The policy of a parsed `expiry.toml`: members `ROLE_expiration` (Bottlerocket's repository expiration policy, with `root_expiration`
 * added) and `ROLE_renewal`. What is absent keeps its default.
 *
 * @throws GantryError `repository/bad-policy`
 */
export function parseExpiryPolicy(table: Readonly<Record<string, unknown>>): ExpiryPolicy {
  const known = new Set([...ROLES.map((role) => `${role}_expiration`), ...ROLES.map((role) => `${role}_renewal`)]);
  for (const member of Object.keys(table)) {
    if (!known.has(member)) {
      throw badPolicy(member, `it is not a member of an expiry policy; expected one of ${[...known].join(', ')}`);
    }
  }
  return {
    root: roleExpiry('root', table),
    targets: roleExpiry('targets', table),
    snapshot: roleExpiry('snapshot', table),
    timestamp: roleExpiry('timestamp', table),
  };
}

function roleExpiry(role: TopRoleName, table: Readonly<Record<string, unknown>>): RoleExpiry {
  const [lifeMember, leadMember] = [`${role}_expiration`, `${role}_renewal`];
  const life = lifeOf(role, lifeMember, table[lifeMember]);
  const given = table[leadMember];
  if (given === undefined) return { ...life, leadSeconds: Math.floor(life.lifeSeconds * LEAD_SHARE) };
  const leadSeconds = lengthOf(leadMember, given, WANTED);
  if (life.until === undefined && leadSeconds >= life.lifeSeconds) {
    const problem = `it is ${JSON.stringify(given)}, and the role lives ${life.lifeSeconds} s; expected less than ${lifeMember}`;
    throw badPolicy(leadMember, problem);
  }
  return { ...life, leadSeconds };
}

function lifeOf(role: TopRoleName, member: string, value: unknown): Pick<RoleExpiry, 'lifeSeconds' | 'until'> {
  if (value === undefined) return { lifeSeconds: DEFAULT_LIFE[role] };
  const instant = value instanceof Date ? undefined : typeof value === 'string' ? parseRfc3339(value) : undefined;
  const until = value instanceof Date ? value : instant === undefined ? undefined : dateOfInstant(instant);
  if (until === undefined) return { lifeSeconds: lengthOf(member, value, WANTED_LIFE) };
  try {
    tufDate(until);
  } catch (cause) {
    throw badPolicy(member, cause instanceof Error ? cause.message : String(cause), cause);
  }
  return { lifeSeconds: DEFAULT_LIFE[role], until };
}

function lengthOf(member: string, value: unknown, wanted: string): number {
  if (typeof value !== 'string') throw badPolicy(member, `it is not text; ${wanted}`);
  let seconds: number;
  try {
    seconds = parseOffset(value);
  } catch (cause) {
    throw badPolicy(member, `it is ${quote(value)}; ${wanted}, at most 100 years`, cause);
  }
  if (seconds <= 0) throw badPolicy(member, `it is ${quote(value)}; expected more than nothing`);
  return seconds;
}

function badPolicy(member: string, problem: string, cause?: unknown): GantryError {
  return new GantryError('repository/bad-policy', `Cannot use ${member} of the expiry policy: ${problem}`, { member }, { cause });
}

/** When a role drafted at `now` expires. @throws GantryError `repository/bad-policy` when the policy's own date has passed */
export function expiryOf(role: string, now: Date, policy: ExpiryPolicy): TufDate {
  const { lifeSeconds, until } = policyOf(role, policy);
  if (until === undefined) return tufDate(new Date(now.getTime() + lifeSeconds * 1000));
  if (until > now) return tufDate(until);
  throw badPolicy(`${role}_expiration`, `it is ${tufDate(until)}, and it is ${tufDate(now)} by now; expected a date to come`);
}

/** From when on a role that expires then is to be renewed. */
export function renewalOf(role: string, expires: TufDate, policy: ExpiryPolicy): Date {
  return new Date(dateOf(expires).getTime() - policyOf(role, policy).leadSeconds * 1000);
}

/** A delegated role lives as long as the targets role, and is renewed as early. */
function policyOf(role: string, policy: ExpiryPolicy): RoleExpiry {
  return policy[ROLES.find((name) => name === role) ?? 'targets'];
}

export function urgencyOf(role: string, expires: TufDate, { now, policy }: { readonly now: Date; readonly policy: ExpiryPolicy }): Urgency {
  if (dateOf(expires) <= now) return 'overdue';
  return renewalOf(role, expires, policy) <= now ? 'due' : 'fine';
}

/** How long each role lives: the expiry policy, and the dates that follow from it. */
import { GantryError } from '../errors.ts';
import { parseOffset } from '../release/duration.ts';
import { tufDate } from '../tuf/date.ts';
import type { TopRoleName, TufDate } from '../tuf/types.ts';

/** Life of a role in seconds, counted from the moment it is drafted. */
export type ExpiryPolicy = Readonly<Record<TopRoleName, number>>;

const WEEK = 7 * 24 * 3600;

/** Bottlerocket's `2w-2w-1w`, and 52 weeks for a root. */
const defaultExpiryPolicy: ExpiryPolicy = {
  root: 52 * WEEK,
  targets: 2 * WEEK,
  snapshot: 2 * WEEK,
  timestamp: WEEK,
};

const ROLES: readonly TopRoleName[] = ['root', 'targets', 'snapshot', 'timestamp'];

/**
 * The policy of a parsed `expiry.toml`: members `ROLE_expiration`, each an offset such as `2 weeks` or `14d`
 * (Bottlerocket's repository expiration policy, with `root_expiration` added). What is absent keeps its default.
 *
 * @throws GantryError `repository/bad-policy`
 */
export function parseExpiryPolicy(table: Readonly<Record<string, unknown>>): ExpiryPolicy {
  const known = new Set(ROLES.map((role) => `${role}_expiration`));
  for (const member of Object.keys(table)) {
    if (!known.has(member)) {
      throw badPolicy(member, `it is not a member of an expiry policy; expected one of ${[...known].join(', ')}`);
    }
  }
  const policy: Record<TopRoleName, number> = { ...defaultExpiryPolicy };
  for (const role of ROLES) {
    const value = table[`${role}_expiration`];
    if (value !== undefined) policy[role] = lifeOf(`${role}_expiration`, value);
  }
  return policy;
}

function lifeOf(member: string, value: unknown): number {
  if (typeof value !== 'string') throw badPolicy(member, 'it is not text; expected an offset such as "2 weeks"');
  let seconds: number;
  try {
    seconds = parseOffset(value);
  } catch (cause) {
    throw badPolicy(member, cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (seconds <= 0) throw badPolicy(member, `it is ${JSON.stringify(value)}; expected more than nothing`);
  return seconds;
}

function badPolicy(member: string, problem: string, cause?: unknown): GantryError {
  return new GantryError('repository/bad-policy', `Cannot use ${member} of the expiry policy: ${problem}`, { member }, { cause });
}

/** When a role drafted at `now` expires. */
export function expiryOf(role: TopRoleName, now: Date, policy: ExpiryPolicy): TufDate {
  return tufDate(new Date(now.getTime() + policy[role] * 1000));
}

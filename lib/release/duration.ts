/**
 * Offsets such as `2 weeks`, as policies and options state them.
 *
 * Bottlerocket's grammar (optional `in`, a count, `hour`, `day` or `week` with or without `s`) with two additions: minutes,
 * which its emergency wave policy needs, and short forms without a blank (`14d`). A bare `m` is refused: it could mean months.
 * More than 100 years are refused: no date that hosts compute may come near the end of their calendar.
 */
import { GantryError, quote } from '../errors.ts';

const SECONDS: Readonly<Record<string, number>> = {
  min: 60,
  minute: 60,
  minutes: 60,
  h: 3600,
  hour: 3600,
  hours: 3600,
  d: 86_400,
  day: 86_400,
  days: 86_400,
  w: 604_800,
  week: 604_800,
  weeks: 604_800,
};
const OFFSET = /^\s*(?:in\s+)?(\d{1,10})\s*([a-z]+)\s*$/u;
const MAX_SECONDS = 100 * 365 * 86_400;
const MAX_LENGTH = 100;

/**
 * @param text for example `in 2 weeks`, `14d`, `1 hour`, `30 minutes`
 * @returns seconds
 * @throws GantryError `release/bad-duration`
 */
export function parseOffset(text: string): number {
  const [, count, unit = ''] = (text.length <= MAX_LENGTH ? OFFSET.exec(text) : null) ?? [];
  const seconds = Object.hasOwn(SECONDS, unit) ? SECONDS[unit] : undefined;
  if (count === undefined || seconds === undefined) {
    throw badDuration(text, 'it has another form; expected a count and minutes, hours, days or weeks, for example "2 weeks" or "14d"');
  }
  if (Number(count) * seconds > MAX_SECONDS) throw badDuration(text, 'it is longer than 100 years; expected at most that');
  return Number(count) * seconds;
}

function badDuration(text: string, problem: string): GantryError {
  return new GantryError('release/bad-duration', `Cannot use ${quote(text)} as a length of time: ${problem}`, { text });
}

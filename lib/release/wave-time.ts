/**
 * The times in a manifest's waves. Read as leniently as hosts read them (chrono's `DateTime` from text): any offset, `T` or a
 * space between date and time, numbers without leading zeros, blanks between the parts, a leap second, a year with a sign.
 * Written in one form: RFC 3339, UTC, whole seconds wherever that is exact enough.
 */
import { GantryError, quote } from '../errors.ts';
import { parseOffset } from './duration.ts';

/** Nanoseconds since 1970, which is what hosts compute with. */
export type Instant = bigint;

export const SECOND: Instant = 1_000_000_000n;
export const MILLISECOND: Instant = 1_000_000n;

const LENIENT =
  /^\s*(\d{1,4}|[+-]\d{1,6})\s*-\s*(\d{1,2})\s*-\s*(\d{1,2})[T ]\s*(\d{1,2})\s*:\s*(\d{1,2})\s*:\s*(\d{1,2})(\.\d+)?\s*(?:Z|UTC|([+\-\u2212])(\d{2})[:\s]*(\d{2}))\s*$/iu;
const MAX_LENGTH = 100;
/** chrono's dates end with this year, in local time and in UTC. */
const LAST_YEAR = 262_142;
const LAST_MS = Date.UTC(LAST_YEAR + 1, 0, 1) - 1;
/** Whoever computes beyond it in chrono's dates stops with a panic. */
export const LAST_INSTANT: Instant = BigInt(LAST_MS) * 1_000_000n + 999_999n;

/**
 * To the nanosecond; undefined when hosts would refuse the text. A leap second is read as the second after it, which is how it is
 * counted everywhere but in chrono's own order; no tool writes one.
 */
export function parseWaveTime(text: string): Instant | undefined {
  // A byte order mark is white space to JavaScript, and not to hosts.
  const found = text.length <= MAX_LENGTH && !text.includes('\ufeff') ? LENIENT.exec(text) : null;
  if (found === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHours, offsetMinutes] = found;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined;
  if (Number(offsetHours ?? 0) > 23 || Number(offsetMinutes ?? 0) > 59) return undefined;
  if (Math.abs(Number(year)) > LAST_YEAR) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  // A day that the month does not have rolls over into the next one.
  if (date.getUTCMonth() !== Number(month) - 1 || date.getUTCDate() !== Number(day)) return undefined;
  date.setUTCHours(Number(hour), Number(minute), Number(second));
  const offset = (Number(offsetHours ?? 0) * 60 + Number(offsetMinutes ?? 0)) * 60_000;
  const ms = date.getTime() - (sign === '+' ? offset : -offset);
  // Hosts know no years beyond that.
  if (!(Math.abs(ms) <= LAST_MS)) return undefined;
  return BigInt(ms) * 1_000_000n + BigInt(fraction.slice(1, 10).padEnd(9, '0'));
}

export function instantOf(date: Date): Instant {
  return BigInt(date.getTime()) * 1_000_000n;
}

/** To the millisecond. */
export function dateOfInstant(instant: Instant): Date {
  return new Date(Number(instant / 1_000_000n));
}

/** The whole second that `instant` lies in. */
export function floorSecond(instant: Instant): Instant {
  return instant - (((instant % SECOND) + SECOND) % SECOND);
}

/** The first whole unit that is not before `instant`. */
export function ceilTo(unit: Instant, instant: Instant): Instant {
  const over = ((instant % unit) + unit) % unit;
  return over === 0n ? instant : instant - over + unit;
}

/** The first whole second that is not before `instant`. */
export function ceilSecond(instant: Instant): Instant {
  return ceilTo(SECOND, instant);
}

/** `2026-06-01T12:00:00Z`; with as many digits of a second as there are. */
export function waveTime(instant: Instant): string {
  const second = floorSecond(instant);
  const fraction = String(instant - second)
    .padStart(9, '0')
    .replace(/0+$/u, '');
  return dateOfInstant(second)
    .toISOString()
    .replace(/\.\d+Z$/u, fraction === '' ? 'Z' : `.${fraction}Z`);
}

const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/u;

/** An RFC 3339 time, or undefined. */
export function parseRfc3339(text: string): Instant | undefined {
  return RFC_3339.test(text) ? parseWaveTime(text) : undefined;
}

/**
 * A moment as people give it on the command line: RFC 3339, or an offset from now such as `in 2 hours`.
 *
 * @throws GantryError `release/bad-time`
 */
export function parseMoment(text: string, now: Date): Instant {
  const absolute = parseRfc3339(text);
  if (absolute !== undefined) return absolute;
  try {
    return instantOf(now) + BigInt(parseOffset(text)) * SECOND;
  } catch (cause) {
    throw new GantryError(
      'release/bad-time',
      `Cannot use ${quote(text)} as a time: expected RFC 3339 such as "2026-12-01T09:00:00Z", or an offset from now such as "in 2 hours", up to 100 years`,
      { text },
      { cause },
    );
  }
}

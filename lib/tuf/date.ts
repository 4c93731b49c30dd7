/**
 * Dates in metadata.
 *
 * Rules (tuf-interop rule 2): we write whole seconds, `YYYY-MM-DDTHH:MM:SSZ`, and nothing beyond the year 9000, because tough
 * cannot represent the end of 9999. We read fractions of a second too, since tuftool and pubsys write them.
 */
import { GantryError } from '../errors.ts';
import { show } from './portable-json.ts';
import type { TufDate } from './types.ts';

const READABLE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z$/u;
const SECONDS_LENGTH = 'YYYY-MM-DDTHH:MM:SS'.length;
const YEARS = { first: 1970, last: 9000 };

/** The date as it is written, fractions of a second cut off. @throws RangeError before 1970 and beyond the year 9000 */
export function tufDate(date: Date): TufDate {
  const year = date.getUTCFullYear();
  if (Number.isNaN(year) || year < YEARS.first || year > YEARS.last) {
    throw new RangeError(`the year ${year} cannot stand in metadata; expected ${YEARS.first} to ${YEARS.last}`);
  }
  // The pattern is what `toISOString` gives for these years, less its milliseconds.
  return `${date.toISOString().slice(0, SECONDS_LENGTH)}Z` as TufDate;
}

/** @throws GantryError `tuf/malformed` */
export function parseTufDate(text: unknown, at: string): TufDate {
  if (typeof text === 'string' && READABLE.test(text) && isOnCalendar(text)) return text as TufDate;
  throw new GantryError('tuf/malformed', `Cannot read ${at}: it is ${show(text)}; expected a date like 2026-01-31T12:00:00Z`, {
    what: 'date',
    at,
  });
}

/** True for exactly the form that we write. */
export function isWritableDate(text: string): boolean {
  return READABLE.test(text) && !text.includes('.') && isOnCalendar(text) && Number(text.slice(0, 4)) <= YEARS.last;
}

export function dateOf(text: TufDate): Date {
  return new Date(text);
}

/** `Date` takes 30 February for 2 March, and 24:00 for the next day; other clients refuse both. */
function isOnCalendar(text: string): boolean {
  const date = new Date(text);
  return !Number.isNaN(date.getTime()) && date.toISOString().slice(0, SECONDS_LENGTH) === text.slice(0, SECONDS_LENGTH);
}

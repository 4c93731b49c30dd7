/**
 * Dates in metadata.
 *
 * Rules (tuf-interop rule 2): we write whole seconds, `YYYY-MM-DDTHH:MM:SSZ`, and nothing beyond the year 9000, because tough
 * cannot represent the end of 9999. We read fractions of a second too, since tuftool and pubsys write them.
 */
import { GantryError, quote } from '../errors.ts';
import type { TufDate } from './types.ts';

const READABLE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z$/u;
const WRITABLE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/u;
const LATEST_YEAR = 9000;

/** The date as it is written, fractions of a second cut off. @throws RangeError beyond the year 9000 */
export function tufDate(date: Date): TufDate {
  const year = date.getUTCFullYear();
  if (Number.isNaN(year) || year < 1970 || year > LATEST_YEAR) {
    throw new RangeError(`the year ${year} cannot stand in metadata; expected 1970 to ${LATEST_YEAR}`);
  }
  // The pattern is what `toISOString` gives for these years, less its milliseconds.
  return `${date.toISOString().slice(0, 19)}Z` as TufDate;
}

/** @throws GantryError `tuf/malformed` */
export function parseTufDate(text: unknown, at: string): TufDate {
  if (typeof text === 'string' && READABLE.test(text) && !Number.isNaN(Date.parse(text))) return text as TufDate;
  throw new GantryError('tuf/malformed', `Cannot read ${at}: it is ${quote(String(text))}; expected a date like 2026-01-31T12:00:00Z`, {
    what: 'date',
    at,
  });
}

/** True for exactly the form that we write. */
export function isWritableDate(text: string): boolean {
  return WRITABLE.test(text) && Number(text.slice(0, 4)) <= LATEST_YEAR;
}

export function dateOf(text: TufDate): Date {
  return new Date(text);
}

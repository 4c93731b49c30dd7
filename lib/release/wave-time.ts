/**
 * The times in a manifest's waves, as leniently as hosts read them (chrono's `DateTime` from text): any offset, `T` or a
 * space between date and time, numbers without leading zeros, blanks between the parts, a leap second, a year with a sign.
 */
const LENIENT =
  /^\s*(\d{1,4}|[+-]\d{1,6})\s*-\s*(\d{1,2})\s*-\s*(\d{1,2})[T ]\s*(\d{1,2})\s*:\s*(\d{1,2})\s*:\s*(\d{1,2})(\.\d+)?\s*(?:Z|UTC|([+\-\u2212])(\d{2})[:\s]*(\d{2}))\s*$/iu;
const MAX_LENGTH = 100;

/** The instant, to the millisecond; undefined when hosts would refuse the text. */
export function parseWaveTime(text: string): Date | undefined {
  const found = text.length <= MAX_LENGTH ? LENIENT.exec(text) : null;
  if (found === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHours, offsetMinutes] = found;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined;
  if (Number(offsetHours ?? 0) > 23 || Number(offsetMinutes ?? 0) > 59) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  // A day that the month does not have rolls over into the next one.
  if (date.getUTCMonth() !== Number(month) - 1 || date.getUTCDate() !== Number(day)) return undefined;
  const milliseconds = Number(fraction.slice(1, 4).padEnd(3, '0'));
  date.setUTCHours(Number(hour), Number(minute), Number(second), milliseconds);
  const offset = (Number(offsetHours ?? 0) * 60 + Number(offsetMinutes ?? 0)) * 60_000;
  return new Date(date.getTime() - (sign === '+' ? offset : -offset));
}

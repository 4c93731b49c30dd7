/** Numbers as people read them. */
import { stripVTControlCharacters } from 'node:util';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `64.0 MiB`; whole bytes below 1 KiB. */
export function formatBytes(bytes: number): string {
  let unit = 0;
  let value = bytes;
  // 1023.96 would be shown as 1024.0.
  while (value >= (unit === 0 ? 1024 : 1023.95) && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

/** Megabytes (10^6) a second. */
export function formatRate(bytes: number, ms: number): string {
  if (ms <= 0) return '-';
  const rate = bytes / 1000 / ms;
  return `${rate.toFixed(rate < 9.95 ? 1 : 0)} MB/s`;
}

/** `950 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min` */
export function formatDuration(ms: number): string {
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`;
  return ms < 59_950 ? `${(ms / 1000).toFixed(1)} s` : formatSeconds(Math.round(ms / 1000));
}

/** What is still to wait, in whole seconds: more would only flicker. */
export function formatLeft(ms: number): string {
  return formatSeconds(Math.max(1, Math.ceil(ms / 1000)));
}

function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `in 13 days`, `in 5.9 days`, `2 hours ago`: rounded to the nearest, with a decimal below ten. */
export function formatWhen(date: Date, now: Date): string {
  const ms = Math.abs(date.getTime() - now.getTime());
  const text = ms < 60_000 ? 'less than a minute' : formatLength(ms);
  return date.getTime() >= now.getTime() ? `in ${text}` : `${text} ago`;
}

function formatLength(ms: number): string {
  const [minutes, hours] = [Math.round(ms / 60_000), Math.round(ms / 3_600_000)];
  if (minutes < 60) return count(minutes, 'minute');
  return hours < 48 ? count(shortNumber(ms / 3_600_000), 'hour') : count(shortNumber(ms / 86_400_000), 'day');
}

/** `5.9`, `13` */
function shortNumber(value: number): number {
  const tenths = Math.round(value * 10) / 10;
  return tenths < 10 ? tenths : Math.round(value);
}

/** The start of a digest, enough to tell two apart. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** A line as several, cut between words, all but the first with this indent; a word that is longer stays whole. */
export function wrapWords(line: string, columns: number, indent = ''): string {
  const lines: string[] = [];
  for (const word of line.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined) lines.push(word);
    else if (stripVTControlCharacters(last).length + 1 + stripVTControlCharacters(word).length > columns) lines.push(indent + word);
    else lines.splice(-1, 1, `${last} ${word}`);
  }
  return lines.join('\n');
}

/** Text from outside for a terminal: what would move the cursor or hide something is shown as an escape. */
export function printable(text: string): string {
  return text.replace(
    /\p{Cc}|[\u200b-\u200f\u2028-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.codePointAt(0)?.toString(16).padStart(4, '0') ?? ''}`,
  );
}

/** A path or name as a shell takes it for one word. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/u.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

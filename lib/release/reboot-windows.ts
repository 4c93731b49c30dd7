/**
 * When hosts may reboot: daily windows in UTC, on all days or on some of them.
 *
 * Rules:
 * - a window is `[DAYS ]HH:MM-HH:MM`, for example `22:00-04:00`, `sat,sun 01:00-05:00` or `mon-fri 02:00-04:00`;
 * - one that ends before it starts goes on after midnight; its day is the one on which it opens;
 * - it is open from its first minute on, and closed from the minute of its end on. `00:00-24:00` is a whole day;
 * - without windows a host reboots at once.
 */

export interface RebootWindow {
  /** 0 is Monday. */
  readonly days: readonly number[];
  /** Minutes after midnight. */
  readonly opens: number;
  /** 1 to 1440; at most `opens` when it goes on after midnight. */
  readonly closes: number;
}

export const WEEK_MINUTES: number = 7 * 1440;

const DAY_MINUTES = 1440;
const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const EVERY_DAY = DAYS.map((_, day) => day);
const WINDOW = /^\s*(?:([a-z,\s-]+?)\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*$/u;
const MAX_LENGTH = 100;

/** Undefined when the text is no window, or when it opens and closes at the same time. */
export function parseRebootWindow(text: string): RebootWindow | undefined {
  const found = text.length <= MAX_LENGTH ? WINDOW.exec(text.toLowerCase()) : null;
  if (found === null) return undefined;
  const [, names, fromHour, fromMinute, toHour, toMinute] = found;
  const days = names === undefined ? EVERY_DAY : parseDays(names);
  const opens = minuteOfDay(fromHour, fromMinute);
  const closes = minuteOfDay(toHour, toMinute);
  if (days === undefined || opens === undefined || closes === undefined) return undefined;
  if (opens === DAY_MINUTES || opens === closes) return undefined;
  return { days, opens, closes: closes === 0 ? DAY_MINUTES : closes };
}

/** For each minute of the week, from Monday on: how many minutes it is until hosts may reboot; 0 while they may. */
export function minutesToReboot(windows: readonly RebootWindow[]): Uint16Array {
  const open = new Uint8Array(WEEK_MINUTES);
  for (const { days, opens, closes } of windows) {
    const length = closes > opens ? closes - opens : closes + DAY_MINUTES - opens;
    for (const day of days) {
      for (let minute = 0; minute < length; minute += 1) open[(day * DAY_MINUTES + opens + minute) % WEEK_MINUTES] = 1;
    }
  }
  const waits = new Uint16Array(WEEK_MINUTES);
  if (!open.includes(1)) return waits;
  // Twice round the week: the first time the last minutes do not know yet what comes after Sunday.
  let wait = 0;
  for (let minute = 2 * WEEK_MINUTES - 1; minute >= 0; minute -= 1) {
    wait = open[minute % WEEK_MINUTES] === 1 ? 0 : wait + 1;
    waits[minute % WEEK_MINUTES] = wait;
  }
  return waits;
}

function minuteOfDay(hour: string | undefined, minute: string | undefined): number | undefined {
  const minutes = Number(hour) * 60 + Number(minute);
  return Number(minute) < 60 && minutes <= DAY_MINUTES ? minutes : undefined;
}

/** `sat,sun` or `mon-fri`; a range may go round the end of the week. */
function parseDays(text: string): readonly number[] | undefined {
  const chosen = new Set<number>();
  for (const part of text.split(',')) {
    const ends = part.split('-').map((name) => DAYS.indexOf(name.trim()));
    const [first = -1, last = first] = ends;
    if (ends.length > 2 || first === -1 || last === -1) return undefined;
    for (let day = first; ; day = (day + 1) % DAYS.length) {
      chosen.add(day);
      if (day === last) break;
    }
  }
  return [...chosen].toSorted((a, b) => a - b);
}

/**
 * Progress of long work, on stderr: a live region with one bar for each piece on a terminal, plain lines elsewhere, nothing with
 * `--quiet` or `--json`.
 */
import { formatBytes, formatDuration, formatLeft, formatRate } from './format.ts';
import { paint, sign } from './style.ts';

export interface Progress {
  /** Bytes done so far. */
  at(bytes: number): void;
  done(note?: string): void;
  /** Leaves no trace of the bar; the error that follows says what happened. */
  fail(): void;
}

export interface ProgressOptions {
  readonly label: string;
  readonly totalBytes: number;
}

export type ProgressStyle = 'live' | 'plain' | 'none';

/** Where it is drawn: a terminal has `columns`. */
export interface Screen {
  readonly columns?: number;
  write(text: string): unknown;
}

/** What draws over its own last frame. */
interface Region {
  (text: string): void;
  clear(): void;
}

interface Bar extends ProgressOptions {
  readonly startedMs: number;
  bytes: number;
  toldMs: number;
}

const REDRAW_MS = 100;
const PLAIN_EVERY_MS = 10_000;
const BAR_CELLS = 24;
const LABEL_MIN_CELLS = 12;
const DEFAULT_COLUMNS = 80;
const silent: Progress = { at: () => undefined, done: () => undefined, fail: () => undefined };

export class ProgressDisplay {
  readonly #style: ProgressStyle;
  readonly #screen: Screen;
  readonly #clock: () => number;
  readonly #bars = new Set<Bar>();
  #region: Promise<Region> | Region | undefined;
  #drawnMs = Number.NEGATIVE_INFINITY;

  /** @param clock milliseconds */
  constructor(style: ProgressStyle, screen: Screen = process.stderr, clock: () => number = () => performance.now()) {
    this.#style = style;
    this.#screen = screen;
    this.#clock = clock;
  }

  start(options: ProgressOptions): Progress {
    if (this.#style === 'none') return silent;
    const now = this.#clock();
    const bar: Bar = { ...options, startedMs: now, toldMs: now, bytes: 0 };
    this.#bars.add(bar);
    if (this.#style === 'plain') this.print(`${bar.label}: ${formatBytes(bar.totalBytes)}`);
    return {
      at: (bytes) => this.#at(bar, bytes),
      done: (note) => this.#done(bar, note),
      fail: () => {
        if (this.#bars.delete(bar)) this.#draw();
      },
    };
  }

  /** A line that stays, above the bars. */
  print(line: string): void {
    if (typeof this.#region === 'function') this.#region.clear();
    this.#screen.write(`${line}\n`);
    if (this.#bars.size > 0) this.#draw();
  }

  /** Removes every bar: what comes next is not about them. */
  end(): void {
    this.#bars.clear();
    this.#draw();
  }

  #at(bar: Bar, bytes: number): void {
    bar.bytes = bytes;
    if (!this.#bars.has(bar)) return;
    const now = this.#clock();
    if (this.#style === 'live') {
      if (now - this.#drawnMs >= REDRAW_MS) this.#draw();
    } else if (now - bar.toldMs >= PLAIN_EVERY_MS) {
      bar.toldMs = now;
      this.print(`${bar.label}: ${stateOf(bar, now)}`);
    }
  }

  #done(bar: Bar, note: string | undefined): void {
    if (!this.#bars.delete(bar)) return;
    const ms = this.#clock() - bar.startedMs;
    const text = note ?? `${formatBytes(bar.totalBytes)} in ${formatDuration(ms)}, ${formatRate(bar.totalBytes, ms)}`;
    this.print(`${paint('green', sign.done)} ${bar.label}: ${text}`);
  }

  #draw(): void {
    if (this.#style !== 'live') return;
    this.#region ??= this.#load();
    if (typeof this.#region !== 'function') return;
    if (this.#bars.size === 0) {
      this.#region.clear();
      return;
    }
    const now = this.#clock();
    this.#drawnMs = now;
    const columns = this.#screen.columns ?? DEFAULT_COLUMNS;
    this.#region([...this.#bars].map((bar) => lineOf(bar, now, columns)).join('\n'));
  }

  /** The library that redraws loads only when there is something to draw. */
  async #load(): Promise<Region> {
    const { createLogUpdate } = await import('log-update');
    // Proof: it calls nothing but what a screen has; its type asks for all of a stream.
    this.#region = createLogUpdate(this.#screen as NodeJS.WriteStream, { showCursor: true });
    this.#draw();
    return this.#region;
  }
}

/** `64 %  41.2 MiB, 180 MB/s, 3 s left` */
function stateOf({ bytes, totalBytes, startedMs }: Bar, now: number): string {
  const ms = now - startedMs;
  const left = bytes === 0 ? '' : `, ${formatLeft((Math.max(0, totalBytes - bytes) * ms) / bytes)} left`;
  return `${String(Math.floor(shareOf(bytes, totalBytes) * 100)).padStart(3)} %  ${formatBytes(bytes)}, ${formatRate(bytes, ms)}${left}`;
}

/** One line, never wider than the terminal: the label gives way first, then the bar. */
function lineOf(bar: Bar, now: number, columns: number): string {
  const state = stateOf(bar, now);
  const room = columns - state.length - 3;
  const cells = Math.max(0, Math.min(BAR_CELLS, room - LABEL_MIN_CELLS));
  const full = Math.round(shareOf(bar.bytes, bar.totalBytes) * cells);
  const drawn = sign.full.repeat(full) + paint('dim', sign.empty.repeat(cells - full));
  return `${shorten(bar.label, Math.max(0, room - cells))} ${drawn} ${state}`;
}

function shareOf(bytes: number, totalBytes: number): number {
  return totalBytes === 0 ? 1 : Math.min(1, bytes / totalBytes);
}

/** Both ends tell more than the middle: `Uploading targ…root.ext4.zst`. */
export function shorten(text: string, cells: number): string {
  if (text.length <= cells) return text;
  const kept = Math.max(0, cells - sign.cut.length);
  const head = Math.ceil(kept / 2);
  return `${text.slice(0, head)}${sign.cut}${text.slice(text.length - (kept - head))}`;
}

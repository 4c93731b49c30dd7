/**
 * Progress of long work, on stderr: one live line for each piece on a terminal, plain lines at the start and the end elsewhere,
 * nothing with `--quiet` or `--json`.
 */
import { formatBytes, formatDuration, formatRate } from './format.ts';
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

const REDRAW_MS = 100;
const BAR_CELLS = 24;
const silent: Progress = { at: () => undefined, done: () => undefined, fail: () => undefined };

export class ProgressDisplay {
  readonly #style: ProgressStyle;
  #live: { readonly text: string } | undefined;
  #lastDrawn = 0;
  #write: ((text: string) => void) | undefined;
  #clear: (() => void) | undefined;

  constructor(style: ProgressStyle) {
    this.#style = style;
  }

  start({ label, totalBytes }: ProgressOptions): Progress {
    if (this.#style === 'none') return silent;
    const started = performance.now();
    if (this.#style === 'plain') process.stderr.write(`${label}: ${formatBytes(totalBytes)}\n`);
    let bytes = 0;
    return {
      at: (done) => {
        bytes = done;
        this.#draw(barOf(label, bytes, totalBytes, performance.now() - started));
      },
      done: (note) => {
        const ms = performance.now() - started;
        this.fail();
        const text = note ?? `${formatBytes(totalBytes)} in ${formatDuration(ms)}, ${formatRate(totalBytes, ms)}`;
        process.stderr.write(`${paint('green', sign.done)} ${label}: ${text}\n`);
      },
      fail: () => this.fail(),
    };
  }

  /** Removes the live line. */
  fail(): void {
    this.#live = undefined;
    this.#clear?.();
  }

  #draw(text: string): void {
    const now = performance.now();
    if (this.#style !== 'live' || (this.#live !== undefined && now - this.#lastDrawn < REDRAW_MS)) return;
    this.#lastDrawn = now;
    this.#live = { text };
    if (this.#write === undefined) void this.#load();
    else this.#write(text);
  }

  /** The library that redraws loads only when there is something to draw. */
  async #load(): Promise<void> {
    const { createLogUpdate } = await import('log-update');
    const update = createLogUpdate(process.stderr, { showCursor: true });
    this.#write ??= (text) => update(text);
    this.#clear ??= () => update.clear();
    if (this.#live !== undefined) this.#write(this.#live.text);
  }
}

function barOf(label: string, bytes: number, totalBytes: number, ms: number): string {
  const share = totalBytes === 0 ? 1 : Math.min(1, bytes / totalBytes);
  const full = Math.round(share * BAR_CELLS);
  const left = bytes === 0 ? '' : `, ${formatDuration(((totalBytes - bytes) * ms) / bytes)} left`;
  const bar = sign.full.repeat(full) + paint('dim', sign.empty.repeat(BAR_CELLS - full));
  return `${label} ${bar} ${String(Math.floor(share * 100)).padStart(3)} %  ${formatBytes(bytes)}, ${formatRate(bytes, ms)}${left}`;
}

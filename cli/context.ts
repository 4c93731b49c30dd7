/** Everything a command needs of the process it runs in. */
import { isatty } from 'node:tty';
import { GantryError } from '../lib/errors.ts';
import { EXIT } from './exit-codes.ts';
import { wrapWords } from './ui/format.ts';
import { ProgressDisplay, type Progress, type ProgressOptions } from './ui/progress.ts';

export interface Context {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly json: boolean;
  readonly quiet: boolean;
  /** True when a person can be asked: stdin and stderr are a terminal. */
  readonly canAsk: boolean;
  /** Fires on Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  readonly now: Date;
  progress(options: ProgressOptions): Progress;
  /** A line for people on stderr; nothing with `--json` or `--quiet`. */
  note(line: string): void;
  /** What nobody may miss, for people on stderr: with `--quiet`, too, and nothing with `--json`. */
  say(line: string): void;
  /** @throws GantryError `usage/confirm` without `--yes` and without a terminal */
  readonly confirm: (question: string) => Promise<boolean>;
}

/** A context, and what ends it. */
export interface OwnContext extends Context {
  /** Fires the signal. */
  stop(): void;
  /** Stops what still runs: signal handlers, live bars. */
  end(): void;
}

/** What starts gantry, `npx` or `timeout`, passes on what the terminal has sent already: that is one Ctrl-C, not two. */
const SAME_INTERRUPT_MS = 250;

/** @param args looked at for the options that change how errors are shown, before they are parsed */
export function createContext(args: readonly string[]): OwnContext {
  const isGiven = flagsOf(args);
  const json = isGiven('--json');
  const quiet = isGiven('--quiet', 'q');
  const canAsk = isatty(0) && isatty(2) && !json;
  if (isGiven('--no-color')) {
    process.env['NO_COLOR'] = '1';
    delete process.env['FORCE_COLOR'];
  }
  const controller = new AbortController();
  const display = new ProgressDisplay(json || quiet ? 'none' : isatty(2) ? 'live' : 'plain');
  const stop = (): void => {
    display.end();
    controller.abort(new GantryError('aborted', 'Cannot go on: it was interrupted', {}));
  };
  let interruptedAt: number | undefined;
  const interrupt = (): void => {
    interruptedAt ??= performance.now();
    // Somebody who asks twice does not want to wait for the cleaning up.
    if (controller.signal.aborted && performance.now() - interruptedAt > SAME_INTERRUPT_MS) process.exit(EXIT.interrupted);
    stop();
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  return {
    cwd: process.cwd(),
    env: process.env,
    json,
    quiet,
    canAsk,
    signal: controller.signal,
    now: new Date(),
    progress: (options) => display.start(options),
    note(line) {
      if (!json && !quiet) display.print(wrapped(line));
    },
    say(line) {
      if (!json) display.print(wrapped(line));
    },
    confirm: async (question) => isGiven('--yes', 'y') || ask(question, canAsk, controller.signal),
    stop,
    end() {
      // The second signal of one Ctrl-C must not end a process that has ended well.
      if (interruptedAt === undefined) {
        process.off('SIGINT', interrupt);
        process.off('SIGTERM', interrupt);
      }
      display.end();
    },
  };
}

/** Between words where it is wider than the terminal; what is no terminal wraps by itself or not at all. */
function wrapped(line: string): string {
  return isatty(2) ? wrapWords(line, process.stderr.columns) : line;
}

async function ask(question: string, canAsk: boolean, signal: AbortSignal): Promise<boolean> {
  if (!canAsk) {
    throw new GantryError('usage/confirm', `Cannot ask "${question}": there is no terminal; expected --yes`, { question });
  }
  const { default: confirm } = await import('@inquirer/confirm');
  return confirm({ message: question, default: false }, { signal, output: process.stderr });
}

/** Answers whether a global flag stands in front of a `--`: `--yes`, `-y`, or `-qy`. */
function flagsOf(args: readonly string[]): (long: string, short?: string) => boolean {
  const end = args.indexOf('--');
  const given = end === -1 ? args : args.slice(0, end);
  const short = new Set(given.filter((arg) => /^-[qy]+$/u.test(arg)).join(''));
  return (long, letter) => given.includes(long) || (letter !== undefined && short.has(letter));
}

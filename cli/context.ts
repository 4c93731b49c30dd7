/** Everything a command needs of the process it runs in. */
import { GantryError } from '../lib/errors.ts';
import { EXIT } from './exit-codes.ts';
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
  /** @throws GantryError `usage/confirm` without `--yes` and without a terminal */
  confirm(question: string): Promise<boolean>;
  /** Stops what still runs: signal handlers, a live line. */
  end(): void;
}

/** @param args looked at for the options that change how errors are shown, before they are parsed */
export function createContext(args: readonly string[]): Context {
  const json = args.includes('--json');
  const quiet = args.includes('--quiet') || args.includes('-q');
  const yes = args.includes('--yes') || args.includes('-y');
  const canAsk = process.stdin.isTTY && process.stderr.isTTY && !json;
  const controller = new AbortController();
  const display = new ProgressDisplay(json || quiet ? 'none' : process.stderr.isTTY ? 'live' : 'plain');
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    display.fail();
    controller.abort(new GantryError('aborted', 'Cannot go on: it was interrupted', {}));
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
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
      if (!json && !quiet) process.stderr.write(`${line}\n`);
    },
    async confirm(question) {
      if (yes) return true;
      if (!canAsk) {
        throw new GantryError('usage/confirm', `Cannot ask "${question}": there is no terminal; expected --yes`, { question });
      }
      const { default: confirm } = await import('@inquirer/confirm');
      return confirm({ message: question, default: false }, { signal: controller.signal, output: process.stderr });
    },
    end() {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
      display.fail();
    },
  };
}

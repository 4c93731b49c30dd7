/** One run of an operator's upload program: no shell, its exit code in the words of a store. */
import { execa, ExecaError } from 'execa';
import { GantryError, quote, refuseAborted } from '../errors.ts';
import { missing } from './refusals.ts';

export interface CommandSettings {
  /** The program and its first arguments. */
  readonly program: readonly string[];
  /** Where it runs. */
  readonly directory: string;
  /** All of its environment: what it must not know is not in it. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

export type Verb = 'head' | 'read' | 'write' | 'list' | 'remove';

export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  /** More variables for this run. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly input?: AsyncIterable<Uint8Array>;
}

const EXIT_MISSING = 10;
const EXIT_CONFLICT = 11;
const EXIT_DENIED = 12;
/** Of what a program says on stderr, the end is kept. */
const MAX_WORDS = 400;

/**
 * Gives what the program writes to stdout; the end comes after its exit, so that a stream that ended was whole.
 *
 * @throws GantryError `store/missing`, `store/conflict`, `store/denied`, `store/failed`, `aborted`
 */
export async function* runProgram(
  { program: [file = '', ...first], directory, env }: CommandSettings,
  verb: Verb,
  path: string,
  { signal, variables = {}, input }: RunOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  refuseAborted(signal);
  let words = '';
  try {
    const running = execa(file, [...first, verb, path], {
      cwd: directory,
      env: { ...env, ...variables },
      extendEnv: false,
      stdin: input ?? 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
      buffer: false,
      encoding: 'buffer',
      // It must not go on with half of the bytes.
      killSignal: 'SIGKILL',
      ...(signal === undefined ? {} : { cancelSignal: signal }),
    });
    running.stderr.on('data', (chunk: Buffer) => {
      words = (words + chunk.toString('utf8')).slice(-MAX_WORDS);
    });
    // What it started itself may hold its output open.
    const release = (): void => [running.stdout, running.stderr].forEach((stream) => stream.destroy());
    signal?.addEventListener('abort', release, { once: true });
    yield* running.iterable();
    signal?.removeEventListener('abort', release);
  } catch (error) {
    refuseAborted(signal);
    throw error instanceof ExecaError ? refusal(error, { file, verb, path, words }) : error;
  }
}

function refusal(
  error: ExecaError,
  { file, verb, path, words }: { readonly file: string; readonly verb: Verb; readonly path: string; readonly words: string },
): unknown {
  // What the source of the bytes throws is no failure of the program.
  if (error.exitCode === undefined && error.signal === undefined && error.code === undefined && error.cause !== undefined)
    return error.cause;
  const said = words.trim() === '' ? '' : `; it says ${quote(words.trim())}`;
  if (error.exitCode === EXIT_MISSING) return missing(path, verb, error);
  if (error.exitCode === EXIT_CONFLICT) {
    const details = { path, expected: 'what was there before', found: 'something else' };
    return new GantryError(
      'store/conflict',
      `Cannot ${verb} ${quote(path)}: ${quote(file)} found something else than expected${said}`,
      details,
      {
        cause: error,
      },
    );
  }
  if (error.exitCode === EXIT_DENIED) {
    return new GantryError('store/denied', `Cannot ${verb} ${quote(path)}: ${quote(file)} may not${said}`, { path }, { cause: error });
  }
  const how =
    error.code === 'ENOENT'
      ? 'there is no such program'
      : error.code === 'EACCES'
        ? 'it is not executable'
        : error.exitCode === undefined
          ? `it was stopped by ${error.signal ?? 'an error'}`
          : `it ended with exit code ${error.exitCode}`;
  return new GantryError(
    'store/failed',
    `Cannot ${verb} ${quote(path)} with ${quote(file)}: ${how}${said}; expected exit code 0, 10, 11 or 12`,
    {
      path,
      call: verb,
    },
    { cause: error },
  );
}

/** From arguments to an exit code: the one place that prints errors and ends the process. */
import { GantryError, isGantryError } from '../lib/errors.ts';
import { fromSystemError } from '../lib/files/system-error.ts';
import { createContext, type Context, type OwnContext } from './context.ts';
import { exitCodeOf, EXIT } from './exit-codes.ts';
import { buildProgram, type Outcome } from './program.ts';
import { hintFor } from './ui/hints.ts';
import { paint } from './ui/style.ts';
import { isHelp, nothingToDo } from './usage.ts';

/** How long a command may take to clean up after Ctrl-C before the process ends all the same. */
const CLEANUP_MS = 5000;

export async function main(args: readonly string[]): Promise<void> {
  const context = createContext(args);
  const reader = watchReader(context);
  const interrupted = onInterrupt(context);
  try {
    const outcome = await Promise.race([run(args, context), interrupted]);
    if (outcome !== undefined) show(outcome, context);
    await outcome?.after?.();
    process.exitCode = outcome?.exitCode ?? EXIT.done;
  } catch (error) {
    process.exitCode = reader.isGone ? EXIT.done : report(error, context);
  }
  context.end();
  // A keep-alive socket or a prompt that nobody answers must not hold up the shell.
  if (context.signal.aborted) process.exit();
}

async function run(args: readonly string[], context: Context): Promise<Outcome | undefined> {
  let outcome: Outcome | undefined;
  const shown: string[] = [];
  const onOutcome = (result: Outcome): void => {
    outcome = result;
  };
  try {
    await buildProgram(context, onOutcome, shown).parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!context.json || !isHelp(error) || error.exitCode !== 0) throw error;
    const text = shown.join('').trimEnd();
    return { json: error.code === 'commander.version' ? { version: text } : { help: text }, lines: [] };
  }
  return outcome;
}

function show(outcome: Outcome, context: Context): void {
  if (context.json) process.stdout.write(`${JSON.stringify({ ok: true, ...outcome.json }, undefined, 2)}\n`);
  else if (outcome.lines.length > 0) process.stdout.write(`${outcome.lines.join('\n')}\n`);
}

/** @returns the exit code */
function report(error: unknown, context: OwnContext): number {
  // Bars would be drawn over the message.
  context.end();
  if (isHelp(error)) {
    if (error.exitCode === 0) return EXIT.done;
    if (context.json) printError(nothingToDo(), context);
    return EXIT.usage;
  }
  const known = asGantryError(error, context.signal);
  if (known === undefined) return reportDefect(error, context);
  printError(known, context);
  return exitCodeOf(known.code);
}

/** What went wrong because of a Ctrl-C is a Ctrl-C, unless it is a refusal. The system's own errors are about this machine. */
function asGantryError(error: unknown, signal: AbortSignal): GantryError | undefined {
  if (isGantryError(error) && (!signal.aborted || exitCodeOf(error.code) === EXIT.refused)) return error;
  if (signal.aborted || (error instanceof Error && (error.name === 'AbortError' || error.name === 'ExitPromptError'))) {
    return new GantryError('aborted', 'Cannot go on: it was interrupted', {}, { cause: error });
  }
  if (!(error instanceof Error && 'syscall' in error && 'path' in error)) return undefined;
  const ofSystem = fromSystemError(error, String(error.path), 'use');
  return isGantryError(ofSystem) ? ofSystem : undefined;
}

function reportDefect(error: unknown, context: Context): number {
  const message = `this is a defect in gantry: ${error instanceof Error ? error.message : String(error)}`;
  if (context.env['GANTRY_DEBUG'] === '1') console.error(error);
  print({ code: 'defect', message, details: {} }, 'run it again with GANTRY_DEBUG=1 and report what it prints', context);
  return EXIT.machine;
}

function printError(error: GantryError, context: Context): void {
  print({ code: error.code, message: error.message, details: error.details }, hintFor(error), context);
}

function print(
  error: { readonly code: string; readonly message: string; readonly details: object },
  hint: string | undefined,
  context: Context,
): void {
  if (context.json) {
    process.stdout.write(`${JSON.stringify({ ok: false, error: { ...error, hint } }, undefined, 2)}\n`);
    return;
  }
  process.stderr.write(`${paint('red', 'error:')} ${error.message}\n`);
  if (hint !== undefined) process.stderr.write(`${paint('cyan', 'hint:')} ${hint}\n`);
}

/** Rejects when the command did not clean up in time. */
async function onInterrupt(context: Context): Promise<never> {
  return new Promise((_, reject) => {
    context.signal.addEventListener('abort', () => {
      setTimeout(() => reject(context.signal.reason as Error), CLEANUP_MS).unref();
    });
  });
}

/** `gantry … | head` is not an error: whoever read has enough, so the command stops and cleans up. Nobody has to read stderr. */
function watchReader(context: OwnContext): { readonly isGone: boolean } {
  const reader = { isGone: false };
  const ignore = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE') throw error;
  };
  process.stderr.on('error', ignore);
  process.stdout.on('error', (error) => {
    ignore(error);
    reader.isGone = true;
    context.stop();
  });
  return reader;
}

/** From arguments to an exit code: the one place that prints errors and ends the process. */
import { CommanderError } from 'commander';
import { GantryError, isGantryError } from '../lib/errors.ts';
import { createContext, type Context } from './context.ts';
import { exitCodeOf, EXIT } from './exit-codes.ts';
import { buildProgram, type Outcome } from './program.ts';
import { hintFor } from './ui/hints.ts';
import { paint } from './ui/style.ts';

/** How long a command may take to clean up after Ctrl-C before the process ends all the same. */
const CLEANUP_MS = 5000;

export async function main(args: readonly string[]): Promise<void> {
  const context = createContext(args);
  quietOnBrokenPipe();
  const interrupted = onInterrupt(context);
  try {
    const outcome = await Promise.race([run(args, context), interrupted]);
    if (outcome !== undefined) show(outcome, context);
    process.exitCode = outcome?.exitCode ?? EXIT.done;
  } catch (error) {
    process.exitCode = report(error, context);
  }
  context.end();
  // A keep-alive socket or a prompt that nobody answers must not hold up the shell.
  if (context.signal.aborted) process.exit();
}

async function run(args: readonly string[], context: Context): Promise<Outcome | undefined> {
  let outcome: Outcome | undefined;
  const program = buildProgram(context, (result) => {
    outcome = result;
  });
  await program.parseAsync(args, { from: 'user' });
  return outcome;
}

function show(outcome: Outcome, context: Context): void {
  if (context.json) process.stdout.write(`${JSON.stringify({ ok: true, ...outcome.json }, undefined, 2)}\n`);
  else if (outcome.lines.length > 0) process.stdout.write(`${outcome.lines.join('\n')}\n`);
}

/** @returns the exit code */
function report(error: unknown, context: Context): number {
  if (error instanceof CommanderError) return reportUsage(error, context);
  const known = asGantryError(error);
  if (known === undefined) return reportDefect(error, context);
  const hint = hintFor(known);
  if (context.json) {
    printJson({ code: known.code, message: known.message, details: known.details, ...(hint === undefined ? {} : { hint }) });
  } else {
    printError(known.message, hint);
  }
  return exitCodeOf(known.code);
}

/** Ctrl-C reaches us as our own error, as Node's AbortError, or out of a prompt. */
function asGantryError(error: unknown): GantryError | undefined {
  if (isGantryError(error)) return error;
  if (!(error instanceof Error) || (error.name !== 'AbortError' && error.name !== 'ExitPromptError')) return undefined;
  return new GantryError('aborted', 'Cannot go on: it was interrupted', {}, { cause: error });
}

function reportUsage(error: CommanderError, context: Context): number {
  if (error.exitCode === 0) return EXIT.done;
  const message = error.message.replace(/^error: /u, '');
  if (context.json) printJson({ code: 'usage', message });
  else if (error.code !== 'commander.help') printError(message, 'gantry help shows the commands, gantry COMMAND --help their options');
  return EXIT.usage;
}

function reportDefect(error: unknown, context: Context): number {
  const message = error instanceof Error ? error.message : String(error);
  if (context.env['GANTRY_DEBUG'] === '1') console.error(error);
  if (context.json) printJson({ code: 'defect', message });
  else printError(`this is a defect in gantry: ${message}`, 'run it again with GANTRY_DEBUG=1 and report what it prints');
  return EXIT.machine;
}

function printJson(error: object): void {
  process.stdout.write(`${JSON.stringify({ ok: false, error }, undefined, 2)}\n`);
}

function printError(message: string, hint: string | undefined): void {
  process.stderr.write(`${paint('red', 'error:')} ${message}\n`);
  if (hint !== undefined) process.stderr.write(`${paint('cyan', 'hint:')} ${hint}\n`);
}

/** Rejects when the command did not clean up in time; a second Ctrl-C ends at once. */
async function onInterrupt(context: Context): Promise<never> {
  return new Promise((_, reject) => {
    context.signal.addEventListener('abort', () => {
      setTimeout(() => reject(context.signal.reason as Error), CLEANUP_MS).unref();
    });
  });
}

/** `gantry … | head` is not an error. */
function quietOnBrokenPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(EXIT.done);
  });
}

/** What commander says about wrong arguments, in our words. */
import { CommanderError, type Command } from 'commander';
import { GantryError } from '../lib/errors.ts';

/** A noun without a verb: commander has printed the help of the noun on stderr. */
const HELP_INSTEAD = 'commander.help';

/** Keeps commander from printing errors and ending the process: main.ts does both, in one form. */
export function throwUsageErrors(command: Command, { json }: { readonly json: boolean }): void {
  command
    .showSuggestionAfterError(true)
    .configureOutput({ outputError: () => undefined, ...(json ? { writeErr: () => undefined } : {}) })
    .exitOverride((error) => {
      throw error.exitCode === 0 || error.code === HELP_INSTEAD ? error : usageError(command, error.message);
    });
}

/** True when a person has been shown help, because it was asked for or because there was nothing to do. */
export function isHelp(error: unknown): error is CommanderError {
  return error instanceof CommanderError;
}

/** For programs, to which help is no answer. */
export function nothingToDo(): GantryError {
  return new GantryError('usage/arguments', 'Cannot run gantry: no command was given', { command: 'gantry', suggestions: [] });
}

/** `error: unknown option '--bot'\n(Did you mean --boot?)` */
function usageError(command: Command, text: string): GantryError {
  const name = pathOf(command);
  const [message = '', suggestion = ''] = text.replace(/^error: /u, '').split('\n');
  const meant = /^\(Did you mean (?:one of )?(?<names>.+)\?\)$/u.exec(suggestion)?.groups?.['names'];
  return new GantryError('usage/arguments', `Cannot run ${name}: ${message}`, { command: name, suggestions: meant?.split(', ') ?? [] });
}

/** `gantry key generate` */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

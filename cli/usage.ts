/** What commander says about wrong arguments, in our words. */
import { CommanderError, type Command } from 'commander';
import { GantryError } from '../lib/errors.ts';

/** A noun without a verb: commander has printed the help of the noun on stderr. */
const HELP_INSTEAD = 'commander.help';

/** What commander would have printed on stdout: programs get it in one object. */
export type Shown = string[];

/** Keeps commander from printing errors and ending the process: main.ts does both, in one form. */
export function throwUsageErrors(command: Command, { json }: { readonly json: boolean }, shown: Shown): void {
  command
    .showSuggestionAfterError(true)
    .configureOutput({
      outputError: () => undefined,
      ...(json ? { writeErr: () => undefined, writeOut: (text) => void shown.push(text) } : {}),
    })
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
  return new GantryError('usage/arguments', `Cannot run ${name}: ${inOurWords(message)}`, {
    command: name,
    suggestions: meant?.split(', ') ?? [],
  });
}

/** What the parser of the command line says, in the form that all errors have; what it says otherwise stays as it is. */
const WORDINGS: readonly (readonly [theirs: RegExp, ours: string])[] = [
  [/^missing required argument '(.+)'$/u, 'the argument <$1> is missing; expected it behind the command'],
  [/^option '(.+)' argument missing$/u, 'the value of $1 is missing; expected it behind the option'],
  [/^required option '(.+)' not specified$/u, 'the option $1 is missing; expected it'],
  [/^too many arguments for '.+'\. Expected (\d+) arguments? but got (\d+): .*$/u, 'there are $2 arguments; expected $1'],
  [/^unknown option '(.+)'$/u, 'there is no option $1; expected one that --help lists'],
  [/^unknown command '(.+)'$/u, 'there is no command $1; expected one that --help lists'],
  [/^option '(.+)' argument '(.*)' is invalid\. Allowed choices are (.+)\.$/u, '$1 is "$2"; expected one of $3'],
  [/^command-argument value '(.*)' is invalid for argument '(.+)'\. Allowed choices are (.+)\.$/u, '<$2> is "$1"; expected one of $3'],
];

function inOurWords(message: string): string {
  const wording = WORDINGS.find(([theirs]) => theirs.test(message));
  return wording === undefined ? message : message.replace(...wording);
}

/** `gantry key generate` */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

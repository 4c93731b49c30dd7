/** The command line as a whole: global options, every command, help. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { commands } from './commands/index.ts';
import type { Context } from './context.ts';
import { globalOptions } from './options.ts';
import { throwUsageErrors, type Shown } from './usage.ts';

/** What a command has to say in the end. */
export interface Outcome {
  /** Becomes one object on stdout with `--json`. */
  readonly json: object;
  /** Printed on stdout otherwise. */
  readonly lines: readonly string[];
  readonly exitCode?: number;
  /** What goes on until Ctrl-C once the outcome is shown: a server. */
  readonly after?: () => Promise<void>;
}

export type OptionValues = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** Words that a shell's completion asks for: the workspace's wave policies, the versions of its releases, or what can be explained. */
export type Completed = 'policies' | 'versions' | 'findings';

/**
 * A command as data. Its file imports nothing heavy: `run` imports what it needs when it is called, so that
 * `gantry --help` stays quick.
 */
export interface CommandSpec {
  readonly name: string;
  /** commander's notation: `<directory>`, `[names...]` */
  readonly arguments?: readonly (readonly [notation: string, description: string, choices?: readonly string[]])[];
  /** What the first argument may be, when only the workspace knows. */
  readonly completes?: Completed;
  readonly summary: string;
  /** More than the summary, for `--help`. */
  readonly description?: string;
  readonly options?: readonly OptionSpec[];
  readonly examples?: readonly string[];
  /** A noun: its verbs. */
  readonly subcommands?: readonly CommandSpec[];
  readonly run?: (context: Context, args: readonly string[], options: OptionValues) => Promise<Outcome>;
}

export interface OptionSpec {
  readonly flags: string;
  readonly description: string;
  readonly required?: boolean;
  readonly default?: string;
  readonly choices?: readonly string[];
  /** What its value may be, when only the workspace knows. */
  readonly completes?: Completed;
  /** May be given several times; its value is the list of them. */
  readonly repeat?: true;
}

export function buildProgram(context: Context, onOutcome: (outcome: Outcome) => void, shown: Shown = []): Command {
  const program = new Command('gantry')
    .description('Signs, publishes and delivers image-based operating-system updates through The Update Framework.')
    .version(packageVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help of a command')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', '\nNew here? gantry demo shows the whole job in ten seconds.');
  throwUsageErrors(program, context, shown);
  for (const option of globalOptions) addOption(program, option);
  for (const spec of commands) add(program, spec, context, { onOutcome, shown });
  return program;
}

interface Listeners {
  readonly onOutcome: (outcome: Outcome) => void;
  readonly shown: Shown;
}

function add(parent: Command, spec: CommandSpec, context: Context, on: Listeners): void {
  const command = parent
    .command(spec.name)
    .summary(spec.summary)
    .description(spec.description ?? spec.summary)
    .helpOption('-h, --help', 'show help');
  throwUsageErrors(command, context, on.shown);
  for (const [notation, description, choices] of spec.arguments ?? []) {
    const argument = command.createArgument(notation, description);
    command.addArgument(choices === undefined ? argument : argument.choices([...choices]));
  }
  for (const option of spec.options ?? []) addOption(command, option);
  if (spec.examples !== undefined) command.addHelpText('after', `\nExamples:\n${spec.examples.map((line) => `  $ ${line}`).join('\n')}`);
  for (const verb of spec.subcommands ?? []) add(command, verb, context, on);
  const { run } = spec;
  if (run === undefined) return;
  command.action(async () => {
    on.onOutcome(await run(context, command.args, command.optsWithGlobals<OptionValues>()));
  });
}

function addOption(command: Command, spec: OptionSpec): void {
  const option = command.createOption(spec.flags, spec.description);
  if (spec.default !== undefined) option.default(spec.default);
  if (spec.choices !== undefined) option.choices([...spec.choices]);
  if (spec.repeat === true) option.argParser((value, before: readonly string[] | undefined) => [...(before ?? []), value]);
  if (spec.required === true) option.makeOptionMandatory();
  command.addOption(option);
}

/** Beside `cli/` in the sources, beside `dist/` in the package. */
function packageVersion(): string {
  for (const up of ['../package.json', '../../package.json']) {
    try {
      const parsed: unknown = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8'));
      if (typeof parsed === 'object' && parsed !== null && 'version' in parsed && typeof parsed.version === 'string') return parsed.version;
    } catch {
      // The other place has it.
    }
  }
  return '0.0.0';
}

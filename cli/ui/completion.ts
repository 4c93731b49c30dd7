/**
 * Completion scripts: a table of what may stand where, and for each shell a loop that finds the place on the line.
 *
 * Policies and versions are looked up when they are asked for: policies in the current directory, versions by gantry itself.
 *
 * A place is the command so far: `gantry`, `gantry key`, `gantry key generate`. The value of an option is skipped on the way, so
 * `gantry -C key key` is at `gantry key`.
 */
import type { CommandSpec, Completed, OptionSpec } from '../program.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

interface CompletedOption {
  /** `-o` and `--output` */
  readonly names: readonly string[];
  readonly takesValue: boolean;
  /** What the value may be; none: a file. */
  readonly choices: readonly string[];
  readonly completes?: Completed;
  readonly description: string;
}

interface Place {
  readonly path: string;
  /** Commands, or what the first argument may be; none: files. */
  readonly words: readonly string[];
  readonly completes?: Completed;
  readonly options: readonly CompletedOption[];
}

interface Table {
  readonly places: readonly Place[];
  /** Options that every place has. */
  readonly globals: readonly CompletedOption[];
  /** `PLACE OPTION` after which a value stands; `*` is any place. */
  readonly valued: readonly string[];
}

const SCRIPTS: Readonly<Record<Shell, (table: Table) => string>> = { bash: bashScript, zsh: zshScript, fish: fishScript };

export function completionScript(shell: Shell, commands: readonly CommandSpec[], globalOptions: readonly OptionSpec[]): string {
  const globals = [...globalOptions, { flags: '-h, --help', description: 'show help' }].map(completedOption);
  const places = placesOf({ name: 'gantry', summary: '', subcommands: commands }, []);
  const valued = [...places, { path: '*', options: globals }].flatMap(({ path, options }) =>
    options.filter(({ takesValue }) => takesValue).flatMap(({ names }) => names.map((name) => `${path} ${name}`)),
  );
  return SCRIPTS[shell]({ places, globals, valued });
}

function placesOf(spec: CommandSpec, parents: readonly string[]): readonly Place[] {
  const path = [...parents, spec.name];
  const { subcommands = [], options = [], completes } = spec;
  const words = [...subcommands.map(({ name }) => name), ...(spec.arguments?.[0]?.[2] ?? [])];
  const place = { path: path.join(' '), words, options: options.map(completedOption), ...(completes === undefined ? {} : { completes }) };
  return [place, ...subcommands.flatMap((verb) => placesOf(verb, path))];
}

function completedOption({ flags, description, choices = [], completes }: OptionSpec): CompletedOption {
  const names = flags.match(/(?<![\w-])--?[A-Za-z][a-z-]*/gu) ?? [];
  return { names, takesValue: flags.includes('<'), choices, description, ...(completes === undefined ? {} : { completes }) };
}

/** What prints them, one a line, in any shell; nothing outside a workspace. */
const LOOKUPS: Readonly<Record<Completed, string>> = {
  policies: String.raw`ls policies/waves 2>/dev/null | sed -n 's/\.toml$//p'`,
  findings: 'gantry explain 2>/dev/null',
  versions: `gantry release list 2>/dev/null | awk 'NR > 1 { print $3 }' | sort -u`,
};

/** In the double quotes of a shell's assignment. */
function offeredText(words: readonly string[], completes: Completed | undefined): string {
  return [...words, ...(completes === undefined ? [] : [`$(${LOOKUPS[completes]})`])].join(' ');
}

function bashScript(table: Table): string {
  return `_gantry() {
  local place="gantry" offered="" word="" skip="" current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local line=("\${COMP_WORDS[@]:1:COMP_CWORD-1}")
${shellCases(table)}
  COMPREPLY=()
  if [ -n "$offered" ]; then COMPREPLY=($(compgen -W "$offered" -- "$current")); fi
}
complete -o default -F _gantry gantry`;
}

function zshScript(table: Table): string {
  return `#compdef gantry
_gantry() {
  local place="gantry" offered="" word="" skip="" current="\${words[CURRENT]}" previous="\${words[CURRENT-1]}"
  local -a line=("\${(@)words[2,CURRENT-1]}")
${shellCases(table)}
  if [ -n "$offered" ]; then compadd -- \${=offered} || _files; else _files; fi
}
if [ "$funcstack[1]" = "_gantry" ]; then _gantry "$@"; else compdef _gantry gantry; fi`;
}

/** Finds `$place` in `$line`, then what is offered for `$current`, the same in bash and zsh; nothing means files. */
function shellCases({ places, globals, valued }: Table): string {
  const skips = valued.map((text) => (text.startsWith('* ') ? `*"${text.slice(1)}"` : `"${text}"`)).join(' | ');
  const everywhere = globals.flatMap(({ names }) => names);
  const offer = (pattern: string, words: readonly string[], completes?: Completed): string =>
    `        ${pattern}) offered="${offeredText(words, completes)}" ;;`;
  const choices = places.flatMap(({ path, options }) =>
    options
      .filter((option) => option.choices.length > 0 || option.completes !== undefined)
      .flatMap((option) => option.names.map((name) => offer(`"${path} ${name}"`, option.choices, option.completes))),
  );
  return `  for word in "\${line[@]}"; do
    if [ -n "$skip" ]; then skip=""; continue; fi
    case "$place $word" in
      ${skips}) skip=1 ;;
      ${places
        .slice(1)
        .map(({ path }) => `"${path}"`)
        .join(' | ')}) place="$place $word" ;;
    esac
  done
  case "\${skip:+value:}$current" in
    value:*) case "$place $previous" in
${choices.join('\n')}
      esac ;;
    -*) case "$place" in
${places.map(({ path, options }) => offer(`"${path}"`, [...options.flatMap(({ names }) => names), ...everywhere])).join('\n')}
      esac ;;
    *) case "$place" in
${places
  .filter(({ words, completes }) => words.length > 0 || completes !== undefined)
  .map(({ path, words, completes }) => offer(`"${path}"`, words, completes))
  .join('\n')}
      esac ;;
  esac`;
}

function fishScript({ places, globals, valued }: Table): string {
  const atPlaces = places.flatMap(({ path, words, completes, options }) => {
    const here = `-n ${fishQuote(`__gantry_at ${path}`)}`;
    return [
      `complete -c gantry ${here} ${completes !== undefined ? fishLookup(completes) : words.length > 0 ? `-a ${fishQuote(words.join(' '))}` : '-F'}`,
      ...options.map((option) => `complete -c gantry ${here} ${fishOption(option)}`),
    ];
  });
  return `function __gantry_at
  set -l place gantry
  set -l skip ''
  for word in (commandline -opc)[2..-1]
    if test -n "$skip"
      set skip ''
      continue
    end
    switch "$place $word"
      case ${valued.map(fishQuote).join(' ')}
        set skip 1
      case ${places
        .slice(1)
        .map(({ path }) => fishQuote(path))
        .join(' ')}
        set place "$place $word"
    end
  end
  test "$place" = "$argv"
end
complete -c gantry -f
${[...atPlaces, ...globals.map((option) => `complete -c gantry ${fishOption(option)}`)].join('\n')}`;
}

function fishLookup(completes: Completed): string {
  return `-a ${fishQuote(`(${LOOKUPS[completes]})`)}`;
}

function fishOption({ names, takesValue, choices, completes, description }: CompletedOption): string {
  const flags = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  // A policy may be a path as well.
  const looked = completes === undefined ? [] : ['-r', ...(completes === 'policies' ? ['-F'] : []), fishLookup(completes)];
  const value =
    looked.length > 0 ? looked : choices.length > 0 ? ['-x', '-a', fishQuote(choices.join(' '))] : takesValue ? ['-r', '-F'] : [];
  return [...flags, ...value, '-d', fishQuote(description)].join(' ');
}

function fishQuote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)}'`;
}

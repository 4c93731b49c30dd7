import type { CommandSpec, OptionSpec } from '../program.ts';

const GLOBAL_OPTIONS = ['--help', '--json', '--quiet', '--workspace', '--yes'];
const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

export const completion: CommandSpec = {
  name: 'completion',
  arguments: [['<shell>', 'bash, zsh or fish']],
  summary: 'print a completion script for the shell',
  examples: ['source <(gantry completion bash)', 'gantry completion fish > ~/.config/fish/completions/gantry.fish'],
  async run(_context, [name = '']) {
    const { GantryError, quote } = await import('../../lib/errors.ts');
    const { commands } = await import('./index.ts');
    const shell = SHELLS.find((one) => one === name);
    if (shell === undefined) {
      throw new GantryError('usage/option', `Cannot make completions for ${quote(name)}: expected one of ${SHELLS.join(', ')}`, {
        option: 'shell',
      });
    }
    const script = SCRIPTS[shell](wordsByPath(commands));
    return { json: { shell, script }, lines: [script] };
  },
};

/** What may follow `gantry`, `gantry key`, `gantry key generate`, …: subcommands and options. */
function wordsByPath(commands: readonly CommandSpec[]): ReadonlyMap<string, readonly string[]> {
  const words = new Map<string, readonly string[]>();
  const walk = (path: string, subcommands: readonly CommandSpec[], options: readonly OptionSpec[]): void => {
    words.set(path, [...subcommands.map(({ name }) => name), ...options.flatMap(longFlag), ...GLOBAL_OPTIONS]);
    for (const command of subcommands) walk(`${path} ${command.name}`.trim(), command.subcommands ?? [], command.options ?? []);
  };
  walk('', commands, []);
  return words;
}

function longFlag({ flags }: OptionSpec): readonly string[] {
  return /--[a-z-]+/u.exec(flags) ?? [];
}

/** Words that are neither options nor their values: good enough, as options with values are offered by name only. */
const CASES = (words: ReadonlyMap<string, readonly string[]>): string =>
  [...words].map(([path, offered]) => `    "${path}") words="${offered.join(' ')}" ;;`).join('\n');

const SCRIPTS: Readonly<Record<Shell, (words: ReadonlyMap<string, readonly string[]>) => string>> = {
  bash: (words) => `_gantry() {
  local path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in${nounCases(words, ' path="${path:+$path }$word" ;;')}
    esac
  done
  case "$path" in
${CASES(words)}
  esac
  if [[ "$2" == -* || -n "$words" ]]; then COMPREPLY=($(compgen -W "$words" -- "$2")); fi
  COMPREPLY+=($(compgen -f -- "$2"))
}
complete -o filenames -F _gantry gantry`,
  zsh: (words) => `#compdef gantry
_gantry() {
  local path="" word words_=""
  for word in "\${words[@]:1:$((CURRENT-2))}"; do
    case "$path $word" in${nounCases(words, ' path="${path:+$path }$word" ;;')}
    esac
  done
  case "$path" in
${CASES(words).replaceAll('words=', 'words_=')}
  esac
  compadd -- \${=words_}
  _files
}
compdef _gantry gantry`,
  fish: (words) =>
    [...words]
      .filter(([path]) => path.split(' ').length <= 2)
      .flatMap(([path, offered]) => {
        const seen =
          path === ''
            ? '__fish_use_subcommand'
            : path
                .split(' ')
                .map((word) => `__fish_seen_subcommand_from ${word}`)
                .join('; and ');
        return offered.map((word) => `complete -c gantry -n '${seen}' ${word.startsWith('--') ? `-l ${word.slice(2)}` : `-f -a ${word}`}`);
      })
      .join('\n'),
};

function nounCases(words: ReadonlyMap<string, readonly string[]>, action: string): string {
  return [...words.keys()]
    .filter((path) => path !== '')
    .map((path) => {
      const parts = path.split(' ');
      return `\n      "${parts.slice(0, -1).join(' ')} ${parts.at(-1) ?? ''}")${action}`;
    })
    .join('');
}

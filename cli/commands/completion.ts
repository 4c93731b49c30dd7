import { globalOptions } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { SHELLS } from '../ui/completion.ts';

export const completion: CommandSpec = {
  name: 'completion',
  arguments: [['<shell>', 'bash, zsh or fish', SHELLS]],
  summary: 'print a completion script for the shell',
  examples: [
    'source <(gantry completion bash)',
    'gantry completion zsh > "${fpath[1]}/_gantry"',
    'gantry completion fish > ~/.config/fish/completions/gantry.fish',
  ],
  async run(_context, [name]) {
    const { completionScript } = await import('../ui/completion.ts');
    const { commands } = await import('./index.ts');
    // The parser of the command line has refused everything else.
    const shell = SHELLS.find((one) => one === name) ?? 'bash';
    const script = completionScript(shell, commands, globalOptions);
    return { json: { shell, script }, lines: [script] };
  },
};

/** `gantry ceremony rehearse`: the commands of a key ceremony, run one after the other on keys that are thrown away. */
import { GantryError } from '../../lib/errors.ts';
import type { Context } from '../context.ts';
import { numberOption, pathOf, textOption } from '../options.ts';
import type { CommandSpec, OptionValues } from '../program.ts';
import { shellWord } from '../ui/format.ts';
import { paint } from '../ui/style.ts';
import { draft } from './draft.ts';
import { init } from './init.ts';
import { key } from './key.ts';
import { root } from './root.ts';
import { sign } from './sign.ts';

const MOST_HOLDERS = 9;

const rehearse: CommandSpec = {
  name: 'rehearse',
  summary: 'go through a whole ceremony on throw-away keys',
  description:
    'Makes the first root with several holders, loses a key, and replaces it: the same commands and the same screens as in earnest, in a directory of its own. Nothing of your workspaces or keys is touched.',
  options: [
    { flags: '--holders <n>', description: 'who has a root key', default: '3' },
    { flags: '--threshold <n>', description: 'how many of them must sign', default: '2' },
    { flags: '--dir <dir>', description: 'keep everything in this new directory' },
  ],
  examples: ['gantry ceremony rehearse', 'gantry ceremony rehearse --holders 5 --threshold 3 --dir ./rehearsal'],
  async run(context, _, options) {
    const holders = numberOption(options, 'holders', { min: 2, max: MOST_HOLDERS }) ?? 3;
    const threshold = numberOption(options, 'threshold', { min: 1, max: MOST_HOLDERS }) ?? 2;
    // One of them is lost in the middle.
    if (threshold >= holders) {
      throw new GantryError(
        'usage/option',
        `Cannot rehearse the loss of a key with threshold ${threshold} of ${holders}: expected a lower threshold`,
        {
          option: '--threshold',
        },
      );
    }
    const { mkdir, mkdtemp, rm } = await import('node:fs/promises');
    const { tmpdir } = await import('node:os');
    const { join } = await import('node:path');
    const kept = textOption(options, 'dir');
    const directory = kept === undefined ? await mkdtemp(join(tmpdir(), 'gantry-ceremony-')) : pathOf(context, kept);
    if (kept !== undefined) await mkdir(directory);
    try {
      const commands = await runCeremony(context, directory, { holders, threshold });
      return {
        json: { ...(kept === undefined ? {} : { directory }), holders, threshold, commands, roots: 2 },
        lines: [
          `Rehearsed: ${commands.length} commands made root 1 with ${threshold} of ${holders} holders, and root 2 after one had lost the key.`,
          kept === undefined
            ? 'Everything was thrown away; --dir keeps it.'
            : `Everything is in ${directory}: throw-away keys, good for nothing else.`,
        ],
      };
    } finally {
      if (kept === undefined) await rm(directory, { recursive: true, force: true });
    }
  },
};

async function runCeremony(
  context: Context,
  directory: string,
  { holders, threshold }: { readonly holders: number; readonly threshold: number },
): Promise<readonly string[]> {
  const commands: string[] = [];
  const names = Array.from({ length: holders }, (_, index) => `holder-${index + 1}`);
  const keysOf = (holder: string): OptionValues => ({ keysDir: `../keys-of-${holder}` });
  const act = async (
    who: string,
    spec: CommandSpec,
    words: readonly string[],
    args: readonly string[],
    options: OptionValues = {},
  ): Promise<void> => {
    const cwd = spec === init ? directory : `${directory}/rehearsal`;
    const line = ['gantry', ...words, ...args.map(shellWord), ...optionWords(options)].join(' ');
    commands.push(line);
    context.note('');
    context.note(`${paint('bold', who)}  $ ${line}`);
    // Nobody is asked for the passphrase of a key that is thrown away, or whether to sign.
    const outcome = await spec.run?.({ ...context, cwd, canAsk: false, confirm: async () => true }, args, options);
    for (const text of outcome?.lines ?? []) context.note(text);
  };
  const verb = (noun: CommandSpec, name: string): CommandSpec => noun.subcommands?.find((one) => one.name === name) ?? noun;
  await act('everybody', init, ['init'], ['rehearsal'], { variant: 'metal', arch: 'x86_64', store: './public' });
  for (const holder of [...names, 'spare']) {
    await act(holder, verb(key, 'generate'), ['key', 'generate'], [holder], { unencrypted: true, ...keysOf(holder) });
  }
  await act('office', verb(key, 'generate'), ['key', 'generate'], ['targets', 'online'], { unencrypted: true, ...keysOf('office') });
  const roles = { root: names.join(','), targets: 'targets', snapshot: 'online', timestamp: 'online' };
  await act('office', verb(root, 'init'), ['root', 'init'], [], { ...roles, threshold: `root=${threshold}` });
  const signRound = async (version: number, signers: readonly string[]): Promise<void> => {
    const file = `../root-${version}.draft`;
    await act('office', verb(draft, 'export'), ['draft', 'export'], ['root'], { output: file });
    for (const holder of signers) await act(holder, sign, ['sign'], [file], keysOf(holder));
    await act('office', verb(draft, 'import'), ['draft', 'import'], [file]);
  };
  await signRound(1, names.slice(0, threshold));
  await act('office', verb(root, 'show'), ['root', 'show'], []);
  context.note('');
  context.note(`holder-1 has lost the key. ${threshold} of the others can still sign, and the spare key takes its place.`);
  await act('office', verb(root, 'replace-key'), ['root', 'replace-key'], ['holder-1', 'spare']);
  await signRound(2, names.slice(1, threshold + 1));
  await act('office', verb(root, 'verify'), ['root', 'verify'], []);
  return commands;
}

function optionWords(options: OptionValues): readonly string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    const flag = `--${name.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)}`;
    return value === true ? [flag] : [flag, shellWord(String(value))];
  });
}

export const ceremony: CommandSpec = {
  name: 'ceremony',
  summary: 'rehearse a key ceremony',
  subcommands: [rehearse],
};

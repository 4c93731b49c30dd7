import type { Explanation } from '../explain/explain.ts';
import type { CommandSpec } from '../program.ts';
import { paintResult } from '../ui/style.ts';
import { wrapWords } from '../ui/format.ts';

const WIDTH = 80;
const INDENT = 13;

const KIND: Readonly<Record<Explanation['kind'], string>> = {
  'release-finding': 'a finding of gantry lint and gantry release lint',
  'portability-finding': 'a finding of gantry lint',
  'doctor-finding': 'a finding of gantry doctor',
  error: 'an error code',
};

export const explain: CommandSpec = {
  name: 'explain',
  arguments: [['[finding]', 'the name of a finding, or the code of an error (default: list all of them)']],
  completes: 'findings',
  summary: 'what a finding or an error means, why it matters, what to do',
  examples: ['gantry explain migration-gap', 'gantry explain publish/conflict', 'gantry explain'],
  async run(_context, [wanted]) {
    const { explanations } = await import('../explain/explain.ts');
    if (wanted === undefined) {
      return { json: { explanations }, lines: explanations.map(({ id }) => id) };
    }
    const found = explanations.find(({ id }) => id === wanted.trim().toLowerCase());
    if (found === undefined) return refuseUnknown(wanted, explanations);
    return { json: found, lines: describe(found) };
  },
};

async function refuseUnknown(wanted: string, explanations: readonly Explanation[]): Promise<never> {
  const { GantryError, quote } = await import('../../lib/errors.ts');
  const part = wanted.toLowerCase().replace(/^.*\//u, '');
  const near = explanations.flatMap(({ id }) => (id.includes(part) || part.includes(id) ? [id] : [])).slice(0, 5);
  const expected = near.length === 0 ? 'one that gantry explain lists' : `one that gantry explain lists, such as ${near.join(', ')}`;
  throw new GantryError('usage/option', `Cannot explain ${quote(wanted)}: there is no such finding or error; expected ${expected}`, {
    option: '[finding]',
  });
}

function describe({ id, kind, means, why, fix }: Explanation): readonly string[] {
  return [
    `${paintResult('bold', id)}: ${KIND[kind]}`,
    ...(
      [
        ['it means', means],
        ['it matters', why],
        ['what to do', fix],
      ] as const
    ).map(([title, text]) => `  ${title.padEnd(INDENT - 2)}${wrapWords(text, WIDTH - INDENT).replaceAll('\n', `\n${' '.repeat(INDENT)}`)}`),
  ];
}

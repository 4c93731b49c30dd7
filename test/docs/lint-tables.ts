/** The tables of docs/lint.md, made from the rules themselves: `node test/docs/lint-tables.ts` writes them anew. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { releaseRules } from '../../lib/release/lint.ts';
import { portabilityRules } from '../../lib/tuf/lint/rules.ts';

const FILE = join(import.meta.dirname, '..', '..', 'docs', 'lint.md');

function table(rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n');
}

const TABLES: Readonly<Record<string, string>> = {
  release: table([
    ['rule', '', 'what it wants', 'who stumbles otherwise', 'what to do'],
    ...releaseRules.map(({ id, severity, wants, who, fix }) => [`\`${id}\``, severity, wants, who, fix]),
  ]),
  portability: table([
    ['rule', 'what it wants', 'who stumbles otherwise', 'what to do'],
    ...[...portabilityRules.values()].map(({ id, wants, who, fix }) => [`\`${id}\``, wants, who, fix]),
  ]),
};

/** docs/lint.md as it is, and as the rules say that it should be. */
export async function lintPage(): Promise<{ readonly is: string; readonly shouldBe: string }> {
  const is = await readFile(FILE, 'utf8');
  const shouldBe = is.replaceAll(
    /(<!-- table of the (\w+) rules: written by test\/docs\/lint-tables\.ts -->\n)[\s\S]*?(\n<!-- end -->)/gu,
    (_, begin: string, name: string, end: string) => `${begin}${TABLES[name] ?? ''}${end}`,
  );
  return { is, shouldBe };
}

if (process.argv[1] === import.meta.filename) await writeFile(FILE, (await lintPage()).shouldBe);

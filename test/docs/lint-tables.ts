/** The tables of rules in docs/, made from the rules themselves: `node test/docs/lint-tables.ts` writes them anew. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { doctorRules } from '../../lib/publish/doctor/rules.ts';
import { releaseRules } from '../../lib/release/lint.ts';
import { portabilityRules, type LintRule } from '../../lib/tuf/lint/rules.ts';

const DOCS = join(import.meta.dirname, '..', '..', 'docs');

/** Every page with tables, and the rules that must stand in it. */
export const PAGES: Readonly<Record<string, readonly LintRule[]>> = {
  'lint.md': [...releaseRules, ...portabilityRules.values()],
  'doctor.md': doctorRules,
};

function table(rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n');
}

function tableWithSeverity(rules: readonly (LintRule & { readonly severity: string })[]): string {
  return table([
    ['rule', '', 'what it wants', 'who stumbles otherwise', 'what to do'],
    ...rules.map(({ id, severity, wants, who, fix }) => [`\`${id}\``, severity, wants, who, fix]),
  ]);
}

const TABLES: Readonly<Record<string, string>> = {
  release: tableWithSeverity(releaseRules),
  portability: table([
    ['rule', 'what it wants', 'who stumbles otherwise', 'what to do'],
    ...[...portabilityRules.values()].map(({ id, wants, who, fix }) => [`\`${id}\``, wants, who, fix]),
  ]),
  doctor: tableWithSeverity(doctorRules),
};

/** A page as it is, and as the rules say that it should be. */
export async function pageOf(name: string): Promise<{ readonly is: string; readonly shouldBe: string }> {
  const is = await readFile(join(DOCS, name), 'utf8');
  const shouldBe = is.replaceAll(
    /(<!-- table of the (\w+) rules: written by test\/docs\/lint-tables\.ts -->\n)[\s\S]*?(\n<!-- end -->)/gu,
    (_, begin: string, rules: string, end: string) => `${begin}${TABLES[rules] ?? ''}${end}`,
  );
  return { is, shouldBe };
}

if (process.argv[1] === import.meta.filename) {
  for (const name of Object.keys(PAGES)) await writeFile(join(DOCS, name), (await pageOf(name)).shouldBe);
}

/**
 * The portability lint: what every TUF client accepts (design D3). A repository without errors is read by tough 0.19 and 0.24,
 * tuf-js, python-tuf and go-tuf; the rules are numbered as in the project's interop reference and in docs/lint.md.
 */
import { GantryError, type LintFinding } from '../errors.ts';
import { lintDelegations } from './lint/delegations.ts';
import { collect, type Members, type Report } from './lint/finding.ts';
import { lintSnapshot, lintTimestamp } from './lint/meta.ts';
import { lintCommon, lintJson } from './lint/portability.ts';
import { lintFiles, type RepositoryFiles } from './lint/repository.ts';
import { lintRoot } from './lint/root.ts';
import { lintTargets } from './lint/targets.ts';
import type { Role } from './types.ts';

export type { DelegatedFile, RepositoryFiles } from './lint/repository.ts';

/**
 * Findings on what is signed, before anybody has signed it.
 *
 * @param name what findings call the role; its type by default
 */
export function lintRole(role: Role, name: string = role._type): readonly LintFinding[] {
  return collect((report) => check(role, name, report));
}

/** Findings on everything that is published: each role by itself, signatures, sizes, and what the files say of each other. */
export function lintRepository(files: RepositoryFiles): readonly LintFinding[] {
  return collect((report) => {
    for (const file of [...files.roots, files.timestamp, files.snapshot, files.targets]) {
      if (file !== undefined) check(file.role, file.role._type, report);
    }
    for (const { name, file } of files.delegated ?? []) check(file.role, name, report);
    lintFiles(files, report);
  });
}

/** @throws GantryError `tuf/not-portable` when a rule is broken; warnings pass */
export function assertPortable(role: Role): void {
  const findings = lintRole(role).filter(({ severity }) => severity === 'error');
  const [first] = findings;
  if (first === undefined) return;
  const more = findings.length === 1 ? '' : ` (and ${findings.length - 1} more)`;
  throw new GantryError(
    'tuf/not-portable',
    `Cannot sign this ${role._type} role: rule ${first.rule}: ${first.at}: ${first.message}${more}`,
    { findings },
  );
}

function check(role: Role, name: string, report: Report): void {
  // The lint looks at what is there, whatever the type promises.
  const members = role as unknown as Members;
  lintCommon(members, name, report);
  lintJson(members, name, report);
  switch (role._type) {
    case 'root':
      lintRoot(members, report);
      break;
    case 'targets':
      lintTargets(members, name, report);
      lintDelegations(members, name, report);
      break;
    case 'snapshot':
      lintSnapshot(members, report);
      break;
    case 'timestamp':
      lintTimestamp(members, report);
      break;
  }
}

/**
 * The portability lint: what every TUF client accepts (design D3). A repository without errors is read by tough 0.19 and 0.24,
 * tuf-js, python-tuf and go-tuf. The rules:
 *
 *  1 signatures verify over the canonical form    11 meta entries name version, length and sha256, and they fit
 *  2 dates in whole seconds, up to year 9000      12 targets: length, hashes, custom with members
 *  3 spec_version 1.x.y                           13 target names that every client fetches alike
 *  4 versions from 1; root goes up by one         14 delegations: complete, known members, a tree, nothing outside
 *  5 four top roles, consistent_snapshot          15 path patterns of literals, * and ?
 *  6 key types and forms                          16 every root since 1
 *  7 key ids are digests of the keys              17 (the server: not metadata, so not here)
 *  8 signature forms, one for each listed key     18 JSON that all canonicalisers write alike
 *  9 role key lists and thresholds                19 sizes, and steps of the root chain
 * 10 sha256 and nothing else
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
  throw new GantryError('tuf/not-portable', `Cannot sign this ${role._type} role: ${first.rule}: ${first.at}: ${first.message}${more}`, {
    findings,
  });
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

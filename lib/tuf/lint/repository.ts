/** What only shows when signatures, bytes and several files are at hand: rules 1, 4, 8, 11, 14, 16, 18 and 19. */
import type { Root, SignedRole, Snapshot, Targets, Timestamp } from '../types.ts';
import { lintBytes } from './bytes.ts';
import { lintRootChain } from './chain.ts';
import type { Report } from './finding.ts';
import { lintMetaFile } from './meta.ts';
import { lintSignatures } from './signatures.ts';
import { lintCoverage, lintTree } from './tree.ts';

/** A delegated role as it is published. */
export interface DelegatedFile {
  readonly name: string;
  readonly file: SignedRole<Targets>;
}

export interface RepositoryFiles {
  /** In the order of their file names. */
  readonly roots: readonly SignedRole<Root>[];
  readonly timestamp?: SignedRole<Timestamp>;
  readonly snapshot?: SignedRole<Snapshot>;
  readonly targets?: SignedRole<Targets>;
  readonly delegated?: readonly DelegatedFile[];
}

export function lintFiles(files: RepositoryFiles, report: Report): void {
  lintRootChain(files.roots, report);
  for (const root of files.roots) lintBytes(root, 'root', 'root', undefined, report);
  lintTopRoles(files, report);
  if (files.targets !== undefined) lintDelegated(files.targets, files, report);
}

function lintTopRoles({ roots, timestamp, snapshot, targets }: RepositoryFiles, report: Report): void {
  const root = roots.at(-1)?.role;
  const targetsEntry = snapshot?.role.meta['targets.json'];
  for (const file of [timestamp, snapshot, targets]) {
    if (file === undefined) continue;
    const name = file.role._type;
    if (root !== undefined) lintSignatures(file, name, [{ keys: root.keys, roleKeys: root.roles[name] }], report);
    lintBytes(file, name, name, targetsEntry, report);
  }
  if (timestamp !== undefined && snapshot !== undefined) {
    lintMetaFile(timestamp.role.meta['snapshot.json'], snapshot, 'timestamp.meta["snapshot.json"]', report);
  }
  if (targetsEntry !== undefined && targets !== undefined) {
    lintMetaFile(targetsEntry, targets, 'snapshot.meta["targets.json"]', report);
  }
}

function lintDelegated(targets: SignedRole<Targets>, { snapshot, delegated = [] }: RepositoryFiles, report: Report): void {
  const roles = new Map([['targets', targets.role], ...delegated.map(({ name, file }) => [name, file.role] as const)]);
  const delegations = lintTree(roles, snapshot?.role, report);
  for (const { name, file } of delegated) {
    const entry = snapshot?.role.meta[`${name}.json`];
    lintBytes(file, name, 'delegated', entry, report);
    if (entry !== undefined) lintMetaFile(entry, file, `snapshot.meta["${name}.json"]`, report);
    const delegation = delegations.get(name);
    if (delegation === undefined) continue;
    lintSignatures(file, name, [{ keys: delegation.parent.delegations?.keys ?? {}, roleKeys: delegation.role }], report);
    lintCoverage(delegation, file.role, report);
  }
}

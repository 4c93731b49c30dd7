/** Rules 11 and 14 across files: every delegated role is in the snapshot, has one parent, and lists only what is its own. */
import { quote } from '../../errors.ts';
import { sha256Hex } from '../hash.ts';
import type { DelegatedRole, Snapshot, Targets } from '../types.ts';
import { covers } from './patterns.ts';
import type { Report } from './finding.ts';

/** Who delegates a role, found by walking every role that is there. */
export interface Delegation {
  readonly parent: Targets;
  readonly role: DelegatedRole;
}

/**
 * The delegation of each role by its name; the first where there are several.
 *
 * @param roles the top role as `targets`, and the delegated ones
 */
export function lintTree(roles: ReadonlyMap<string, Targets>, snapshot: Snapshot | undefined, report: Report): Map<string, Delegation> {
  const delegations = new Map<string, Delegation>();
  for (const [parent, role] of roles) {
    const here = new Set<string>();
    for (const child of role.delegations?.roles ?? []) {
      // Twice in one parent is a finding on that role alone.
      if (here.has(child.name)) continue;
      here.add(child.name);
      if (delegations.has(child.name)) {
        report(14, parent, `the role ${quote(child.name)} has another parent too; expected a tree: a cycle crashes tough 0.19`);
        continue;
      }
      delegations.set(child.name, { parent: role, role: child });
      if (snapshot !== undefined && !Object.hasOwn(snapshot.meta, `${child.name}.json`)) {
        report(11, 'snapshot.meta', `it does not name ${quote(`${child.name}.json`)}: tough refuses the load or drops its siblings`);
      }
    }
  }
  return delegations;
}

/** tough looks at every target that a role lists, other clients only at those they look for. */
export function lintCoverage({ role }: Delegation, targets: Targets, report: Report): void {
  for (const path of Object.keys(targets.targets)) {
    if (!isCovered(role, path)) {
      report(14, role.name, `it lists ${quote(path)}, which was not delegated to it: tough refuses the whole repository`);
    }
  }
}

/** Whether a target was delegated to a role: clients look for it there, and tough refuses others. */
export function isCovered({ paths, path_hash_prefixes: prefixes }: DelegatedRole, path: string): boolean {
  if (paths !== undefined) return covers(paths, path);
  if (prefixes === undefined) return false;
  const digest = sha256Hex(Buffer.from(path, 'utf8'));
  return prefixes.some((prefix) => digest.startsWith(prefix));
}

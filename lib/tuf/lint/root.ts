/** Rule 5: the root, with the rules on keys. */
import { quote } from '../../errors.ts';
import { show } from '../portable-json.ts';
import { isObject, membersOf, unknownMembers, type Members, type Report } from './finding.ts';
import { lintKeys, lintRoleKeys } from './keys.ts';

const ROLES = ['root', 'timestamp', 'snapshot', 'targets'];

export function lintRoot(root: Members, report: Report): void {
  if (root['consistent_snapshot'] !== true) {
    report(
      5,
      'root.consistent_snapshot',
      `it is ${show(root['consistent_snapshot'])}; expected true: tough and go-tuf refuse a root without it`,
    );
  }
  if (root['mirrors'] !== undefined) report(5, 'root.mirrors', 'it is there; expected none: not every client knows it');
  const { roles, keys } = root;
  for (const name of ROLES) {
    if (!isObject(roles) || roles[name] === undefined) report(5, `root.roles.${name}`, 'it is missing: no client reads a root without it');
  }
  if (isObject(roles)) {
    for (const name of unknownMembers(roles, ROLES))
      report(5, 'root.roles', `${quote(name)} is not a top-level role: tough and python-tuf refuse it`);
  }
  lintKeys(keys, 'root.keys', report);
  for (const [name, role] of membersOf(roles)) lintRoleKeys(role, keys, `root.roles.${name}`, report);
}

/** Rules 14 and 15: delegations that every client walks alike. */
import { quote } from '../../errors.ts';
import { isObject, unknownMembers, type Members, type Report } from './finding.ts';
import { lintKeys, lintRoleKeys } from './keys.ts';

const ROLE_NAME = /^[A-Za-z][A-Za-z0-9_-]*$/u;
const ROLE_MEMBERS = ['name', 'keyids', 'threshold', 'terminating', 'paths', 'path_hash_prefixes'];
/** A literal, `*` or `?`; none of the characters that some client reads as more. */
const PATTERN = /^[A-Za-z0-9_*?+-][A-Za-z0-9._*?+/-]*$/u;

export function lintDelegations(role: Members, name: string, report: Report): void {
  const { delegations } = role;
  if (delegations === undefined) return;
  const at = `${name}.delegations`;
  if (!isObject(delegations) || !isObject(delegations['keys']) || !Array.isArray(delegations['roles'])) {
    report(14, at, 'it is not complete; expected keys and roles, or no delegations at all');
    return;
  }
  const unknown = unknownMembers(delegations, ['keys', 'roles']);
  if (unknown.length > 0)
    report(14, at, `it has ${unknown.map(quote).join(', ')}: tough drops or refuses that, and the signature fails there`);
  lintKeys(delegations['keys'], `${at}.keys`, report);
  const names = new Set<unknown>();
  delegations['roles'].forEach((entry: unknown, index) => {
    const here = `${at}.roles[${index}]`;
    if (!isObject(entry)) {
      report(14, here, 'it is not an object');
      return;
    }
    lintDelegatedRole(entry, delegations['keys'], here, report);
    if (names.has(entry['name'])) report(14, here, `the role ${quote(String(entry['name']))} is delegated twice`);
    names.add(entry['name']);
  });
}

function lintDelegatedRole(role: Members, keys: unknown, at: string, report: Report): void {
  const unknown = unknownMembers(role, ROLE_MEMBERS);
  if (unknown.length > 0) report(14, at, `it has ${unknown.map(quote).join(', ')}: tough drops that, and the signature fails there`);
  const { name, terminating, paths, path_hash_prefixes: prefixes } = role;
  if (typeof name !== 'string' || !ROLE_NAME.test(name)) {
    report(14, `${at}.name`, `it is ${quote(String(name))}; expected letters, digits, _ and -, a letter first: tuf-js fails on a number`);
  }
  if (typeof terminating !== 'boolean') report(14, `${at}.terminating`, 'it is not true or false');
  if ((paths === undefined) === (prefixes === undefined)) report(14, at, 'expected either paths or path_hash_prefixes');
  lintRoleKeys(role, keys, at, report);
  if (prefixes !== undefined) report(14, `${at}.path_hash_prefixes`, 'go-tuf does not find targets behind hash prefixes', 'warning');
  for (const pattern of Array.isArray(paths) ? paths : []) {
    if (typeof pattern !== 'string' || !PATTERN.test(pattern) || pattern.includes('/.')) {
      report(
        15,
        `${at}.paths`,
        `${quote(String(pattern))} is read differently by different clients; expected literals, * and ? only, and no leading dots`,
      );
    } else if (/\*.*\//u.test(pattern)) {
      report(15, `${at}.paths`, `in ${quote(pattern)} it matters whether * crosses "/": it does in tough only`, 'warning');
    }
  }
}

/** True when a delegation by `paths` covers a target, by the narrowest reading: `*` and `?` stay within a segment. */
export function covers(patterns: readonly string[], path: string): boolean {
  return patterns.some((pattern) => {
    const expression = pattern
      .replaceAll(/[.+^${}()|[\]\\]/gu, String.raw`\$&`)
      .replaceAll('*', '[^/]*')
      .replaceAll('?', '[^/]');
    return new RegExp(`^${expression}$`, 'u').test(path);
  });
}

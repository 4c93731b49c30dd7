/** Rule 14: delegations that every client walks alike. */
import { quote } from '../../errors.ts';
import { show } from '../portable-json.ts';
import { isObject, unknownMembers, type Members, type Report } from './finding.ts';
import { lintKeys, lintRoleKeys } from './keys.ts';
import { lintPatterns } from './patterns.ts';

const ROLE_NAME = /^[A-Za-z][A-Za-z0-9_-]*$/u;
const TOP_ROLES = new Set<unknown>(['root', 'targets', 'snapshot', 'timestamp']);
const ROLE_MEMBERS = ['name', 'keyids', 'threshold', 'terminating', 'paths', 'path_hash_prefixes'];
const HASH_PREFIX = /^[0-9a-f]{1,64}$/u;

export function lintDelegations(role: Members, name: string, report: Report): void {
  const { delegations } = role;
  if (delegations === undefined) return;
  const at = `${name}.delegations`;
  if (!isObject(delegations) || !isObject(delegations['keys']) || !Array.isArray(delegations['roles'])) {
    report(14, at, 'it is not complete; expected keys and roles, or no delegations at all: tough refuses succinct_roles and null');
    return;
  }
  lintMembers(delegations, ['keys', 'roles'], at, report);
  lintKeys(delegations['keys'], `${at}.keys`, report);
  const names = new Set<unknown>();
  delegations['roles'].forEach((entry: unknown, index) => {
    const here = `${at}.roles[${index}]`;
    if (!isObject(entry)) {
      report(14, here, `it is ${show(entry)}; expected an object: every client refuses the role`);
      return;
    }
    lintDelegatedRole(entry, delegations['keys'], here, report);
    if (names.has(entry['name'])) report(14, here, `the role ${show(entry['name'])} is delegated twice: tough and tuf-js refuse that`);
    names.add(entry['name']);
  });
  // Once, whatever the number of bins.
  const bins = delegations['roles'].filter((entry: unknown) => isObject(entry) && entry['path_hash_prefixes'] !== undefined).length;
  if (bins > 0) {
    const which = bins === 1 ? 'one role has' : `${bins} roles have`;
    report(
      14,
      `${at}.roles`,
      `${which} hash prefixes, behind which go-tuf finds nothing; delegation by paths serves every client`,
      'warning',
    );
  }
}

function lintDelegatedRole(role: Members, keys: unknown, at: string, report: Report): void {
  lintMembers(role, ROLE_MEMBERS, at, report);
  lintName(role['name'], at, report);
  const { terminating, paths, path_hash_prefixes: prefixes } = role;
  if (typeof terminating !== 'boolean')
    report(14, `${at}.terminating`, `it is ${show(terminating)}; expected true or false: clients refuse the role without it`);
  if ((paths === undefined) === (prefixes === undefined)) {
    report(14, at, 'it has both paths and path_hash_prefixes, or neither; expected one: tough, tuf-js and python-tuf refuse both');
  }
  lintRoleKeys(role, keys, at, report);
  if (paths !== undefined) lintPatterns(paths, `${at}.paths`, report);
  if (prefixes !== undefined) lintPrefixes(prefixes, `${at}.path_hash_prefixes`, report);
}

function lintName(name: unknown, at: string, report: Report): void {
  if (typeof name !== 'string' || !ROLE_NAME.test(name)) {
    report(14, `${at}.name`, `it is ${show(name)}; expected letters, digits, _ and -, a letter first: tuf-js fails on a number`);
  } else if (TOP_ROLES.has(name)) {
    report(14, `${at}.name`, `it is ${show(name)}; expected another name: clients would take the top role's file for it`);
  }
}

function lintPrefixes(prefixes: unknown, at: string, report: Report): void {
  if (!Array.isArray(prefixes) || !prefixes.every((prefix) => typeof prefix === 'string' && HASH_PREFIX.test(prefix))) {
    report(14, at, 'it is not a list of lowercase hexadecimal prefixes: no client finds targets behind others');
  }
}

function lintMembers(value: Members, known: readonly string[], at: string, report: Report): void {
  const unknown = unknownMembers(value, known);
  if (unknown.length === 0) return;
  report(14, at, `it has ${unknown.map(quote).join(', ')}: tough drops or refuses that, and the signature fails there`);
}

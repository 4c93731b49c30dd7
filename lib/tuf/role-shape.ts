/** The shapes of the four top roles, checked member by member (TUF 1.0.34 §4.3 to §4.6). */
import { GantryError, quote } from '../errors.ts';
import { parseTufDate } from './date.ts';
import { isSha256Hex } from './hash.ts';
import { parseKeyId, parsePublicKey } from './key.ts';
import { show } from './portable-json.ts';
import type { RoleByName, TopRoleName } from './types.ts';

type Members = Readonly<Record<string, unknown>>;
const TOP_ROLES: readonly TopRoleName[] = ['root', 'targets', 'snapshot', 'timestamp'];
const SPEC_VERSION = /^1\.\d+(\.\d+)?$/u;

/** @throws GantryError `tuf/malformed`, `tuf/key-unsupported` */
export function parseRole<N extends TopRoleName>(value: Members, name: N): RoleByName[N] {
  if (value['_type'] !== name) throw malformed(`${name}._type`, `it is ${show(value['_type'])}; expected ${quote(name)}`);
  const spec = value['spec_version'];
  if (typeof spec !== 'string' || !SPEC_VERSION.test(spec)) {
    throw malformed(`${name}.spec_version`, `it is ${show(spec)}; expected a version 1`);
  }
  positive(value['version'], `${name}.version`);
  parseTufDate(value['expires'], `${name}.expires`);
  checks[name](value);
  // Every member that the type names has been checked.
  return value as unknown as RoleByName[N];
}

const checks: Readonly<Record<TopRoleName, (value: Members) => void>> = {
  root: checkRoot,
  targets: checkTargets,
  snapshot: (value) => checkMeta(value, 'snapshot', 'targets.json'),
  timestamp: (value) => checkMeta(value, 'timestamp', 'snapshot.json'),
};

function checkRoot(value: Members): void {
  if (typeof value['consistent_snapshot'] !== 'boolean') throw malformed('root.consistent_snapshot', 'it is not true or false');
  checkKeys(value['keys'], 'root.keys');
  const roles = object(value['roles'], 'root.roles');
  for (const role of TOP_ROLES) checkRoleKeys(roles[role], `root.roles.${role}`);
}

function checkKeys(value: unknown, at: string): void {
  for (const [keyId, key] of Object.entries(object(value, at))) {
    parseKeyId(keyId, `${at}[${quote(keyId)}]`);
    parsePublicKey(key, `${at}[${quote(keyId)}]`);
  }
}

function checkRoleKeys(value: unknown, at: string): void {
  const role = object(value, at);
  array(role['keyids'], `${at}.keyids`).forEach((keyId, index) => parseKeyId(keyId, `${at}.keyids[${index}]`));
  positive(role['threshold'], `${at}.threshold`);
}

function checkMeta(value: Members, name: string, required: string): void {
  const meta = object(value['meta'], `${name}.meta`);
  if (meta[required] === undefined) throw malformed(`${name}.meta`, `it does not name ${required}`);
  for (const [file, entry] of Object.entries(meta)) {
    const at = `${name}.meta[${quote(file)}]`;
    const members = object(entry, at);
    positive(members['version'], `${at}.version`);
    if (members['length'] !== undefined) count(members['length'], `${at}.length`);
    if (members['hashes'] !== undefined) checkHashes(members['hashes'], `${at}.hashes`);
  }
}

function checkTargets(value: Members): void {
  for (const [path, entry] of Object.entries(object(value['targets'], 'targets.targets'))) {
    const target = object(entry, 'targets.targets', path);
    if (!isCount(target['length'])) throw malformed(`targets.targets[${quote(path)}].length`, 'it is not a number of bytes');
    checkHashes(target['hashes'], 'targets.targets', path);
    if (target['custom'] !== undefined) object(target['custom'], 'targets.targets', path);
  }
  if (value['delegations'] !== undefined) checkDelegations(object(value['delegations'], 'targets.delegations'));
}

function checkDelegations(delegations: Members): void {
  checkKeys(delegations['keys'], 'targets.delegations.keys');
  array(delegations['roles'], 'targets.delegations.roles').forEach((entry, index) => {
    const at = `targets.delegations.roles[${index}]`;
    const role = object(entry, at);
    checkRoleKeys(role, at);
    if (typeof role['name'] !== 'string') throw malformed(`${at}.name`, 'it is not text');
    if (typeof role['terminating'] !== 'boolean') throw malformed(`${at}.terminating`, 'it is not true or false');
    for (const member of ['paths', 'path_hash_prefixes']) {
      if (role[member] === undefined) continue;
      array(role[member], `${at}.${member}`).forEach((pattern) => {
        if (typeof pattern !== 'string') throw malformed(`${at}.${member}`, 'it is not a list of texts');
      });
    }
  });
}

function checkHashes(value: unknown, at: string, path?: string): void {
  if (isSha256Hex(object(value, at, path)['sha256'])) return;
  throw malformed(path === undefined ? at : `${at}[${quote(path)}].hashes`, 'it has no sha256 of 64 lowercase hexadecimal digits');
}

function object(value: unknown, at: string, member?: string): Members {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Members;
  throw malformed(member === undefined ? at : `${at}[${quote(member)}]`, 'it is not an object');
}

function array(value: unknown, at: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw malformed(at, 'it is not an array');
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function count(value: unknown, at: string): void {
  if (!isCount(value)) throw malformed(at, `it is ${show(value)}; expected a whole number of at most 2^53-1`);
}

function positive(value: unknown, at: string): void {
  if (!isCount(value) || value === 0) throw malformed(at, `it is ${show(value)}; expected a whole number from 1 to 2^53-1`);
}

function malformed(at: string, problem: string): GantryError {
  return new GantryError('tuf/malformed', `Cannot read metadata: ${at}: ${problem}`, { what: 'role', at });
}

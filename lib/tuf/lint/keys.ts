/** Rules 6, 7 and 9: public keys, their ids, and who may sign. */
import { GantryError, quote } from '../../errors.ts';
import { exampleKeyIds } from '../example-keys.ts';
import { keyIdOf, parsePublicKey } from '../key.ts';
import type { PublicKey } from '../types.ts';
import { isObject, member, membersOf, unknownMembers, type Report } from './finding.ts';

export function lintKeys(keys: unknown, at: string, report: Report): void {
  const seen = new Map<string, string>();
  for (const [keyId, value] of membersOf(keys)) {
    const here = member(at, keyId);
    const key = readKey(value, here, report);
    if (key === undefined) continue;
    const extra = [...unknownMembers({ ...key }, ['keytype', 'scheme', 'keyval']), ...unknownMembers({ ...key.keyval }, ['public'])];
    if (extra.length > 0)
      report(6, here, `it has the extra members ${extra.map(quote).join(', ')}; expected keytype, scheme and keyval only`, 'warning');
    const computed = keyIdOf(key);
    if (computed !== keyId) report(7, here, `its id should be ${computed}: tough refuses the whole file otherwise`);
    if (exampleKeyIds.has(computed)) report(6, here, 'it is one of the example keys, whose private half everybody has', 'warning');
    const twin = seen.get(key.keyval.public);
    if (twin !== undefined) report(9, here, `it is the same key as ${quote(twin)}: python-tuf counts it twice, go-tuf once`);
    seen.set(key.keyval.public, keyId);
  }
}

function readKey(value: unknown, at: string, report: Report): PublicKey | undefined {
  try {
    return parsePublicKey(value, at);
  } catch (error) {
    if (!(error instanceof GantryError)) throw error;
    report(6, at, `${error.message}: tough refuses the whole file, used or not`);
    return undefined;
  }
}

/** @param keys what the ids must be found in */
export function lintRoleKeys(role: unknown, keys: unknown, at: string, report: Report): void {
  if (!isObject(role) || !Array.isArray(role['keyids'])) {
    report(9, at, 'it has no list of key ids');
    return;
  }
  const keyIds: readonly unknown[] = role['keyids'];
  const distinct = new Set(keyIds);
  if (distinct.size < keyIds.length) report(9, `${at}.keyids`, 'a key id is there twice: tuf-js and python-tuf refuse that');
  for (const keyId of distinct) {
    if (typeof keyId !== 'string' || !isObject(keys) || !Object.hasOwn(keys, keyId)) {
      report(9, `${at}.keyids`, `${quote(String(keyId))} is not in keys: go-tuf refuses the file`);
    }
  }
  const { threshold } = role;
  if (typeof threshold !== 'number' || !Number.isSafeInteger(threshold) || threshold < 1 || threshold > distinct.size) {
    report(9, `${at}.threshold`, `it is ${quote(String(threshold))}; expected 1 to ${distinct.size}, the number of its keys`);
  }
}

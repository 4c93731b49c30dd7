/** Rules 6, 7 and 9: public keys, their ids, and who may sign. */
import { GantryError, quote } from '../../errors.ts';
import { exampleKeyIds } from '../example-keys.ts';
import { keyContentOf, keyIdOf, keyObjectOf, parsePublicKey, publicKeyFromKeyObject } from '../key.ts';
import { show } from '../portable-json.ts';
import type { PublicKey } from '../types.ts';
import { isObject, member, membersOf, unknownMembers, type Report } from './finding.ts';

export function lintKeys(keys: unknown, at: string, report: Report): void {
  if (!isObject(keys)) report(6, at, `it is ${show(keys)}; expected an object of public keys: no client reads the role`);
  const ids = new Map<string, string>();
  for (const [keyId, value] of membersOf(keys)) {
    const here = member(at, keyId);
    const key = accepted(() => parsePublicKey(value, here), here, report);
    if (key === undefined) continue;
    lintForm(key, here, report);
    lintKeyId(key, keyId, here, report);
    const content = keyContentOf(key);
    const twin = ids.get(content);
    if (twin !== undefined) report(9, here, `it is the same key as ${quote(twin)}: python-tuf counts it twice, go-tuf once`);
    ids.set(content, keyId);
  }
}

function lintForm(key: PublicKey, at: string, report: Report): void {
  const extra = [...unknownMembers({ ...key }, ['keytype', 'scheme', 'keyval']), ...unknownMembers({ ...key.keyval }, ['public'])];
  if (extra.length > 0) {
    report(
      6,
      at,
      `it has the extra members ${extra.map(quote).join(', ')}; expected keytype, scheme and keyval only: clients hash all of it into the key id`,
      'warning',
    );
  }
  const usual = publicKeyFromKeyObject(keyObjectOf(key)).keyval.public;
  if (withoutBlanks(usual) !== withoutBlanks(key.keyval.public)) {
    report(6, `${at}.keyval.public`, 'its SPKI is not in the usual form (ECDSA: an uncompressed point): tough cannot verify with it');
  }
}

function lintKeyId(key: PublicKey, keyId: string, at: string, report: Report): void {
  const computed = accepted(() => keyIdOf(key), at, report);
  if (computed === undefined) return;
  if (computed !== keyId) report(7, at, `its id should be ${computed}: tough refuses the whole file otherwise`);
  if (exampleKeyIds.has(computed))
    report(6, at, 'it is one of the example keys, whose private half everybody has: any host can be fooled', 'warning');
}

/** What a step gives, or undefined when the key is refused: then nothing else can be said of it. */
function accepted<T>(step: () => T, at: string, report: Report): T | undefined {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof GantryError)) throw error;
    report(6, at, `${error.message}; tough refuses the whole file, whether the key is used or not`);
    return undefined;
  }
}

function withoutBlanks(text: string): string {
  return text.replaceAll(/\s/gu, '');
}

/** @param keys what the ids must be found in */
export function lintRoleKeys(role: unknown, keys: unknown, at: string, report: Report): void {
  if (!isObject(role) || !Array.isArray(role['keyids'])) {
    report(9, at, 'it has no list of key ids: every client refuses the file');
    return;
  }
  const keyIds: readonly unknown[] = role['keyids'];
  const distinct = new Set(keyIds);
  if (distinct.size < keyIds.length) report(9, `${at}.keyids`, 'a key id is there twice: tuf-js and python-tuf refuse that');
  for (const keyId of distinct) {
    if (typeof keyId !== 'string' || !isObject(keys) || !Object.hasOwn(keys, keyId)) {
      report(9, `${at}.keyids`, `${show(keyId)} is not in keys: go-tuf refuses the file`);
    }
  }
  const { threshold } = role;
  if (typeof threshold !== 'number' || !Number.isSafeInteger(threshold) || threshold < 1 || threshold > distinct.size) {
    report(
      9,
      `${at}.threshold`,
      `it is ${show(threshold)}; expected 1 to ${distinct.size}, the number of its keys: no client accepts the role otherwise`,
    );
  }
}

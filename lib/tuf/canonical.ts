/**
 * OLPC canonical JSON, the bytes that are signed.
 *
 * The four canonicalisers of the field agree only on a part of JSON (tuf-interop §3.1). What lies outside it is refused here, so
 * that no client computes other bytes than we did.
 */
import { canonicalize } from '@tufjs/canonical-json';
import { GantryError } from '../errors.ts';

/** UTF-8. @throws GantryError `tuf/malformed` for floats, unsafe integers, `undefined` and objects that are not plain */
export function canonicalBytes(value: unknown): Uint8Array {
  refuseAmbiguous(value, 'value');
  return Buffer.from(canonicalize(value), 'utf8');
}

function refuseAmbiguous(value: unknown, at: string): void {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return;
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return;
    throw ambiguous(at, `the number ${value}`, 'an integer of at most 2^53-1');
  }
  if (Array.isArray(value)) {
    value.forEach((item, index) => refuseAmbiguous(item, `${at}[${index}]`));
    return;
  }
  if (typeof value === 'object' && isPlain(value)) {
    for (const [member, item] of Object.entries(value)) refuseAmbiguous(item, `${at}.${member}`);
    return;
  }
  throw ambiguous(at, typeof value, 'JSON');
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function ambiguous(at: string, is: string, expected: string): GantryError {
  return new GantryError('tuf/malformed', `Cannot canonicalise ${at}: it is ${is}; expected ${expected}`, { what: 'value', at });
}

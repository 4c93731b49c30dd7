/** What all descriptions of roles are made of. */
import { canonicalBytesAsRead } from '../tuf/canonical.ts';
import type { KeyId, Role } from '../tuf/types.ts';

export interface Meaning {
  /** Each without a subject and without a full stop: `adds key root-d to root`. */
  readonly sentences: readonly string[];
  /** Paths of members that differ, and that no sentence tells. */
  readonly unexplained: readonly string[];
}

/** What people call a key. */
export type KeyNames = (keyId: KeyId) => string;

/** Most sentences of one kind that anybody reads; how many more there are is said. */
const MOST = 20;

export function sameValue(a: unknown, b: unknown): boolean {
  if (a === undefined || b === undefined || a === b) return a === b;
  return Buffer.compare(canonicalBytesAsRead(a), canonicalBytesAsRead(b)) === 0;
}

/** Names of members that are in either object, and differ. */
export function differing(a: object, b: object): readonly string[] {
  const [one, other] = [new Map(Object.entries(a)), new Map(Object.entries(b))];
  return [...new Set([...one.keys(), ...other.keys()])].filter((name) => !sameValue(one.get(name), other.get(name)));
}

/** The members of a role that differ from its predecessor's, except those that are told; of a first one those that are not usual. */
export function unexplainedMembers(next: Role, base: Role | undefined, told: readonly string[], usual: object): readonly string[] {
  const known = new Set([...told, '_type', 'version', 'expires']);
  const before: object = base ?? usual;
  // What is told may be long: it is not compared here.
  const rest = (role: object): object => Object.fromEntries(Object.entries(role).filter(([name]) => !known.has(name)));
  return differing(rest(before), rest(next)).map((name) => `${next._type}.${name}`);
}

/** `valid until 2027-01-01T00:00:00Z, was 2026-12-01T00:00:00Z` */
export function expiryMeaning(next: Role, base: Role | undefined): string {
  if (base === undefined) return `is valid until ${next.expires}`;
  return next.expires === base.expires ? `stays valid until ${next.expires}` : `is valid until ${next.expires}, was ${base.expires}`;
}

/** At most twenty, and how many there are besides. */
export function shorten(sentences: readonly string[]): readonly string[] {
  const more = sentences.length - MOST;
  return more <= 0 ? sentences : [...sentences.slice(0, MOST), `and ${more} more of this kind`];
}

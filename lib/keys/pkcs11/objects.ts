/**
 * The keys in a token: private objects, with the public object or certificate that belongs to each.
 *
 * Rules:
 * - halves belong together by `CKA_ID`, or by label where there is no id; a key goes by the labels of both, because tools show either;
 * - before a login most tokens show public objects only, so a key without a private half may still have one.
 */
import type { PublicKey } from '../../tuf/types.ts';
import { CKA, CKK, CKO } from './constants.ts';
import { resultOf } from './failures.ts';
import type { Cryptoki } from './library.ts';
import { publicKeyFrom, publicKeyInCertificate, type ReadKey } from './public-key.ts';

type Handle = Buffer;

export interface FoundKey {
  /** The private object, where it is visible. */
  readonly handle?: Handle;
  readonly label: string;
  /** Of all its objects. */
  readonly labels: readonly string[];
  /** `CKA_ID`, lowercase hexadecimal; empty when it has none. */
  readonly id: string;
  readonly keytype: PublicKey['keytype'] | undefined;
  /** Undefined when the token does not tell its public half. */
  readonly read: ReadKey | undefined;
  /** Undefined when the private object is not visible. */
  readonly maySign?: boolean;
  /** The token wants its PIN with every signature of this key. */
  readonly alwaysAuthenticate: boolean;
}

interface Found {
  readonly handle: Handle;
  readonly label: string;
  readonly id: string;
  readonly keyType: number | undefined;
}

const AT_ONCE = 64;
const KEYTYPES: ReadonlyMap<number | undefined, PublicKey['keytype']> = new Map([
  [CKK.rsa, 'rsa'],
  [CKK.ec, 'ecdsa'],
  [CKK.ecEdwards, 'ed25519'],
]);

/** One session of a token. */
export interface TokenSession {
  readonly cryptoki: Cryptoki;
  readonly session: Handle;
}

/** @param only `CKA_ID` of those that are looked for */
export function keysIn(token: TokenSession, only?: string): readonly FoundKey[] {
  const privates = objectsIn(token, CKO.privateKey, only);
  const publics = objectsIn(token, CKO.publicKey, only);
  const certificates = objectsIn(token, CKO.certificate, only);
  const pairs = privates.map((one) => ({
    one,
    half: publics.find((other) => other.keyType === one.keyType && belong(one, other)),
    certificate: certificates.find((other) => belong(one, other)),
  }));
  const paired = new Set(pairs.flatMap(({ half }) => half ?? []));
  return [
    ...pairs.map(({ one, half, certificate }) => whole(token, one, half, certificate)),
    ...publics.filter((half) => !paired.has(half)).map((half) => publicOnly(token, half)),
  ];
}

function belong(one: Found, other: Found): boolean {
  return one.id === other.id && (one.id !== '' || (one.label !== '' && one.label === other.label));
}

function whole(token: TokenSession, one: Found, half: Found | undefined, certificate: Found | undefined): FoundKey {
  const { handle, label, id, keyType } = one;
  return {
    handle,
    label,
    labels: [...new Set([one, half, certificate].flatMap((object) => object?.label ?? []))],
    id,
    keytype: KEYTYPES.get(keyType),
    read: (half === undefined ? undefined : readKey(token, half)) ?? readKey(token, one) ?? readCertificate(token, certificate),
    maySign: flag(token, handle, CKA.sign) !== false,
    alwaysAuthenticate: flag(token, handle, CKA.alwaysAuthenticate) === true,
  };
}

function publicOnly(token: TokenSession, half: Found): FoundKey {
  const { label, id, keyType } = half;
  return { label, labels: [label], id, keytype: KEYTYPES.get(keyType), read: readKey(token, half), alwaysAuthenticate: false };
}

function readKey(token: TokenSession, { handle, keyType }: Found): ReadKey | undefined {
  return publicKeyFrom({
    keyType,
    ecParams: attribute(token, handle, CKA.ecParams),
    ecPoint: attribute(token, handle, CKA.ecPoint),
    modulus: attribute(token, handle, CKA.modulus),
    publicExponent: attribute(token, handle, CKA.publicExponent),
  });
}

function readCertificate(token: TokenSession, certificate: Found | undefined): ReadKey | undefined {
  const der = certificate === undefined ? undefined : attribute(token, certificate.handle, CKA.value);
  return der === undefined ? undefined : publicKeyInCertificate(der);
}

function objectsIn(token: TokenSession, kind: number, only: string | undefined): readonly Found[] {
  const wanted = only === undefined ? [] : [{ type: CKA.id, value: Buffer.from(only, 'hex') }];
  return handlesOf(token, [{ type: CKA.class, value: kind }, ...wanted]).map((handle) => ({
    handle,
    label: attribute(token, handle, CKA.label)?.toString('utf8') ?? '',
    id: attribute(token, handle, CKA.id)?.toString('hex') ?? '',
    keyType: number(attribute(token, handle, CKA.keyType)),
  }));
}

function handlesOf({ cryptoki, session }: TokenSession, template: Parameters<Cryptoki['C_FindObjectsInit']>[1]): readonly Handle[] {
  cryptoki.C_FindObjectsInit(session, template);
  try {
    const found: Handle[] = [];
    for (;;) {
      const more = cryptoki.C_FindObjects(session, AT_ONCE);
      if (more.length === 0) return found;
      found.push(...more);
    }
  } finally {
    cryptoki.C_FindObjectsFinal(session);
  }
}

/** Undefined when the object has no such attribute; one at a time, because one that is missing spoils the answer for all. */
function attribute({ cryptoki, session }: TokenSession, handle: Handle, type: number): Buffer | undefined {
  try {
    return cryptoki.C_GetAttributeValue(session, handle, [{ type }])[0]?.value;
  } catch (error) {
    if (resultOf(error)?.name.startsWith('CKR_ATTRIBUTE_') === true) return undefined;
    throw error;
  }
}

function flag(token: TokenSession, handle: Handle, type: number): boolean | undefined {
  const value = attribute(token, handle, type);
  return value === undefined || value.length === 0 ? undefined : value[0] !== 0;
}

/** A number in the machine's own byte order, which is little-endian wherever Node runs tokens. */
function number(value: Buffer | undefined): number | undefined {
  return value === undefined || value.length < 4 ? undefined : value.readUInt32LE();
}

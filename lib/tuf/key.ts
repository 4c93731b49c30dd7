/**
 * Public keys and their ids.
 *
 * Rules (tuf-interop §0, 6 and 7):
 * - ed25519, ECDSA P-256 and RSA of 2048 to 8192 bits, each with its one scheme; everything else is refused;
 * - a key id is the SHA-256 of the canonical form of the whole key object as published, unknown members included;
 * - two key objects are the same key when their numbers are, however they are written.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { GantryError, quote } from '../errors.ts';
import { canonicalBytesAsRead } from './canonical.ts';
import { isSha256Hex, sha256Hex } from './hash.ts';
import { show } from './portable-json.ts';
import type { KeyId, PublicKey } from './types.ts';

const SCHEMES = { ed25519: 'ed25519', ecdsa: 'ecdsa-sha2-nistp256', rsa: 'rsassa-pss-sha256' } as const;
const ED25519_HEX = /^[0-9a-f]{64}$/u;
/** The DER in front of the 32 bytes of an ed25519 public key (RFC 8410). */
const ED25519_SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const RSA_BITS = { min: 2048, max: 8192 };
/** One SPKI block and nothing beside it, least of all a private key. */
const MAX_PEM_LENGTH = 4096;
const SPKI_PEM = /^\s*-----BEGIN PUBLIC KEY-----[\sA-Za-z0-9+/=]+-----END PUBLIC KEY-----\s*$/u;

/** @throws GantryError `tuf/malformed` when an unknown member has no canonical form */
export function keyIdOf(key: PublicKey): KeyId {
  // A digest has the grammar of a key id.
  return sha256Hex(canonicalBytesAsRead(key)) as string as KeyId;
}

/** Equal for two key objects that hold the same key, whatever their PEM and their unknown members look like. */
export function keyContentOf(key: PublicKey): string {
  return JSON.stringify(keyObjectOf(key).export({ format: 'jwk' }));
}

/** @throws GantryError `tuf/malformed` */
export function parseKeyId(text: unknown, at = 'keyid'): KeyId {
  if (isSha256Hex(text)) return text as string as KeyId;
  throw new GantryError('tuf/malformed', `Cannot read ${at}: it is ${show(text)}; expected 64 lowercase hexadecimal digits`, {
    what: 'key id',
    at,
  });
}

/**
 * A key object out of metadata; unknown members stay in it, because the key id covers them.
 *
 * @throws GantryError `tuf/key-unsupported`, `tuf/malformed`
 */
export function parsePublicKey(value: unknown, at: string): PublicKey {
  if (typeof value !== 'object' || value === null) throw malformed(at, 'it is not an object');
  const { keytype, scheme, keyval } = value as { keytype?: unknown; scheme?: unknown; keyval?: unknown };
  if (typeof keytype !== 'string' || typeof scheme !== 'string') throw malformed(at, 'keytype or scheme is not text');
  if (!Object.hasOwn(SCHEMES, keytype) || SCHEMES[keytype as keyof typeof SCHEMES] !== scheme) throw unsupported(keytype, scheme, at);
  const material = typeof keyval === 'object' && keyval !== null ? (keyval as { public?: unknown }).public : undefined;
  if (typeof material !== 'string') throw malformed(`${at}.keyval.public`, 'it is not text');
  // Every member that the type names has been checked.
  const key = value as PublicKey;
  keyObjectOf(key, at);
  return key;
}

/** @throws GantryError `tuf/key-unsupported` */
export function publicKeyFromKeyObject(key: KeyObject): PublicKey {
  const half = key.type === 'private' ? createPublicKey(key) : key;
  refuseWeak(half, 'key');
  const keytype = keytypeOf(half, 'key');
  if (keytype === 'ed25519') {
    const der = half.export({ format: 'der', type: 'spki' });
    return { keytype, scheme: SCHEMES[keytype], keyval: { public: der.subarray(ED25519_SPKI_PREFIX.length).toString('hex') } };
  }
  // Through its numbers, because tough reads ECDSA points in the uncompressed form only.
  const usual = createPublicKey({ key: half.export({ format: 'jwk' }), format: 'jwk' });
  return { keytype, scheme: SCHEMES[keytype], keyval: { public: usual.export({ format: 'pem', type: 'spki' }) } };
}

/** @param pem SPKI, `BEGIN PUBLIC KEY`; @throws GantryError `tuf/malformed`, `tuf/key-unsupported` */
export function publicKeyFromPem(pem: string): PublicKey {
  if (!isSpkiPem(pem)) throw malformed('public key', 'it is not one block of SPKI PEM (BEGIN PUBLIC KEY)');
  try {
    return publicKeyFromKeyObject(createPublicKey({ key: pem, format: 'pem', type: 'spki' }));
  } catch (cause) {
    if (cause instanceof GantryError) throw cause;
    throw malformed('public key', 'its PEM does not hold a key', cause);
  }
}

/** SPKI PEM, whatever form the metadata has. */
export function publicKeyToPem(key: PublicKey): string {
  return keyObjectOf(key).export({ format: 'pem', type: 'spki' });
}

/** @throws GantryError `tuf/malformed`, `tuf/key-unsupported` */
export function keyObjectOf(key: PublicKey, at = 'key'): KeyObject {
  const { public: material } = key.keyval;
  if (key.keytype === 'ed25519') {
    if (!ED25519_HEX.test(material)) throw malformed(`${at}.keyval.public`, 'it is not 64 lowercase hexadecimal digits');
    const der = Buffer.concat([ED25519_SPKI_PREFIX, Buffer.from(material, 'hex')]);
    return createPublicKey({ key: der, format: 'der', type: 'spki' });
  }
  if (!isSpkiPem(material)) throw malformed(`${at}.keyval.public`, 'it is not one block of SPKI PEM (BEGIN PUBLIC KEY)');
  let object: KeyObject;
  try {
    object = createPublicKey({ key: material, format: 'pem', type: 'spki' });
  } catch (cause) {
    throw malformed(`${at}.keyval.public`, 'its PEM does not hold a key', cause);
  }
  if (keytypeOf(object, at) !== key.keytype) throw unsupported(object.asymmetricKeyType ?? 'unknown', key.scheme, at);
  refuseWeak(object, at);
  return object;
}

function isSpkiPem(text: string): boolean {
  return text.length <= MAX_PEM_LENGTH && SPKI_PEM.test(text);
}

function keytypeOf(key: KeyObject, at: string): PublicKey['keytype'] {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'ed25519' || type === 'rsa') return type;
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return 'ecdsa';
  throw unsupported(type === 'ec' ? `ec ${details?.namedCurve ?? ''}`.trim() : (type ?? 'secret'), 'any', at);
}

function refuseWeak(key: KeyObject, at: string): void {
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (bits === undefined || (bits >= RSA_BITS.min && bits <= RSA_BITS.max)) return;
  throw unsupported(`rsa of ${bits} bits`, SCHEMES.rsa, at);
}

function unsupported(keytype: string, scheme: string, at: string): GantryError {
  return new GantryError(
    'tuf/key-unsupported',
    `Cannot use ${at}: it is ${quote(keytype)} with scheme ${quote(scheme)}; ` +
      'expected ed25519, ECDSA P-256 (ecdsa-sha2-nistp256) or RSA of 2048 to 8192 bits (rsassa-pss-sha256)',
    { keytype, scheme },
  );
}

function malformed(at: string, problem: string, cause?: unknown): GantryError {
  return new GantryError(
    'tuf/malformed',
    `Cannot read ${at}: ${problem}; expected a TUF public key`,
    { what: 'public key', at },
    { cause },
  );
}

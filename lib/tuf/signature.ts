/**
 * Signatures and thresholds.
 *
 * Rules (TUF 1.0.34 §4.2.1, §5): a threshold counts distinct keys, so neither a repeated key id nor one key under two ids
 * counts twice; what is not a well-formed signature does not count and never throws.
 */
import { constants, verify } from 'node:crypto';
import { GantryError } from '../errors.ts';
import { keyContentOf, keyObjectOf } from './key.ts';
import { payloadAsRead } from './payload.ts';
import type { Envelope, KeyId, PublicKey, RoleKeys, Signature } from './types.ts';

type Keys = Readonly<Record<string, PublicKey>>;

const HEX = /^[0-9a-fA-F]*$/u;
const ED25519_SIGNATURE_BYTES = 64;
/** RSA of 8192 bits. */
const MAX_SIGNATURE_BYTES = 1024;
/** tough refuses any other (tuf-interop rule 8). */
const RSA_SALT_BYTES = 32;

/** The bytes of a signature, or undefined when it is not hexadecimal text of a sensible length. */
export function signatureBytes({ sig }: Signature): Uint8Array | undefined {
  const { length } = sig;
  if (length === 0 || length % 2 === 1 || length > 2 * MAX_SIGNATURE_BYTES || !HEX.test(sig)) return undefined;
  return Buffer.from(sig, 'hex');
}

export function verifySignature(key: PublicKey, signature: Signature, payload: Uint8Array): boolean {
  const sig = signatureBytes(signature);
  if (sig === undefined) return false;
  try {
    const object = keyObjectOf(key);
    switch (key.keytype) {
      case 'ed25519':
        return sig.length === ED25519_SIGNATURE_BYTES && verify(null, payload, object, sig);
      case 'ecdsa':
        return verify('sha256', payload, { key: object, dsaEncoding: 'der' }, sig);
      case 'rsa':
        // OpenSSL takes a signature without its leading zero bytes, too. MGF1 takes the hash of the signature when nothing else is said.
        return (
          sig.length * 8 === object.asymmetricKeyDetails?.modulusLength &&
          verify('sha256', payload, { key: object, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: RSA_SALT_BYTES }, sig)
        );
    }
  } catch {
    return false;
  }
}

/**
 * The keys of a role whose signatures count, each once.
 *
 * @throws GantryError `tuf/malformed` when the role has no canonical form
 */
export function validSigners(envelope: Envelope, keys: Keys, roleKeys: RoleKeys): readonly KeyId[] {
  const payload = payloadAsRead(envelope.signed);
  const listed = new Set(roleKeys.keyids);
  const counted = new Map<string, KeyId>();
  for (const signature of envelope.signatures) {
    const key = listed.has(signature.keyid) ? keys[signature.keyid] : undefined;
    if (key === undefined || !verifySignature(key, signature, payload)) continue;
    const content = keyContentOf(key);
    if (!counted.has(content)) counted.set(content, signature.keyid);
  }
  return [...counted.values()];
}

/** @throws GantryError `tuf/threshold`, `tuf/malformed` when the role has no canonical form */
export function verifyThreshold(envelope: Envelope, keys: Keys, roleKeys: RoleKeys, roleName: string): void {
  const valid = validSigners(envelope, keys, roleKeys);
  if (valid.length >= roleKeys.threshold) return;
  const { version } = envelope.signed;
  const reasons = [`${valid.length} of ${roleKeys.threshold} needed signatures are valid`, ...explainRest(envelope, keys, roleKeys, valid)];
  throw new GantryError('tuf/threshold', `Cannot accept ${roleName} version ${version}: ${reasons.join('; ')}`, {
    role: roleName,
    version,
    valid,
    threshold: roleKeys.threshold,
  });
}

/** Why the signatures that are there did not count, one phrase for each reason. */
function explainRest(envelope: Envelope, keys: Keys, roleKeys: RoleKeys, valid: readonly KeyId[]): readonly string[] {
  const counted = new Set(valid);
  const listed = new Set(roleKeys.keyids);
  const contents = new Set(valid.flatMap((keyId) => (keys[keyId] === undefined ? [] : [keyContentOf(keys[keyId])])));
  const unlisted: KeyId[] = [];
  const absent: KeyId[] = [];
  const twins: KeyId[] = [];
  const invalid: KeyId[] = [];
  for (const keyId of new Set(envelope.signatures.map(({ keyid }) => keyid))) {
    if (counted.has(keyId)) continue;
    const key = keys[keyId];
    if (!listed.has(keyId)) unlisted.push(keyId);
    else if (key === undefined) absent.push(keyId);
    else (contents.has(keyContentOf(key)) ? twins : invalid).push(keyId);
  }
  return [
    ...explain(unlisted, (names, are) => `signed by ${names}, which ${are} not (or no longer) listed for this role`),
    ...explain(absent, (names, are) => `signed by ${names}, which ${are} listed for this role, but not in keys`),
    ...explain(twins, (names, are) => `signed by ${names}, which ${are} the same as a key that counted already`),
    ...explain(invalid, (names) => `the signature by ${names} does not verify`),
  ];
}

/** How many keys a message names. */
const NAMED_KEYS = 3;

function explain(keyIds: readonly KeyId[], phrase: (names: string, are: 'is' | 'are') => string): readonly string[] {
  if (keyIds.length === 0) return [];
  const names = keyIds.slice(0, NAMED_KEYS).map((keyId) => `${keyId.slice(0, 12)}…`);
  const more = keyIds.length > NAMED_KEYS ? ` and ${keyIds.length - NAMED_KEYS} more` : '';
  return [phrase(`${keyIds.length === 1 ? 'key' : 'keys'} ${names.join(', ')}${more}`, keyIds.length === 1 ? 'is' : 'are')];
}

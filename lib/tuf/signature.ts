/**
 * Signatures and thresholds.
 *
 * Rules (TUF 1.0.34 §4.2.1, §5): a threshold counts distinct keys, so neither a repeated key id nor one key under two ids
 * counts twice; what is not a well-formed signature does not count and never throws.
 */
import { constants, verify } from 'node:crypto';
import { GantryError } from '../errors.ts';
import { keyObjectOf } from './key.ts';
import { signingPayload } from './role.ts';
import type { Envelope, KeyId, PublicKey, RoleKeys, Signature } from './types.ts';

const HEX = /^([0-9a-fA-F]{2})+$/u;
const ED25519_SIGNATURE_BYTES = 64;

export function verifySignature(key: PublicKey, signature: Signature, payload: Uint8Array): boolean {
  if (!HEX.test(signature.sig)) return false;
  const sig = Buffer.from(signature.sig, 'hex');
  try {
    const object = keyObjectOf(key);
    switch (key.keytype) {
      case 'ed25519':
        return sig.length === ED25519_SIGNATURE_BYTES && verify(null, payload, object, sig);
      case 'ecdsa':
        return verify('sha256', payload, { key: object, dsaEncoding: 'der' }, sig);
      case 'rsa':
        // tough refuses any other salt length (tuf-interop rule 8).
        return verify('sha256', payload, { key: object, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }, sig);
    }
  } catch {
    return false;
  }
}

/** The keys of a role whose signatures count, each once. */
export function validSigners(envelope: Envelope, keys: Readonly<Record<string, PublicKey>>, roleKeys: RoleKeys): readonly KeyId[] {
  const payload = signingPayload(envelope.signed);
  const counted = new Map<string, KeyId>();
  for (const signature of envelope.signatures) {
    const key = roleKeys.keyids.includes(signature.keyid) ? keys[signature.keyid] : undefined;
    if (key === undefined || counted.has(key.keyval.public)) continue;
    if (verifySignature(key, signature, payload)) counted.set(key.keyval.public, signature.keyid);
  }
  return [...counted.values()];
}

/** @throws GantryError `tuf/threshold` */
export function verifyThreshold(envelope: Envelope, keys: Readonly<Record<string, PublicKey>>, roleKeys: RoleKeys, roleName: string): void {
  const valid = validSigners(envelope, keys, roleKeys);
  if (valid.length >= roleKeys.threshold) return;
  const { version } = envelope.signed;
  throw new GantryError(
    'tuf/threshold',
    `Cannot accept ${roleName} version ${version}: ${valid.length} of ${roleKeys.threshold} needed signatures ` +
      `${valid.length === 1 ? 'is' : 'are'} valid${explainRest(envelope, roleKeys, valid)}`,
    { role: roleName, version, valid, threshold: roleKeys.threshold },
  );
}

function explainRest(envelope: Envelope, roleKeys: RoleKeys, valid: readonly KeyId[]): string {
  const rest = envelope.signatures.map(({ keyid }) => keyid).filter((keyId) => !valid.includes(keyId));
  const unlisted = rest.filter((keyId) => !roleKeys.keyids.includes(keyId));
  const invalid = rest.filter((keyId) => roleKeys.keyids.includes(keyId));
  const name = (keyIds: readonly KeyId[]): string => [...new Set(keyIds)].map((keyId) => `${keyId.slice(0, 12)}…`).join(', ');
  return (
    (unlisted.length === 0 ? '' : `; signed by ${name(unlisted)}, which is not (or no longer) listed for this role`) +
    (invalid.length === 0 ? '' : `; the signature of ${name(invalid)} does not verify`)
  );
}

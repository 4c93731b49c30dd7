/** Rules 1 and 8: signatures that every client accepts. */
import { constants, verify, type KeyObject } from 'node:crypto';
import { GantryError } from '../../errors.ts';
import { payloadAsRead } from '../payload.ts';
import { keyContentOf, keyObjectOf } from '../key.ts';
import { signatureBytes, verifySignature } from '../signature.ts';
import type { KeyId, PublicKey, RoleKeys, Signature, SignedRole } from '../types.ts';
import type { Report } from './finding.ts';

/** Who must have signed; a root has two: its own keys, and those of the root before it. */
export interface Authority {
  readonly keys: Readonly<Record<KeyId, PublicKey>>;
  readonly roleKeys: RoleKeys;
}

export function lintSignatures(file: SignedRole, name: string, authorities: readonly Authority[], report: Report): void {
  const at = `${name}.signatures`;
  const payload = payloadOf(file, name, report);
  if (payload === undefined) return;
  const seen = new Set<KeyId>();
  const valid = new Map<KeyId, string>();
  let isExplained = false;
  for (const signature of file.signatures) {
    const { keyid } = signature;
    const key = keyOf(keyid, authorities);
    const problem = seen.has(keyid) ? REPEATED : problemOf(signature, key, payload);
    seen.add(keyid);
    if (problem === undefined && key !== undefined) valid.set(keyid, keyContentOf(key));
    if (problem === undefined) continue;
    if (problem.severity === undefined) isExplained = true;
    report(problem.rule, at, `the signature by key ${keyid.slice(0, 12)}… ${problem.message}`, problem.severity);
  }
  // An error on a signature explains a threshold that is not met.
  if (!isExplained) for (const { roleKeys } of authorities) lintThreshold(roleKeys, valid, at, report);
}

function payloadOf(file: SignedRole, name: string, report: Report): Uint8Array | undefined {
  try {
    return payloadAsRead(file.role);
  } catch (error) {
    if (!(error instanceof GantryError)) throw error;
    report(1, name, `it has no canonical form, so no signature of it can be verified: ${error.message}`);
    return undefined;
  }
}

function keyOf(keyId: KeyId, authorities: readonly Authority[]): PublicKey | undefined {
  return authorities.flatMap(({ keys, roleKeys }) => (roleKeys.keyids.includes(keyId) ? (keys[keyId] ?? []) : []))[0];
}

interface Problem {
  readonly rule: 1 | 8;
  readonly message: string;
  readonly severity?: 'warning';
}

const REPEATED: Problem = { rule: 8, message: 'is not its only one: go-tuf, python-tuf and tough refuse that' };

function problemOf(signature: Signature, key: PublicKey | undefined, payload: Uint8Array): Problem | undefined {
  if (signature.sig === '') return { rule: 8, message: 'is empty: no client counts it', severity: 'warning' };
  const sig = signatureBytes(signature);
  if (sig === undefined || signature.sig !== signature.sig.toLowerCase()) {
    return { rule: 8, message: 'is not lowercase hexadecimal: go-tuf refuses the whole file' };
  }
  if (key === undefined) return { rule: 8, message: 'is by a key that is not listed for this role: no client counts it' };
  if (verifySignature(key, signature, payload)) return undefined;
  return (
    otherForm(key, keyObjectOf(key), sig, payload) ?? {
      rule: 1,
      message: 'does not verify over the canonical form of what is published: no client counts it',
    }
  );
}

/** A signature by the right key over the right bytes, in a form that some client refuses. */
function otherForm(key: PublicKey, object: KeyObject, sig: Uint8Array, payload: Uint8Array): Problem | undefined {
  const verifies = (form: object): boolean => verify('sha256', payload, { key: object, ...form }, sig);
  switch (key.keytype) {
    case 'ed25519':
      return sig.length === 64 ? undefined : { rule: 8, message: `has ${sig.length} bytes; expected 64: no client counts it` };
    case 'ecdsa':
      if (!verifies({ dsaEncoding: 'ieee-p1363' })) return undefined;
      return { rule: 8, message: 'is r and s side by side; expected DER: only go-tuf accepts the other' };
    case 'rsa':
      if (verifies({ padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO })) {
        return { rule: 8, message: 'has another salt length than 32: tough refuses it' };
      }
      if (!verifies({ padding: constants.RSA_PKCS1_PADDING })) return undefined;
      return { rule: 8, message: 'is PKCS#1 v1.5; expected PSS with salt length 32, as the scheme of the key says: no client counts it' };
  }
}

function lintThreshold({ keyids, threshold }: RoleKeys, valid: ReadonlyMap<KeyId, string>, at: string, report: Report): void {
  const count = new Set(keyids.flatMap((keyId) => valid.get(keyId) ?? [])).size;
  if (count < threshold) report(8, at, `${count} of ${threshold} needed signatures are there: every client refuses the file`);
}

/**
 * Collecting signatures on an envelope, whoever brings them and whenever they come.
 *
 * Rules:
 * - a signature is verified before it is kept, so a draft never carries one that does not count;
 * - a key signs an envelope once: a second signature replaces the first.
 */
import { GantryError, type MissingSignatures } from '../errors.ts';
import { signingPayload } from '../tuf/payload.ts';
import { validSigners, verifySignature } from '../tuf/signature.ts';
import type { Envelope, KeyId, PublicKey, Role, RoleKeys, Signature } from '../tuf/types.ts';

/** Whose signatures an envelope needs; a new root needs its own keys' and its predecessor's. */
export interface Authority {
  readonly keys: Readonly<Record<KeyId, PublicKey>>;
  readonly roleKeys: RoleKeys;
}

/** One role that waits: what to sign, and who may. */
export interface SigningRequest {
  /** Of a delegated role its own name. */
  readonly role: string;
  readonly version: number;
  /** The canonical bytes that a signer signs. */
  readonly payload: Uint8Array;
  /** Keys that may sign and have not. */
  readonly candidates: readonly KeyId[];
  /** What they are. */
  readonly keys: Readonly<Record<KeyId, PublicKey>>;
  /** One entry for each threshold that is still short; empty when the role is complete. */
  readonly missing: readonly MissingSignatures[];
}

/** What an envelope still lacks under every authority that must accept it. */
export function requestFor(envelope: Envelope, authorities: readonly Authority[], role: string = envelope.signed._type): SigningRequest {
  // First: it is the strictest look, and the others take its bytes.
  const payload = signingPayload(envelope.signed);
  // A signature over other bytes than these is none: its key may sign again.
  const signed = new Set(authorities.flatMap(({ keys, roleKeys }) => validSigners(envelope, keys, roleKeys)));
  const candidates = new Set<KeyId>();
  const missing: MissingSignatures[] = [];
  for (const { keys, roleKeys } of authorities) {
    const have = validSigners(envelope, keys, roleKeys).length;
    const open = roleKeys.keyids.filter((keyId) => !signed.has(keyId));
    open.forEach((keyId) => candidates.add(keyId));
    if (have < roleKeys.threshold) {
      missing.push({ role, version: envelope.signed.version, have, need: roleKeys.threshold, candidates: open });
    }
  }
  return {
    role,
    version: envelope.signed.version,
    payload,
    candidates: [...candidates],
    keys: Object.assign({}, ...authorities.map(({ keys }) => keys)),
    missing,
  };
}

/**
 * The envelope with one more signature.
 *
 * @throws GantryError `keys/bad-signature` when it does not verify, or its key may not sign this role
 */
export function withSignature<R extends Role>(envelope: Envelope<R>, signature: Signature, authorities: readonly Authority[]): Envelope<R> {
  const payload = signingPayload(envelope.signed);
  const counts = authorities.some(({ keys, roleKeys }) => {
    const key = keys[signature.keyid];
    return key !== undefined && roleKeys.keyids.includes(signature.keyid) && verifySignature(key, signature, payload);
  });
  if (!counts) {
    throw new GantryError(
      'keys/bad-signature',
      `Cannot add a signature to ${envelope.signed._type} version ${envelope.signed.version}: ` +
        `it is not a valid signature by a key of this role (key ${signature.keyid})`,
      { keyId: signature.keyid },
    );
  }
  const others = envelope.signatures.filter((present) => present.keyid !== signature.keyid);
  return { signed: envelope.signed, signatures: [...others, signature] };
}

/**
 * Every signature of an envelope that came from elsewhere counts, or it is refused as a whole.
 *
 * @throws GantryError `keys/bad-signature`
 */
export function assertSignatures(envelope: Envelope, authorities: readonly Authority[]): void {
  const empty: Envelope = { signed: envelope.signed, signatures: [] };
  for (const signature of envelope.signatures) withSignature(empty, signature, authorities);
}

/** The envelope with the signatures that count: a file that travelled may carry others, and they would be published. */
export function withoutStrays<R extends Role>(envelope: Envelope<R>, authorities: readonly Authority[]): Envelope<R> {
  const counts = new Set(authorities.flatMap(({ keys, roleKeys }) => validSigners(envelope, keys, roleKeys)));
  return { signed: envelope.signed, signatures: envelope.signatures.filter(({ keyid }) => counts.has(keyid)) };
}

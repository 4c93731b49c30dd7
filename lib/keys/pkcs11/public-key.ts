/**
 * Public keys as tokens tell them.
 *
 * Rules:
 * - the point of an ed25519 or ECDSA key comes as it is or inside an OCTET STRING (PKCS#11 2.40 left that open), of ed25519 also inside
 *   a BIT STRING;
 * - what a token says is not trusted: Node checks that it is a key, and a signature that does not fit it is refused later.
 */
import { createPublicKey, X509Certificate, type webcrypto } from 'node:crypto';
import { GantryError } from '../../errors.ts';
import { publicKeyFromKeyObject } from '../../tuf/key.ts';
import type { PublicKey } from '../../tuf/types.ts';
import { CKK, CURVES } from './constants.ts';

/** Of a public or a private key object, as far as it tells them. */
export interface KeyAttributes {
  readonly keyType: number | undefined;
  readonly ecParams?: Buffer | undefined;
  readonly ecPoint?: Buffer | undefined;
  readonly modulus?: Buffer | undefined;
  readonly publicExponent?: Buffer | undefined;
}

/** A key, or why it is none that can sign here. */
export type ReadKey = { readonly key: PublicKey; readonly problem?: never } | { readonly problem: string; readonly key?: never };

const COORDINATE_BYTES = 32;
const UNCOMPRESSED = 0x04;

/** Undefined when the object does not tell its public half. */
export function publicKeyFrom({ keyType, ecParams, ecPoint, modulus, publicExponent }: KeyAttributes): ReadKey | undefined {
  switch (keyType) {
    case CKK.rsa:
      if (isEmpty(modulus) || isEmpty(publicExponent)) return undefined;
      return fromJwk({ kty: 'RSA', n: modulus.toString('base64url'), e: publicExponent.toString('base64url') });
    case CKK.ec:
      if (isEmpty(ecPoint)) return undefined;
      if (ecParams?.equals(CURVES.p256) !== true) return { problem: 'it is an ECDSA key of another curve' };
      return fromPoint(ecPoint);
    case CKK.ecEdwards:
      if (isEmpty(ecPoint)) return undefined;
      // Ed448 has points of 57 bytes; the names of the curve are many.
      return fromEdwardsPoint(ecPoint);
    case undefined:
    default:
      return { problem: 'it is of another kind' };
  }
}

function isEmpty(bytes: Buffer | undefined): bytes is undefined {
  return bytes === undefined || bytes.length === 0;
}

function fromPoint(bytes: Buffer): ReadKey {
  const point = withoutPrefix(bytes, [0x04, 1 + 2 * COORDINATE_BYTES]);
  if (point.length !== 1 + 2 * COORDINATE_BYTES || point[0] !== UNCOMPRESSED) return { problem: 'its point is not of P-256' };
  const x = point.subarray(1, 1 + COORDINATE_BYTES).toString('base64url');
  const y = point.subarray(1 + COORDINATE_BYTES).toString('base64url');
  return fromJwk({ kty: 'EC', crv: 'P-256', x, y });
}

function fromEdwardsPoint(bytes: Buffer): ReadKey {
  const point = withoutPrefix(withoutPrefix(bytes, [0x04, COORDINATE_BYTES]), [0x03, COORDINATE_BYTES + 1, 0]);
  if (point.length !== COORDINATE_BYTES) return { problem: 'it is an Edwards key of another curve' };
  return fromJwk({ kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') });
}

/** By length, because a bare point may begin with the same bytes. */
function withoutPrefix(bytes: Buffer, prefix: readonly number[]): Buffer {
  const rest = bytes.length - prefix.length;
  const isThere = prefix.every((byte, at) => bytes[at] === byte) && rest === (prefix[1] ?? 0) - (prefix.length - 2);
  return isThere ? bytes.subarray(prefix.length) : bytes;
}

function fromJwk(key: webcrypto.JsonWebKey): ReadKey {
  return read(() => publicKeyFromKeyObject(createPublicKey({ key, format: 'jwk' })));
}

/** @param der of an X.509 certificate, which some tokens hold in place of a public key */
export function publicKeyInCertificate(der: Buffer): ReadKey {
  return read(() => publicKeyFromKeyObject(new X509Certificate(der).publicKey));
}

function read(make: () => PublicKey): ReadKey {
  try {
    return { key: make() };
  } catch (error) {
    if (error instanceof GantryError && error.code === 'tuf/key-unsupported')
      return { problem: 'its curve or size is none that clients know' };
    return { problem: 'what the token tells of its public half is no key' };
  }
}

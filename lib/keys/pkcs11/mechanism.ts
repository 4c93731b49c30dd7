/**
 * How a token is asked for a signature of TUF.
 *
 * Rules:
 * - where the token can sign a digest, the digest is made here: whole metadata can have many megabytes, and a token is slow;
 * - ECDSA comes out of a token as two numbers of 32 bytes, and goes on as DER;
 * - RSA is PSS with SHA-256 and a salt of 32 bytes, and nothing else (tuf-interop rule 8).
 */
import { createHash } from 'node:crypto';
import type { PublicKey } from '../../tuf/types.ts';
import { CKG_MGF1_SHA256, CKM, PARAMETERS_RSA_PSS } from './constants.ts';

interface Mechanism {
  readonly mechanism: number;
  readonly parameter?: { readonly type: number; readonly hashAlg: number; readonly mgf: number; readonly saltLen: number };
}

export interface TokenSigning {
  readonly mechanism: Mechanism;
  /** What the token gets. */
  input(payload: Uint8Array): Buffer;
  /** The signature, from what the token returned. */
  output(raw: Buffer): Promise<Uint8Array>;
}

const PSS = { type: PARAMETERS_RSA_PSS, hashAlg: CKM.sha256, mgf: CKG_MGF1_SHA256, saltLen: 32 } as const;
const NUMBER_BYTES = 32;

type Choice = readonly [mechanism: Mechanism, input: TokenSigning['input']];

const CHOICES: Readonly<Record<PublicKey['keytype'], readonly Choice[]>> = {
  ed25519: [[{ mechanism: CKM.eddsa }, whole]],
  ecdsa: [
    [{ mechanism: CKM.ecdsa }, digest],
    [{ mechanism: CKM.ecdsaSha256 }, whole],
  ],
  rsa: [
    [{ mechanism: CKM.rsaPss, parameter: PSS }, digest],
    [{ mechanism: CKM.sha256RsaPss, parameter: PSS }, whole],
  ],
};

/** Undefined when the token cannot make such a signature. @param available the mechanisms of the token */
export function signingWith(keytype: PublicKey['keytype'], available: ReadonlySet<number>): TokenSigning | undefined {
  const [mechanism, input] = CHOICES[keytype].find(([{ mechanism: wanted }]) => available.has(wanted)) ?? [];
  if (mechanism === undefined || input === undefined) return undefined;
  return { mechanism, input, output: async (raw) => (keytype === 'ecdsa' ? derOf(raw) : raw) };
}

function whole(payload: Uint8Array): Buffer {
  return Buffer.from(payload);
}

function digest(payload: Uint8Array): Buffer {
  return createHash('sha256').update(payload).digest();
}

/** Bytes of another length stay as they are: they will not verify. */
async function derOf(raw: Buffer): Promise<Uint8Array> {
  if (raw.length !== 2 * NUMBER_BYTES) return raw;
  const { Integer, Sequence } = await import('asn1js');
  const value = [raw.subarray(0, NUMBER_BYTES), raw.subarray(NUMBER_BYTES)].map((number) =>
    Integer.fromBigInt(BigInt(`0x${number.toString('hex')}`)),
  );
  return new Uint8Array(new Sequence({ value }).toBER());
}

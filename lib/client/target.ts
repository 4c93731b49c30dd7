import type { TargetFile } from '@tufjs/models';
import { GantryError, named } from '../errors.ts';
import { isSha256Hex, isSha512Hex } from '../tuf/hash.ts';
import { TargetPath } from '../tuf/target-path.ts';
import type { JsonObject, Sha256Hex, Sha512Hex } from '../tuf/types.ts';

/** The digest that is signed, in lowercase hexadecimal digits; SHA-256 where there are several. */
export type TargetDigest =
  | { readonly algorithm: 'sha256'; readonly hex: Sha256Hex }
  | { readonly algorithm: 'sha512'; readonly hex: Sha512Hex };

/** A target that the trusted metadata names: a proof that it is signed. Only a client makes one. */
export interface VerifiedTarget {
  readonly path: TargetPath;
  /** Of the published file. */
  readonly lengthBytes: number;
  /** What the whole of it is compared with: SHA-256 when that is signed. */
  readonly digest: TargetDigest;
  /** Absent when only SHA-512 is signed, as other tools may do. */
  readonly sha256?: Sha256Hex;
  readonly custom?: JsonObject;
}

/** What tuf-js has found, as we use it. @throws GantryError `client/untrusted`, `tuf/bad-target-path` */
export function verifiedTarget({ path, length, hashes, unrecognizedFields }: TargetFile): VerifiedTarget {
  const { custom } = unrecognizedFields;
  const { sha256, sha512 } = hashes;
  if (!Number.isSafeInteger(length)) throw unusable(path, `its length is ${length}; expected a whole number of bytes`);
  const digest = digestOf(sha256, sha512);
  if (digest === undefined) throw unusable(path, 'it has neither a sha256 of 64 lowercase hexadecimal digits nor a sha512 of 128');
  return {
    path: TargetPath.parse(path),
    lengthBytes: length,
    digest,
    ...(digest.algorithm === 'sha256' ? { sha256: digest.hex } : {}),
    // What is no object says nothing to us.
    ...(isObject(custom) ? { custom } : {}),
  };
}

function digestOf(sha256: string | undefined, sha512: string | undefined): TargetDigest | undefined {
  if (isSha256Hex(sha256)) return { algorithm: 'sha256', hex: sha256 };
  return sha256 === undefined && isSha512Hex(sha512) ? { algorithm: 'sha512', hex: sha512 } : undefined;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unusable(path: string, problem: string): GantryError {
  return new GantryError('client/untrusted', `Cannot use the target ${named(path)}, although it is signed: ${problem}`, {
    role: 'targets',
  });
}

import type { TargetFile } from '@tufjs/models';
import { GantryError, named } from '../errors.ts';
import { isSha256Hex } from '../tuf/hash.ts';
import { TargetPath } from '../tuf/target-path.ts';
import type { JsonObject, Sha256Hex } from '../tuf/types.ts';

/** A target that the trusted metadata names: a proof that it is signed. Only a client makes one. */
export interface VerifiedTarget {
  readonly path: TargetPath;
  /** Of the published file. */
  readonly lengthBytes: number;
  readonly sha256: Sha256Hex;
  readonly custom?: JsonObject;
}

/** What tuf-js has found, as we use it. @throws GantryError `client/untrusted`, `tuf/bad-target-path` */
export function verifiedTarget({ path, length, hashes, unrecognizedFields }: TargetFile): VerifiedTarget {
  const { custom } = unrecognizedFields;
  const sha256 = hashes['sha256'];
  if (!Number.isSafeInteger(length)) throw unusable(path, `its length is ${length}; expected a whole number of bytes`);
  if (!isSha256Hex(sha256)) throw unusable(path, 'it has no sha256 of 64 lowercase hexadecimal digits');
  return {
    path: TargetPath.parse(path),
    lengthBytes: length,
    sha256,
    // What is no object says nothing to us.
    ...(isObject(custom) ? { custom } : {}),
  };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unusable(path: string, problem: string): GantryError {
  return new GantryError('client/untrusted', `Cannot use the target ${named(path)}, although it is signed: ${problem}`, {
    role: 'targets',
  });
}

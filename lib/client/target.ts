import type { TargetPath } from '../tuf/target-path.ts';
import type { JsonObject, Sha256Hex } from '../tuf/types.ts';

/** A target that the trusted metadata names: a proof that it is signed. Only a client makes one. */
export interface VerifiedTarget {
  readonly path: TargetPath;
  /** Of the published file. */
  readonly lengthBytes: number;
  readonly sha256: Sha256Hex;
  readonly custom?: JsonObject;
}

import type { KeyId, PublicKey, Signature } from '../tuf/types.ts';

/**
 * Something that holds one private key: a file, a token, a cloud service, a person with a command.
 *
 * A signer verifies its own signature against `key` before it hands it out.
 */
export interface Signer {
  readonly key: PublicKey;
  readonly keyId: KeyId;
  /** @throws GantryError `keys/bad-signature` when the back end returned something that does not verify. */
  sign(payload: Uint8Array): Promise<Signature>;
  /** Gives back what the back end holds: the session of a token, a connection. */
  close?(): Promise<void>;
}

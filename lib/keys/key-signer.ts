/** A signer over a private key in memory. */
import { constants, sign, type KeyObject, type SignKeyObjectInput } from 'node:crypto';
import { GantryError } from '../errors.ts';
import { keyIdOf, publicKeyFromKeyObject } from '../tuf/key.ts';
import { verifySignature } from '../tuf/signature.ts';
import type { PublicKey } from '../tuf/types.ts';
import type { Signer } from './signer.ts';

/** @throws GantryError `tuf/key-unsupported` */
export function signerFromKeyObject(privateKey: KeyObject): Signer {
  const key = publicKeyFromKeyObject(privateKey);
  return verifyingSigner(key, async (payload) => rawSignature(privateKey, key.keytype, payload));
}

/**
 * The signer of a back end that returns raw signatures. Nothing is handed out that does not verify.
 *
 * @param rawSign ed25519: 64 bytes; ECDSA: DER; RSA: PSS with salt length 32
 */
export function verifyingSigner(key: PublicKey, rawSign: (payload: Uint8Array) => Promise<Uint8Array>): Signer {
  const keyId = keyIdOf(key);
  return {
    key,
    keyId,
    async sign(payload) {
      const signature = { keyid: keyId, sig: Buffer.from(await rawSign(payload)).toString('hex') };
      if (verifySignature(key, signature, payload)) return signature;
      throw new GantryError(
        'keys/bad-signature',
        `Cannot sign with key ${keyId.slice(0, 12)}…: the signature that came back does not verify; expected one by this key`,
        { keyId },
      );
    },
  };
}

function rawSignature(privateKey: KeyObject, keytype: PublicKey['keytype'], payload: Uint8Array): Uint8Array {
  const input: Readonly<Record<PublicKey['keytype'], { readonly algorithm: string | null; readonly key: SignKeyObjectInput }>> = {
    ed25519: { algorithm: null, key: { key: privateKey } },
    ecdsa: { algorithm: 'sha256', key: { key: privateKey, dsaEncoding: 'der' } },
    // Node's default is the largest salt, which tough refuses (tuf-interop rule 8).
    rsa: { algorithm: 'sha256', key: { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } },
  };
  const { algorithm, key } = input[keytype];
  return sign(algorithm, payload, key);
}

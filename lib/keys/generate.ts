/** New private keys of the three kinds that every client knows. */
import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

export type KeyType = 'ed25519' | 'ecdsa' | 'rsa';
export const KEY_TYPES: readonly KeyType[] = ['ed25519', 'ecdsa', 'rsa'];

const RSA_BITS = 3072;
const generate = promisify(generateKeyPair);

/** ed25519, ECDSA P-256, or RSA of 3072 bits. */
export async function generatePrivateKey(type: KeyType): Promise<KeyObject> {
  switch (type) {
    case 'ed25519':
      return (await generate('ed25519')).privateKey;
    case 'ecdsa':
      return (await generate('ec', { namedCurve: 'P-256' })).privateKey;
    case 'rsa':
      return (await generate('rsa', { modulusLength: RSA_BITS })).privateKey;
  }
}

/**
 * Keys in AWS KMS: `aws-kms://PROFILE/KEY-ID`.
 *
 * Rules:
 * - the key never leaves KMS, and what is to be signed does not go there: a digest does. Payloads are larger than what KMS takes;
 * - ed25519 signs the bytes themselves and no digest, so that it ends at what KMS takes;
 * - a key that cannot sign as TUF has it is refused when it is opened, not when it should sign.
 */
import { createHash, createPublicKey } from 'node:crypto';
import type { GetPublicKeyCommandOutput, SignCommandInput } from '@aws-sdk/client-kms';
import { isGantryError, named } from '../../errors.ts';
import { publicKeyFromKeyObject } from '../../tuf/key.ts';
import type { PublicKey } from '../../tuf/types.ts';
import type { SignerAccess } from '../access.ts';
import { verifyingSigner } from '../key-signer.ts';
import { signerFailed } from '../reference.ts';
import type { Signer } from '../signer.ts';
import { attempt, clientSettings, type AwsCall } from './client.ts';
import { parseKmsUrl, regionOf } from './url.ts';

/** KMS's names of the signatures that TUF has. The salt of its PSS is as long as the digest. */
const ALGORITHMS = { rsa: 'RSASSA_PSS_SHA_256', ecdsa: 'ECDSA_SHA_256', ed25519: 'ED25519_SHA_512' } as const;
const KINDS = 'RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256 or ECC_NIST_EDWARDS25519';
const MAX_RAW_BYTES = 4096;

/** @throws GantryError `keys/bad-reference`, `keys/signer-failed`, `keys/credentials`, `keys/denied`, `keys/no-answer` */
export async function openKmsSigner(url: string, { name }: Pick<SignerAccess, 'name'>): Promise<Signer> {
  const { profile, keyId } = parseKmsUrl(url);
  const sdk = await import('@aws-sdk/client-kms');
  const client = new sdk.KMSClient(clientSettings({ ...(profile === undefined ? {} : { profile }), region: regionOf(keyId) }));
  const call = (action: string): AwsCall => ({
    name,
    service: 'AWS KMS',
    action,
    profile,
    region: async () => client.config.region(),
    regionFrom: 'AWS_REGION, a region in the profile, or an ARN as the id of the key',
    about,
  });
  try {
    const found = await attempt(call('kms:GetPublicKey'), async () => client.send(new sdk.GetPublicKeyCommand({ KeyId: keyId })));
    const key = signingKey(found, name);
    const signer = verifyingSigner(key, async (payload) => {
      const request = { KeyId: keyId, ...signRequest(key, payload, name) };
      const { Signature } = await attempt(call('kms:Sign'), async () => client.send(new sdk.SignCommand(request)));
      // Nothing is no signature, which is found out where all of them are verified.
      return Signature ?? new Uint8Array();
    });
    return { ...signer, close: async () => client.destroy() };
  } catch (error) {
    client.destroy();
    throw error;
  }
}

function signRequest({ keytype }: PublicKey, payload: Uint8Array, name: string): Omit<SignCommandInput, 'KeyId'> {
  const SigningAlgorithm = ALGORITHMS[keytype];
  if (keytype !== 'ed25519') {
    return { SigningAlgorithm, MessageType: 'DIGEST', Message: createHash('sha256').update(payload).digest() };
  }
  if (payload.length <= MAX_RAW_BYTES) return { SigningAlgorithm, MessageType: 'RAW', Message: payload };
  throw signerFailed(
    name,
    `it is an ed25519 key, with which AWS KMS signs at most ${MAX_RAW_BYTES} bytes, and these are ${payload.length}; expected an RSA or ECDSA key for this role`,
  );
}

/** @throws GantryError `keys/signer-failed` for a key that is for something else */
function signingKey(found: GetPublicKeyCommandOutput, name: string): PublicKey {
  const { PublicKey: der, KeyUsage = 'unknown', KeySpec, SigningAlgorithms = [] } = found;
  if (KeyUsage !== 'SIGN_VERIFY') throw signerFailed(name, `its key usage is ${named(KeyUsage)}; expected SIGN_VERIFY`);
  const key = publicKeyIn(der, KeySpec, name);
  const algorithm = ALGORITHMS[key.keytype];
  if (SigningAlgorithms.includes(algorithm)) return key;
  throw signerFailed(
    name,
    `it does not sign with ${algorithm}, but with ${SigningAlgorithms.map(named).join(', ') || 'nothing'}; expected ${KINDS}`,
  );
}

function publicKeyIn(der: Uint8Array | undefined, kind: string | undefined, name: string): PublicKey {
  try {
    return publicKeyFromKeyObject(createPublicKey({ key: Buffer.from(der ?? []), format: 'der', type: 'spki' }));
  } catch (cause) {
    const problem = isGantryError(cause, 'tuf/key-unsupported')
      ? `it is a key of the kind ${named(kind ?? cause.details.keytype)}`
      : 'its public half cannot be read';
    throw signerFailed(name, `${problem}; expected ${KINDS}`, cause);
  }
}

function about({
  name,
  message,
  region,
}: {
  readonly name: string;
  readonly message: string;
  readonly region: string;
}): string | undefined {
  switch (name) {
    case 'NotFoundException':
      return `there is no such key in ${named(region)}; expected the region that has it, or its ARN`;
    case 'DisabledException':
      return 'the key is disabled; expected it to be enabled: aws kms enable-key';
    case 'InvalidKeyUsageException':
    case 'UnsupportedOperationException':
      return `the key is none that signs (${name}); expected an asymmetric one with the key usage SIGN_VERIFY`;
    case 'InvalidArnException':
      return 'its ARN names nothing that is a key; expected one of a key or of an alias';
    case 'KMSInvalidStateException':
      return /pending deletion/iu.test(message)
        ? 'the key is about to be deleted; expected another key, or this one to be kept: aws kms cancel-key-deletion'
        : 'the key is in a state in which it does not sign; expected it to be enabled: aws kms describe-key tells its state';
    default:
      return undefined;
  }
}

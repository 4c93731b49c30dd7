/**
 * Private keys in parameters of AWS Systems Manager, as pubsys and tuftool keep them: `aws-ssm://PROFILE/PARAMETER`.
 *
 * Rules:
 * - what is read is a key in memory and never a file, and is shown nowhere;
 * - a parameter that is not encrypted is refused, as a key file is that others can read;
 * - a parameter that exists is never overwritten, and a new one has the key's id as its description, as tuftool's have;
 * - an answer that got lost is resolved by looking: what is there is ours when it is this key.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import type * as AwsSsm from '@aws-sdk/client-ssm';
import { GantryError, isGantryError, named, quote } from '../../errors.ts';
import { keyContentOf, keyIdOf, publicKeyFromKeyObject } from '../../tuf/key.ts';
import type { PublicKey } from '../../tuf/types.ts';
import type { SignerAccess } from '../access.ts';
import { signerFromKeyObject } from '../key-signer.ts';
import { plainPrivateKey, readForeignPrivateKey } from '../pkcs8.ts';
import { badReference, signerFailed } from '../reference.ts';
import type { Signer } from '../signer.ts';
import { attempt, clientSettings, type AwsCall } from './client.ts';
import { parseSsmUrl, type SsmReference } from './url.ts';

/** Of a standard parameter. */
const MAX_VALUE_BYTES = 4096;

interface Parameters {
  readonly url: string;
  readonly reference: SsmReference;
  readonly sdk: typeof AwsSsm;
  readonly client: AwsSsm.SSMClient;
  readonly attempt: <T>(action: string, work: () => Promise<T>) => Promise<T>;
}

/** @throws GantryError `keys/bad-reference`, `keys/signer-failed`, `keys/credentials`, `keys/denied`, `keys/no-answer`, and like `readPrivateKey` */
export async function openSsmSigner(url: string, access: Pick<SignerAccess, 'name' | 'passphrases'>): Promise<Signer> {
  return withParameters(url, access.name, async (parameters) => signerFromKeyObject(await readKey(parameters, access)));
}

/**
 * Keeps a private key in a new parameter: a SecureString, as PKCS#8 in PEM.
 *
 * @throws GantryError `keys/exists`, and like `openSsmSigner`
 */
export async function writeSsmKey(
  url: string,
  privateKey: KeyObject,
  access: Pick<SignerAccess, 'name' | 'passphrases'>,
): Promise<PublicKey> {
  const key = publicKeyFromKeyObject(privateKey);
  const value = plainPrivateKey(privateKey);
  return withParameters(url, access.name, async (parameters) => {
    const { reference, sdk, client } = parameters;
    const { parameter: Name, kmsKeyId } = reference;
    if (Name.includes(':'))
      throw badReference(url, 'what is behind the colon is the version of one that exists; expected a name without it');
    if (value.length > MAX_VALUE_BYTES) {
      throw signerFailed(access.name, `it has ${value.length} bytes; expected at most ${MAX_VALUE_BYTES}, which a parameter holds`);
    }
    try {
      await parameters.attempt('ssm:PutParameter', async () =>
        client.send(
          new sdk.PutParameterCommand({
            Name,
            Value: value,
            Type: 'SecureString',
            Overwrite: false,
            Description: keyIdOf(key),
            ...(kmsKeyId === undefined ? {} : { KeyId: kmsKeyId }),
          }),
        ),
      );
    } catch (error) {
      if (!isTaken(error) || !(await holdsKey(parameters, access, key))) throw isTaken(error) ? taken(url, access.name, error) : error;
    }
    return key;
  });
}

async function withParameters<T>(url: string, name: string, work: (parameters: Parameters) => Promise<T>): Promise<T> {
  const reference = parseSsmUrl(url);
  const { profile } = reference;
  const sdk = await import('@aws-sdk/client-ssm');
  const client = new sdk.SSMClient(clientSettings(profile === undefined ? {} : { profile }));
  const call = (action: string): AwsCall => ({
    name,
    service: 'AWS Systems Manager',
    action,
    profile,
    region: async () => client.config.region(),
    regionFrom: 'AWS_REGION, or a region in the profile',
    about,
  });
  try {
    return await work({ url, reference, sdk, client, attempt: async (action, send) => attempt(call(action), send) });
  } finally {
    client.destroy();
  }
}

async function readKey(parameters: Parameters, { name, passphrases }: Pick<SignerAccess, 'name' | 'passphrases'>): Promise<KeyObject> {
  const { url, reference, sdk, client } = parameters;
  const { Parameter: found } = await parameters.attempt('ssm:GetParameter', async () =>
    client.send(new sdk.GetParameterCommand({ Name: reference.parameter, WithDecryption: true })),
  );
  if (found?.Type !== 'SecureString') {
    const type = named(found?.Type ?? 'nothing');
    throw signerFailed(name, `its parameter is a ${type}, which is not encrypted; expected a SecureString, and a new key in it`);
  }
  return readForeignPrivateKey(found.Value ?? '', url, async () => passphrases.ask(url, 0));
}

async function holdsKey(parameters: Parameters, access: Pick<SignerAccess, 'name' | 'passphrases'>, key: PublicKey): Promise<boolean> {
  try {
    const found = createPublicKey(await readKey(parameters, access));
    return keyContentOf(publicKeyFromKeyObject(found)) === keyContentOf(key);
  } catch (error) {
    // Whoever may only write cannot look.
    if (isGantryError(error)) return false;
    throw error;
  }
}

function isTaken(error: unknown): boolean {
  return isGantryError(error, 'keys/signer-failed') && error.cause instanceof Error && error.cause.name === 'ParameterAlreadyExists';
}

function taken(url: string, name: string, cause: unknown): GantryError {
  return new GantryError(
    'keys/exists',
    `Cannot keep the key ${quote(name)} in ${quote(url)}: there is a parameter of this name; expected a new one`,
    { name, path: url },
    { cause },
  );
}

function about({ name, region }: { readonly name: string; readonly region: string }): string | undefined {
  switch (name) {
    case 'ParameterNotFound':
    case 'ParameterVersionNotFound':
      return `there is no such parameter in ${named(region)}; expected the region that has it`;
    case 'ParameterAlreadyExists':
      return 'there is a parameter of this name; expected a new one';
    case 'InvalidKeyId':
      return 'the KMS key of its parameter cannot be used (InvalidKeyId); expected one that exists and is enabled';
    default:
      return undefined;
  }
}

/**
 * Keys in AWS against moto: how keys and parameters are found, and what is said of those that cannot be used.
 *
 * What moto does not do as AWS does, signing digests and the states of keys, is in test/keys/aws-kms.test.ts.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import {
  CreateAliasCommand,
  CreateKeyCommand,
  GetPublicKeyCommand,
  KMSClient,
  SignCommand,
  type CreateKeyCommandInput,
} from '@aws-sdk/client-kms';
import { DescribeParametersCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { writeSsmKey } from '../../lib/keys/aws/ssm.ts';
import { openReference } from '../../lib/keys/reference.ts';
import { keyContentOf, keyIdOf, publicKeyFromKeyObject, publicKeyFromPem } from '../../lib/tuf/key.ts';
import { verifySignature } from '../../lib/tuf/signature.ts';
import { awsEnvironment, useAwsEnvironment } from '../support/aws.ts';
import { startMoto } from '../support/moto-server.ts';
import { skipReason } from '../support/peers.ts';
import { accessOf } from '../support/signer-access.ts';

const REGION = 'eu-central-1';
const ACCESS = accessOf({ name: 'online' });
const PAYLOAD = randomBytes(9000);

describe('moto', { skip: await skipReason('moto') }, () => {
  const cleanups: (() => Promise<void> | void)[] = [];
  let kms: KMSClient;
  let ssm: SSMClient;

  before(async () => {
    const endpoint = await startMoto({ after: (work: () => Promise<void>) => cleanups.unshift(work) });
    useAwsEnvironment({
      ...awsEnvironment({ accessKeyId: 'testing', secretAccessKey: 'testing' }),
      AWS_REGION: REGION,
      AWS_ENDPOINT_URL: endpoint,
    });
    kms = new KMSClient({});
    ssm = new SSMClient({});
  });
  after(async () => {
    kms.destroy();
    ssm.destroy();
    for (const cleanup of cleanups) await cleanup();
  });

  async function makeKey(options: Partial<CreateKeyCommandInput>): Promise<{ readonly id: string; readonly arn: string }> {
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({ KeyUsage: 'SIGN_VERIFY', ...options }));
    return { id: KeyMetadata?.KeyId ?? '', arn: KeyMetadata?.Arn ?? '' };
  }

  for (const KeySpec of ['RSA_2048', 'RSA_3072', 'RSA_4096', 'ECC_NIST_P256'] as const) {
    test(`openReference() finds a KMS key of the kind ${KeySpec} by its id, its ARN and an alias`, async () => {
      const { id, arn } = await makeKey({ KeySpec });
      const alias = `alias/os/${KeySpec}`;
      await kms.send(new CreateAliasCommand({ AliasName: alias, TargetKeyId: id }));
      const { PublicKey: der = new Uint8Array() } = await kms.send(new GetPublicKeyCommand({ KeyId: id }));
      const pem = `-----BEGIN PUBLIC KEY-----\n${Buffer.from(der).toString('base64')}\n-----END PUBLIC KEY-----\n`;
      for (const name of [id, arn, alias]) {
        const signer = await openReference(`aws-kms:///${name}`, ACCESS);
        assert.equal(signer.keyId, keyIdOf(publicKeyFromPem(pem)));
        await signer.close?.();
      }
    });
  }

  test('a signature of moto over a digest, which it hashes again, is refused and not handed out', async () => {
    const { id } = await makeKey({ KeySpec: 'ECC_NIST_P256' });
    const signer = await openReference(`aws-kms:///${id}`, ACCESS);
    await assert.rejects(signer.sign(PAYLOAD), { code: 'keys/bad-signature' });
    // It is the digest alone that is wrong: of the bytes themselves the key makes a signature that counts.
    const few = PAYLOAD.subarray(0, 100);
    const { Signature = new Uint8Array() } = await kms.send(
      new SignCommand({ KeyId: id, Message: few, MessageType: 'RAW', SigningAlgorithm: 'ECDSA_SHA_256' }),
    );
    assert.ok(verifySignature(signer.key, { keyid: signer.keyId, sig: Buffer.from(Signature).toString('hex') }, few));
    await signer.close?.();
  });

  const unusable: readonly (readonly [what: string, options: Partial<CreateKeyCommandInput>, message: RegExp])[] = [
    ['that encrypts', { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' }, /key usage is ENCRYPT_DECRYPT; expected SIGN_VERIFY/u],
    ['on another curve', { KeySpec: 'ECC_NIST_P384' }, /of the kind (?:ECC_NIST_P384|"ec secp384r1"); expected RSA_2048/u],
    ['that is symmetric', { KeySpec: 'SYMMETRIC_DEFAULT', KeyUsage: 'ENCRYPT_DECRYPT' }, /expected/u],
  ];
  for (const [what, options, message] of unusable) {
    test(`openReference() refuses a KMS key ${what}`, async () => {
      const { id } = await makeKey(options);
      await assert.rejects(openReference(`aws-kms:///${id}`, ACCESS), { code: 'keys/signer-failed', message });
    });
  }

  test('openReference() says which region has no such KMS key', async () => {
    const { arn } = await makeKey({ KeySpec: 'ECC_NIST_P256' });
    for (const id of ['1234abcd-12ab-34cd-56ef-1234567890ab', 'alias/nobody', arn.replace(/[^/]+$/u, '1234abcd')]) {
      await assert.rejects(openReference(`aws-kms:///${id}`, ACCESS), {
        code: 'keys/signer-failed',
        message: /there is no such key in eu-central-1; expected/u,
      });
    }
  });

  for (const [what, make] of [
    ['RSA', () => generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey],
    ['ECDSA', () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey],
    ['ed25519', () => generateKeyPairSync('ed25519').privateKey],
  ] as const) {
    test(`writeSsmKey() keeps an ${what} key in a parameter, which signs, and is not overwritten`, async () => {
      const { id } = await makeKey({ KeySpec: 'SYMMETRIC_DEFAULT', KeyUsage: 'ENCRYPT_DECRYPT' });
      const url = `aws-ssm:///os/${what}?kms-key-id=${id}`;
      const privateKey = make();
      await writeSsmKey(url, privateKey, ACCESS);
      const signer = await openReference(url, ACCESS);
      assert.equal(keyContentOf(signer.key), keyContentOf(publicKeyFromKeyObject(privateKey)));
      assert.ok(verifySignature(signer.key, await signer.sign(PAYLOAD), PAYLOAD));
      const { Parameters: [kept] = [] } = await ssm.send(
        new DescribeParametersCommand({ ParameterFilters: [{ Key: 'Name', Values: [`/os/${what}`] }] }),
      );
      assert.deepEqual([kept?.Type, kept?.KeyId, kept?.Description, kept?.Version], ['SecureString', id, signer.keyId, 1]);
      await assert.rejects(writeSsmKey(url, make(), ACCESS), { code: 'keys/exists' });
      assert.equal((await openReference(`${url.split('?')[0]}:1`, ACCESS)).keyId, signer.keyId);
    });
  }

  test('openReference() says what is wrong with a parameter', async () => {
    await assert.rejects(openReference('aws-ssm:///os/nothing', ACCESS), {
      code: 'keys/signer-failed',
      message: /there is no such parameter in eu-central-1; expected/u,
    });
    await ssm.send(new PutParameterCommand({ Name: '/os/plain', Value: 'hunter2', Type: 'String' }));
    await assert.rejects(openReference('aws-ssm:///os/plain', ACCESS), {
      code: 'keys/signer-failed',
      message: /is a String, which is not encrypted/u,
    });
    await ssm.send(new PutParameterCommand({ Name: '/os/text', Value: 'hunter2', Type: 'SecureString' }));
    await assert.rejects(openReference('aws-ssm:///os/text', ACCESS), { code: 'keys/unreadable', message: /it is not PEM/u });
  });
});

/** Private keys in parameters of AWS Systems Manager, against a server that does what AWS does. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { inspect } from 'node:util';
import { writeSsmKey } from '../../lib/keys/aws/ssm.ts';
import { passphraseFrom } from '../../lib/keys/passphrase.ts';
import { encryptPrivateKey } from '../../lib/keys/pkcs8.ts';
import { openReference } from '../../lib/keys/reference.ts';
import { isGantryError } from '../../lib/errors.ts';
import { keyContentOf, keyIdOf, publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import { verifySignature } from '../../lib/tuf/signature.ts';
import { awsEnvironment, useAwsEnvironment } from '../support/aws.ts';
import { startFakeAws, type FakeAws } from '../support/fake-aws.ts';
import { accessOf } from '../support/signer-access.ts';

const REGION = 'eu-west-1';
const URL_OF_ROOT = 'aws-ssm:///os/root';
const AT = `${REGION} /os/root`;
const PAYLOAD = randomBytes(10_000);
const ACCESS = accessOf({ name: 'root-a' });

const ed25519 = (): KeyObject => generateKeyPairSync('ed25519').privateKey;
const rsa = (): KeyObject => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const ec = (namedCurve = 'P-256'): KeyObject => generateKeyPairSync('ec', { namedCurve }).privateKey;

async function fakeWith(t: TestContext, value?: string, type: 'SecureString' | 'String' = 'SecureString'): Promise<FakeAws> {
  const aws = await startFakeAws(t);
  if (value !== undefined) aws.parameters.set(AT, { value, type });
  useAwsEnvironment({
    ...awsEnvironment({ accessKeyId: 'AKIAFAKE', secretAccessKey: 'secret' }),
    AWS_REGION: REGION,
    AWS_ENDPOINT_URL_SSM: aws.endpoint,
  });
  return aws;
}

const pem = (key: KeyObject, type: 'pkcs8' | 'pkcs1' | 'sec1' = 'pkcs8'): string => String(key.export({ format: 'pem', type }));

async function assertSignsWith(key: KeyObject, access = ACCESS): Promise<void> {
  const signer = await openReference(URL_OF_ROOT, access);
  assert.equal(keyContentOf(signer.key), keyContentOf(publicKeyFromKeyObject(key)));
  assert.ok(verifySignature(signer.key, await signer.sign(PAYLOAD), PAYLOAD));
}

for (const [what, make, type] of [
  ['RSA as PKCS#8', rsa, 'pkcs8'],
  ['RSA as PKCS#1, which tuftool and pubsys keep', rsa, 'pkcs1'],
  ['ECDSA as PKCS#8', ec, 'pkcs8'],
  ['ECDSA as SEC1', ec, 'sec1'],
  ['ed25519 as PKCS#8', ed25519, 'pkcs8'],
] as const) {
  test(`openReference() signs with a key in an SSM parameter: ${what}`, async (t) => {
    const key = make();
    const aws = await fakeWith(t, pem(key, type));
    await assertSignsWith(key);
    assert.deepEqual(aws.asked, [`ssm:GetParameter ${REGION} AKIAFAKE`]);
  });
}

test('openReference() asks for the passphrase of an SSM parameter that is encrypted once more', async (t) => {
  const key = ed25519();
  await fakeWith(t, await encryptPrivateKey(key, 'quiet river'));
  await assertSignsWith(key, accessOf({ passphrases: passphraseFrom({ env: { GANTRY_PASSPHRASE: 'quiet river' } }) }));
  await assert.rejects(openReference(URL_OF_ROOT, ACCESS), { code: 'keys/passphrase-needed' });
});

test('openReference() refuses an SSM parameter that is not encrypted', async (t) => {
  await fakeWith(t, pem(ed25519()), 'String');
  await assert.rejects(openReference(URL_OF_ROOT, ACCESS), {
    code: 'keys/signer-failed',
    message: /its parameter is a String, which is not encrypted; expected a SecureString, and a new key in it/u,
  });
});

test('openReference() shows nothing of what is in an SSM parameter, whatever that is', async (t) => {
  const aws = await fakeWith(t);
  const secret = 'hunter2hunter2hunter2hunter2';
  const broken = pem(rsa(), 'pkcs1');
  for (const value of [
    secret,
    '',
    `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----\n`,
    `-----BEGIN RSA PRIVATE KEY-----\n${secret}\n-----END RSA PRIVATE KEY-----\n`,
    `-----BEGIN CERTIFICATE-----\n${secret}\n-----END CERTIFICATE-----\n`,
    `${broken.slice(0, 900)}${broken.slice(1000)}`,
    pem(ec('P-384')),
    pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey),
  ]) {
    aws.parameters.set(AT, { value, type: 'SecureString' });
    await assert.rejects(openReference(URL_OF_ROOT, ACCESS), (error: unknown) => {
      assert.ok(isGantryError(error), String(error));
      assert.match(error.code, /^keys\/(?:unreadable|unsupported)$/u);
      assert.match(error.message, /"aws-ssm:\/\/\/os\/root"/u);
      assert.doesNotMatch(inspect(error, { depth: 9 }), /hunter2/u);
      if (value !== '')
        for (const line of value.split('\n')) assert.ok(line.startsWith('-----') || line === '' || !error.message.includes(line));
      return true;
    });
  }
});

test('openReference() says what is wrong with an SSM parameter in one clear line', async (t) => {
  const aws = await fakeWith(t, pem(ed25519()));
  await assert.rejects(openReference('aws-ssm:///os/other', ACCESS), {
    code: 'keys/signer-failed',
    message: 'Cannot use the key "root-a": there is no such parameter in eu-west-1; expected the region that has it',
  });
  aws.policies.set('AKIAFAKE', []);
  await assert.rejects(openReference(URL_OF_ROOT, ACCESS), {
    code: 'keys/denied',
    details: { name: 'root-a', action: 'ssm:GetParameter' },
  });
  aws.policies.set('AKIAFAKE', 'expired');
  await assert.rejects(openReference(URL_OF_ROOT, ACCESS), { code: 'keys/credentials', message: /the AWS credentials have expired/u });
  aws.policies.clear();
  // What SSM passes on of KMS.
  const denied =
    'The ciphertext refers to a key: User: arn:aws:iam::111122223333:user/ci is not authorized to perform: kms:Decrypt on resource: x';
  aws.faults.push({ status: 400, name: 'AccessDeniedException', message: denied });
  await assert.rejects(openReference(URL_OF_ROOT, ACCESS), { code: 'keys/denied', details: { name: 'root-a', action: 'kms:Decrypt' } });
  aws.faults.push({ status: 400, name: 'InvalidKeyId' });
  await assert.rejects(openReference(URL_OF_ROOT, ACCESS), {
    code: 'keys/signer-failed',
    message: /the KMS key of its parameter cannot be used/u,
  });
});

test('openReference() asks SSM again when it is throttled or loses its answer', async (t) => {
  const key = ed25519();
  const aws = await fakeWith(t, pem(key));
  t.mock.method(Math, 'random', () => 0);
  aws.faults.push({ status: 400, name: 'ThrottlingException' }, { cut: 'after' }, { status: 500, name: 'InternalServerError' });
  await assertSignsWith(key);
});

test('writeSsmKey() keeps a key as a SecureString with its id, under the KMS key that the URL names, and openReference() signs with it', async (t) => {
  const aws = await fakeWith(t);
  const key = rsa();
  const written = await writeSsmKey(`${URL_OF_ROOT}?kms-key-id=alias/os`, key, ACCESS);
  assert.equal(keyContentOf(written), keyContentOf(publicKeyFromKeyObject(key)));
  assert.deepEqual(aws.parameters.get(AT), { value: pem(key), type: 'SecureString', keyId: 'alias/os', description: keyIdOf(written) });
  await assertSignsWith(key);
});

test('writeSsmKey() never overwrites a parameter', async (t) => {
  const value = pem(ed25519());
  const aws = await fakeWith(t, value);
  for (const policy of [undefined, ['ssm:PutParameter']]) {
    if (policy !== undefined) aws.policies.set('AKIAFAKE', policy);
    await assert.rejects(writeSsmKey(URL_OF_ROOT, ed25519(), ACCESS), {
      code: 'keys/exists',
      details: { name: 'root-a', path: URL_OF_ROOT },
    });
    assert.equal(aws.parameters.get(AT)?.value, value);
  }
});

test('writeSsmKey() succeeds when the answer to a write that was done got lost', async (t) => {
  const aws = await fakeWith(t);
  const key = ed25519();
  aws.faults.push({ cut: 'after' });
  await writeSsmKey(URL_OF_ROOT, key, ACCESS);
  assert.deepEqual(
    aws.asked.map((call) => call.split(' ')[0]),
    ['ssm:PutParameter', 'ssm:PutParameter', 'ssm:GetParameter'],
  );
  await assertSignsWith(key);
});

test('writeSsmKey() refuses a version as a name, and a key that no parameter holds, before anything is sent', async (t) => {
  const aws = await fakeWith(t);
  await assert.rejects(writeSsmKey(`${URL_OF_ROOT}:3`, ed25519(), ACCESS), { code: 'keys/bad-reference' });
  const large = generateKeyPairSync('rsa', { modulusLength: 6144 }).privateKey;
  await assert.rejects(writeSsmKey(URL_OF_ROOT, large, ACCESS), {
    code: 'keys/signer-failed',
    message: /expected at most 4096, which a parameter holds/u,
  });
  assert.deepEqual(aws.asked, []);
});

test('writeSsmKey() names the permission that is missing', async (t) => {
  const aws = await fakeWith(t);
  aws.policies.set('AKIAFAKE', ['ssm:GetParameter']);
  await assert.rejects(writeSsmKey(URL_OF_ROOT, ed25519(), ACCESS), {
    code: 'keys/denied',
    details: { name: 'root-a', action: 'ssm:PutParameter' },
  });
});

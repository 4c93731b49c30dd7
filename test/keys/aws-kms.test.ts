/** Keys in AWS KMS, against a server that does what AWS does. */
import assert from 'node:assert/strict';
import { createSecretKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isGantryError } from '../../lib/errors.ts';
import { openReference } from '../../lib/keys/reference.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import { keyContentOf, publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import { verifySignature } from '../../lib/tuf/signature.ts';
import { awsEnvironment, useAwsEnvironment } from '../support/aws.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { startFakeAws, type FakeAws, type FakeKey } from '../support/fake-aws.ts';
import { accessOf } from '../support/signer-access.ts';
import { requireTool } from '../support/tools.ts';

const REGION = 'eu-west-1';
const SECRET = 'wJalrXUtnFEMI/K7MDENG/secret';
const CREDENTIALS = awsEnvironment({ accessKeyId: 'AKIAFAKE', secretAccessKey: SECRET });
/** Larger than what KMS takes of a message. */
const PAYLOAD = randomBytes(10_000);

const rsa = (modulusLength: number): KeyObject => generateKeyPairSync('rsa', { modulusLength }).privateKey;
const ec = (namedCurve: string): KeyObject => generateKeyPairSync('ec', { namedCurve }).privateKey;
const ECDSA = { privateKey: ec('P-256'), spec: 'ECC_NIST_P256' } as const;

/** The environment points at the server; the key has the id `1234-abcd` in the region. */
async function fakeWith(t: TestContext, key?: FakeKey): Promise<FakeAws> {
  const aws = await startFakeAws(t);
  if (key !== undefined) aws.keys.set(`${REGION} 1234-abcd`, key);
  useAwsEnvironment({ ...CREDENTIALS, AWS_REGION: REGION, AWS_ENDPOINT_URL_KMS: aws.endpoint });
  return aws;
}

async function open(t: TestContext, url = 'aws-kms:///1234-abcd'): Promise<Signer> {
  const signer = await openReference(url, accessOf({ name: 'online' }));
  t.after(async () => signer.close?.());
  return signer;
}

async function assertSigns(signer: Signer, payload: Uint8Array = PAYLOAD): Promise<void> {
  assert.ok(verifySignature(signer.key, await signer.sign(payload), payload));
}

for (const [spec, make] of [
  ['RSA_2048', () => rsa(2048)],
  ['RSA_3072', () => rsa(3072)],
  ['RSA_4096', () => rsa(4096)],
  ['ECC_NIST_P256', () => ec('P-256')],
] as const) {
  test(`openReference() signs with an ${spec} key of AWS KMS, more than KMS takes of a message`, async (t) => {
    if (!requireTool(t, 'openssl')) return;
    const privateKey = make();
    const aws = await fakeWith(t, { privateKey, spec });
    const signer = await open(t);
    assert.equal(keyContentOf(signer.key), keyContentOf(publicKeyFromKeyObject(privateKey)));
    await assertSigns(signer);
    assert.deepEqual(aws.asked, [`kms:GetPublicKey ${REGION} AKIAFAKE`, `kms:Sign ${REGION} AKIAFAKE`]);
    assert.equal(aws.requests[1]?.['MessageType'], 'DIGEST');
  });
}

test('openReference() signs with an ed25519 key of AWS KMS what KMS takes as a message, and refuses what is longer', async (t) => {
  await fakeWith(t, { privateKey: generateKeyPairSync('ed25519').privateKey, spec: 'ECC_NIST_EDWARDS25519' });
  const signer = await open(t);
  await assertSigns(signer, randomBytes(4096));
  await assert.rejects(signer.sign(randomBytes(4097)), {
    code: 'keys/signer-failed',
    message: /signs at most 4096 bytes, and these are 4097; expected an RSA or ECDSA key for this role/u,
  });
});

test('openReference() finds a key of AWS KMS by its alias, and by the ARN of either in the region that it names', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const aws = await fakeWith(t, ECDSA);
  aws.keys.set(`${REGION} alias/os/online`, ECDSA);
  aws.keys.set('us-east-2 1234-abcd', ECDSA);
  aws.keys.set('us-east-2 alias/os', ECDSA);
  for (const [id, region] of [
    ['alias/os/online', REGION],
    ['arn:aws:kms:us-east-2:111122223333:key/1234-abcd', 'us-east-2'],
    ['arn:aws:kms:us-east-2:111122223333:alias/os', 'us-east-2'],
  ] as const) {
    aws.asked.length = 0;
    await assertSigns(await open(t, `aws-kms:///${id}`));
    assert.deepEqual(aws.asked, [`kms:GetPublicKey ${region} AKIAFAKE`, `kms:Sign ${region} AKIAFAKE`]);
  }
});

test('openReference() takes credentials and region from the profile that the URL names', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const aws = await fakeWith(t);
  aws.keys.set('ap-south-1 1234-abcd', ECDSA);
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, 'config'), `[profile release]\nregion = ap-south-1\n`);
  await writeFile(join(directory, 'credentials'), `[release]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = ${SECRET}\n`);
  useAwsEnvironment({
    ...CREDENTIALS,
    AWS_ENDPOINT_URL: aws.endpoint,
    AWS_CONFIG_FILE: join(directory, 'config'),
    AWS_SHARED_CREDENTIALS_FILE: join(directory, 'credentials'),
  });
  const warned = t.mock.method(console, 'warn', () => undefined);
  await assertSigns(await open(t, 'aws-kms://release/1234-abcd'));
  assert.deepEqual(aws.asked, ['kms:GetPublicKey ap-south-1 AKIAPROFILE', 'kms:Sign ap-south-1 AKIAPROFILE']);
  assert.equal(warned.mock.callCount(), 0, 'the library prints nothing');
  await assert.rejects(open(t, 'aws-kms://nobody/1234-abcd'), { code: /^keys\/(?:credentials|signer-failed)$/u });
});

test('openReference() refuses a key of AWS KMS that is not the expected one, as when an alias was moved', async (t) => {
  await fakeWith(t, ECDSA);
  const expected = publicKeyFromKeyObject(ec('P-256'));
  await assert.rejects(openReference('aws-kms:///1234-abcd', accessOf({ expected })), { code: 'keys/mismatch' });
});

test('a signature that AWS KMS makes with another key is refused, as when an alias is moved after the key was opened', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  await fakeWith(t, { ...ECDSA, signsWith: ec('P-256') });
  await assert.rejects((await open(t)).sign(PAYLOAD), { code: 'keys/bad-signature' });
});

const unusable: readonly (readonly [what: string, key: FakeKey, message: RegExp])[] = [
  [
    'that encrypts',
    { privateKey: rsa(2048), spec: 'RSA_2048', usage: 'ENCRYPT_DECRYPT' },
    /key usage is ENCRYPT_DECRYPT; expected SIGN_VERIFY/u,
  ],
  ['that agrees on keys', { ...ECDSA, usage: 'KEY_AGREEMENT' }, /key usage is KEY_AGREEMENT; expected SIGN_VERIFY/u],
  [
    'that is symmetric',
    { privateKey: createSecretKey(randomBytes(32)), spec: 'SYMMETRIC_DEFAULT' },
    /none that signs \(UnsupportedOperationException\)/u,
  ],
  ['on another curve', { privateKey: ec('P-384'), spec: 'ECC_NIST_P384' }, /a key of the kind ECC_NIST_P384; expected RSA_2048, /u],
  ['on the curve of coins', { privateKey: ec('secp256k1'), spec: 'ECC_SECG_P256K1' }, /a key of the kind ECC_SECG_P256K1; expected/u],
  [
    'without the algorithm',
    { privateKey: rsa(2048), spec: 'RSA_2048', algorithms: ['RSASSA_PKCS1_V1_5_SHA_256'] },
    /does not sign with RSASSA_PSS_SHA_256, but with RSASSA_PKCS1_V1_5_SHA_256; expected/u,
  ],
  ['that is disabled', { ...ECDSA, state: 'Disabled' }, /the key is disabled; expected it to be enabled/u],
  ['that waits for its deletion', { ...ECDSA, state: 'PendingDeletion' }, /about to be deleted; expected another key/u],
  ['that waits for its material', { ...ECDSA, state: 'PendingImport' }, /in a state in which it does not sign/u],
];
for (const [what, key, message] of unusable) {
  test(`openReference() refuses a key of AWS KMS ${what} before anything is signed`, async (t) => {
    const aws = await fakeWith(t, key);
    await assert.rejects(open(t), { code: 'keys/signer-failed', message });
    assert.deepEqual(aws.asked, [`kms:GetPublicKey ${REGION} AKIAFAKE`]);
  });
}

test('a key of AWS KMS that is disabled after it was opened signs nothing', async (t) => {
  const key: FakeKey = { ...ECDSA };
  await fakeWith(t, key);
  const signer = await open(t);
  key.state = 'Disabled';
  await assert.rejects(signer.sign(PAYLOAD), { code: 'keys/signer-failed', message: /"online": the key is disabled/u });
});

test('openReference() says which region has no such key', async (t) => {
  await fakeWith(t, ECDSA);
  process.env['AWS_REGION'] = 'us-west-2';
  await assert.rejects(open(t), {
    code: 'keys/signer-failed',
    message: /there is no such key in us-west-2; expected the region that has it/u,
  });
  delete process.env['AWS_REGION'];
  await assert.rejects(open(t), { code: 'keys/signer-failed', message: /no region is set; expected AWS_REGION/u });
  process.env['AWS_REGION'] = 'eu-west-1.example.com/';
  await assert.rejects(open(t), { code: 'keys/signer-failed', message: /the region that is set is none; expected one like eu-west-1/u });
});

test('openReference() and sign() name the permission that is missing', async (t) => {
  const aws = await fakeWith(t, ECDSA);
  aws.policies.set('AKIAFAKE', []);
  await assert.rejects(open(t), {
    code: 'keys/denied',
    message: /kms:GetPublicKey was denied/u,
    details: { name: 'online', action: 'kms:GetPublicKey' },
  });
  aws.policies.set('AKIAFAKE', ['kms:GetPublicKey']);
  const signer = await open(t);
  await assert.rejects(signer.sign(PAYLOAD), { code: 'keys/denied', details: { name: 'online', action: 'kms:Sign' } });
});

test('openReference() says when there are no credentials, when they have expired and when they are not accepted', async (t) => {
  const aws = await fakeWith(t, ECDSA);
  aws.policies.set('AKIAFAKE', 'expired');
  await assert.rejects(open(t), {
    code: 'keys/credentials',
    message: /the AWS credentials have expired; expected ones that are valid now/u,
  });
  aws.policies.clear();
  for (const name of [
    'UnrecognizedClientException',
    'InvalidSignatureException',
    'IncompleteSignatureException',
    'MissingAuthenticationTokenException',
  ]) {
    aws.faults.push({ status: 400, name, message: `the request was: x-amz-security-token ${SECRET}` });
    await assert.rejects(open(t), (error: unknown) => {
      assert.ok(isGantryError(error, 'keys/credentials'));
      assert.match(error.message, new RegExp(`not accepted \\(${name}\\)`, 'u'));
      assert.doesNotMatch(error.message, /secret/u);
      return true;
    });
  }
  delete process.env['AWS_ACCESS_KEY_ID'];
  await assert.rejects(open(t), { code: 'keys/credentials', message: /no AWS credentials were found/u });
});

test('a signer of AWS KMS gets new credentials when those that a program gave it expire', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const aws = await fakeWith(t, ECDSA);
  const directory = await temporaryDirectory(t);
  const program = join(directory, 'credentials.mjs');
  // The first pair expires in a second, the next one much later.
  await writeFile(
    program,
    `import { existsSync, writeFileSync } from 'node:fs';
    const again = existsSync('${directory}/asked');
    writeFileSync('${directory}/asked', '');
    const Expiration = new Date(Date.now() + (again ? 3600_000 : 1000)).toISOString();
    console.log(JSON.stringify({ Version: 1, AccessKeyId: again ? 'AKIASECOND' : 'AKIAFIRST', SecretAccessKey: 's', SessionToken: 't', Expiration }));`,
  );
  await writeFile(join(directory, 'config'), `[default]\ncredential_process = "${process.execPath}" "${program}"\n`);
  useAwsEnvironment({ AWS_CONFIG_FILE: join(directory, 'config'), AWS_REGION: REGION, AWS_ENDPOINT_URL_KMS: aws.endpoint });
  const signer = await open(t);
  await sleep(1100);
  await assertSigns(signer);
  assert.deepEqual(aws.asked, [`kms:GetPublicKey ${REGION} AKIAFIRST`, `kms:Sign ${REGION} AKIASECOND`]);
});

test('a call to AWS KMS that is throttled, fails inside or loses its answer is made again', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const aws = await fakeWith(t, ECDSA);
  aws.faults.push({ status: 400, name: 'ThrottlingException' }, { status: 500, name: 'KMSInternalException' });
  const signer = await open(t);
  aws.faults.push({ cut: 'before' }, { cut: 'after' }, { status: 500, name: 'DependencyTimeoutException' });
  await assertSigns(signer);
});

test('openReference() gives up after some tries, with keys/no-answer', async (t) => {
  const aws = await fakeWith(t, ECDSA);
  // No wait is shorter than the one without jitter.
  t.mock.method(Math, 'random', () => 0);
  for (const name of ['ThrottlingException', 'KMSInternalException']) {
    aws.asked.length = 0;
    aws.faults.push(...Array.from({ length: 9 }, () => ({ status: name === 'ThrottlingException' ? 400 : 500, name })));
    await assert.rejects(open(t), { code: 'keys/no-answer', message: new RegExp(`status \\d+, ${name}, in 5 tries; expected`, 'u') });
    assert.equal(aws.asked.length, 5);
    aws.faults.length = 0;
  }
});

test('openReference() says keys/no-answer when nothing listens', async (t) => {
  await fakeWith(t, ECDSA);
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  // The proof: a TCP server has an address of this kind.
  const { port } = closed.address() as AddressInfo;
  closed.close();
  process.env['AWS_ENDPOINT_URL_KMS'] = `http://127.0.0.1:${port}`;
  await assert.rejects(open(t), { code: 'keys/no-answer', message: /no answer from AWS KMS \(ECONNREFUSED\), in 5 tries/u });
});

test('what answers in the place of AWS KMS may say anything, and gives one clear error', async (t) => {
  const aws = await fakeWith(t, ECDSA);
  for (const [status, body] of [
    [200, '<html>welcome</html>'],
    [200, '{}'],
    [200, '{"PublicKey":"AAAA","KeyUsage":"SIGN_VERIFY","SigningAlgorithms":["ECDSA_SHA_256"]}'],
    [200, '{"PublicKey":7,"KeyUsage":"SIGN_VERIFY\\u001b[2J"}'],
    [404, '<html>not here</html>'],
    [400, '{"__type":"\\u001b[2JEvil","message":"x"}'],
    [301, ''],
  ] as const) {
    aws.faults.push({ status, body });
    await assert.rejects(open(t), (error: unknown) => {
      assert.ok(isGantryError(error), `${status} ${body}: ${String(error)}`);
      assert.match(error.code, /^keys\/(?:signer-failed|no-answer)$/u);
      assert.ok(!error.message.includes('\u001b'), error.message);
      return true;
    });
  }
});

test('a key of AWS KMS shows no secret in what an error says', async (t) => {
  const aws = await fakeWith(t, ECDSA);
  aws.faults.push({ status: 400, name: 'SomethingNewException', message: `Authorization: ${SECRET}` });
  await assert.rejects(open(t), (error: unknown) => {
    assert.ok(isGantryError(error, 'keys/signer-failed'));
    assert.equal(
      error.message,
      'Cannot use the key "online": AWS KMS answered with status 400, SomethingNewException; expected it to do kms:GetPublicKey',
    );
    return true;
  });
});

/** Keys in AWS from the command line: brought in by their URLs, given a role, and signing what is published. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { keyIdOf, publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import { awsScene as scene, AWS_SECRET as SECRET, expectDone, REGION } from '../support/aws-scene.ts';
import { ADD } from '../support/cli.ts';
import { requireTool } from '../support/tools.ts';

test('a repository is published whose snapshot and timestamp a key in KMS signs, and whose targets one in an SSM parameter', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const { aws, workspace, run } = await scene(t);
  const online = generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey;
  const targets = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  aws.keys.set(`${REGION} alias/os/online`, { privateKey: online, spec: 'RSA_3072' });
  aws.parameters.set(`${REGION} /os/targets`, { value: String(targets.export({ format: 'pem', type: 'pkcs1' })), type: 'SecureString' });

  await expectDone(run('key', 'import', 'kms', 'aws-kms:///alias/os/online'));
  await expectDone(run('key', 'import', 'ssm', 'aws-ssm:///os/targets'));
  await expectDone(run('key', 'check', 'kms', 'ssm'));
  await expectDone(run('root', 'replace-key', 'online', 'kms', '--yes'));
  await expectDone(run('root', 'replace-key', 'targets', 'ssm', '--yes'));
  for (const args of [['sign'], ['publish', '--yes'], ADD, ['sign'], ['publish']]) await expectDone(run(...args));

  const published = async (file: string): Promise<readonly string[]> => {
    const text = await readFile(join(workspace, '..', 'public', 'metal', 'x86_64', file), 'utf8');
    const { signatures }: { readonly signatures: readonly { readonly keyid: string }[] } = JSON.parse(text);
    return signatures.map(({ keyid }) => keyid);
  };
  assert.deepEqual(await published('timestamp.json'), [keyIdOf(publicKeyFromKeyObject(online))]);
  assert.deepEqual(await published('1.targets.json'), [keyIdOf(publicKeyFromKeyObject(targets))]);
  await expectDone(run('lint'));
});

test('gantry key check says in one clear line why a key in AWS cannot be used, and shows no secret', async (t) => {
  const { aws, run } = await scene(t);
  const key = { privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, spec: 'ECC_NIST_P256' };
  aws.keys.set(`${REGION} 1234-abcd`, key);
  await expectDone(run('key', 'import', 'kms', 'aws-kms:///1234-abcd'));
  for (const [policy, message] of [
    [['kms:GetPublicKey'], /kms:Sign was denied; expected credentials that have it for this key/u],
    ['expired', /the AWS credentials have expired; expected ones that are valid now/u],
  ] as const) {
    aws.policies.set('AKIAFAKE', policy);
    const { code, stdout, stderr } = await run('key', 'check', 'kms');
    assert.notEqual(code, 0);
    assert.match(stdout + stderr, message);
    assert.ok(!(stdout + stderr).includes(SECRET));
  }
});

test('gantry key import of what is no key in AWS exits with 3, and without an answer with 4; neither leaves anything behind', async (t) => {
  const { aws, run } = await scene(t);
  for (const [url, code, words] of [
    ['aws-kms://', 3, 'keys/bad-reference'],
    ['aws-ssm:///a?key-id=b', 3, 'keys/bad-reference'],
    ['aws-kms:///alias/nobody', 3, 'keys/signer-failed'],
    ['aws-ssm:///nothing', 3, 'keys/signer-failed'],
  ] as const) {
    const answer = await run('key', 'import', 'cloud', url, '--json');
    assert.equal(answer.code, code, answer.stderr);
    assert.match(answer.stdout, new RegExp(words, 'u'));
  }
  aws.policies.set('AKIAFAKE', []);
  const denied = await run('key', 'import', 'cloud', 'aws-kms:///1234', '--json');
  assert.equal(denied.code, 4, denied.stderr);
  assert.match(denied.stdout, /keys\/denied/u);
  assert.doesNotMatch(await expectDone(run('key', 'list', '--json')), /cloud/u);
});

import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { generatePrivateKey, KEY_TYPES } from '../../lib/keys/generate.ts';
import { writeKeyFile } from '../../lib/keys/key-file.ts';
import { passphraseFrom } from '../../lib/keys/passphrase.ts';
import { isKeyReference, openReference } from '../../lib/keys/reference.ts';
import { publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import { verifySignature } from '../../lib/tuf/signature.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { accessOf } from '../support/signer-access.ts';

/** A program of somebody's own: signs as the contract says, with the key in a file. */
const PROGRAM = `#!${process.execPath}
const { createPublicKey, createPrivateKey, sign, constants } = require('node:crypto');
const { readFileSync, writeFileSync } = require('node:fs');
const [, , file, seen, verb] = process.argv;
writeFileSync(seen, JSON.stringify(process.env));
const key = createPrivateKey(readFileSync(file));
if (verb === 'public-key') process.stdout.write(createPublicKey(key).export({ format: 'pem', type: 'spki' }));
else if (verb === 'sign') {
  const options = { key, dsaEncoding: 'der' };
  if (key.asymmetricKeyType === 'rsa') Object.assign(options, { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
  process.stdout.write(sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', readFileSync(0), options));
}
`;

async function program(t: TestContext, text: string): Promise<{ readonly directory: string; readonly file: string }> {
  const directory = await temporaryDirectory(t);
  const file = join(directory, 'sign er.cjs');
  await writeFile(file, text);
  await chmod(file, 0o755);
  return { directory, file };
}

async function withKey(t: TestContext, key: KeyObject): Promise<{ readonly url: string; readonly seen: string }> {
  const { directory, file } = await program(t, PROGRAM);
  const [pem, seen] = [join(directory, 'k&y.pem'), join(directory, 'seen')];
  await writeFile(pem, key.export({ format: 'pem', type: 'pkcs8' }));
  return {
    url: `command:${encodeURIComponent(file)}?${new URLSearchParams([
      ['arg', pem],
      ['arg', seen],
    ]).toString()}`,
    seen,
  };
}

for (const type of KEY_TYPES) {
  test(`openReference() signs with a program that has an ${type} key, which sees no secret of ours`, async (t) => {
    const key = await generatePrivateKey(type);
    const { url, seen } = await withKey(t, key);
    const env = { PATH: process.env['PATH'], GANTRY_PASSPHRASE: 'secret', GANTRY_PIN: '1234', OWN: 'x' };
    const signer = await openReference(url, accessOf({ env, expected: publicKeyFromKeyObject(key) }));
    for (const payload of [Buffer.alloc(0), randomBytes(1 << 20)])
      assert.ok(verifySignature(signer.key, await signer.sign(payload), payload));
    const environment = await readFile(seen, 'utf8');
    assert.match(environment, /"OWN":"x"/u);
    assert.doesNotMatch(environment, /GANTRY|secret|1234/u);
  });
}

test('openReference() refuses a key that is not the expected one', async (t) => {
  const { url } = await withKey(t, await generatePrivateKey('ed25519'));
  const expected = publicKeyFromKeyObject(await generatePrivateKey('ed25519'));
  await assert.rejects(openReference(url, accessOf({ env: process.env, expected })), { code: 'keys/mismatch' });
});

for (const [what, text, message] of [
  ['ends with an exit code', 'console.error("token is locked"); process.exit(7)', /ended with exit code 7; it says "token is locked"/u],
  ['is killed', 'process.kill(process.pid, "SIGKILL")', /was stopped by SIGKILL/u],
  ['writes no key', 'console.log("hello")', /is no key that can sign/u],
  ['writes a key of another kind', `console.log(${JSON.stringify(p384())})`, /is no key that can sign/u],
  ['never stops writing', 'for (;;) require("node:fs").writeSync(1, "x".repeat(65536))', /wrote more than 65536 bytes/u],
] as const) {
  test(`openReference() says keys/signer-failed when the program ${what}`, async (t) => {
    const { file } = await program(t, `#!${process.execPath}\n${text}\n`);
    await assert.rejects(openReference(`command:${encodeURIComponent(file)}`, accessOf({ env: process.env })), {
      code: 'keys/signer-failed',
      message,
    });
  });
}

function p384(): string {
  return generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'pem', type: 'spki' });
}

test('a signer refuses what a program returned when it does not verify', async (t) => {
  const { directory, file } = await program(t, PROGRAM.replace('readFileSync(0), options', "'something else', options"));
  const pem = join(directory, 'k.pem');
  await writeFile(pem, (await generatePrivateKey('ed25519')).export({ format: 'pem', type: 'pkcs8' }));
  const signer = await openReference(
    `command:${encodeURIComponent(file)}?arg=${pem}&arg=${directory}/seen`,
    accessOf({ env: process.env }),
  );
  await assert.rejects(signer.sign(randomBytes(8)), { code: 'keys/bad-signature' });
});

test('openReference() says that there is no such program, or that it cannot be run', async (t) => {
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, 'text'), '');
  for (const [file, message] of [
    [join(directory, 'missing'), /there is no such program/u],
    [join(directory, 'text'), /it is not executable/u],
  ] as const) {
    await assert.rejects(openReference(`command:${file}`, accessOf()), { code: 'keys/signer-failed', message });
  }
});

for (const url of [
  '',
  'x',
  'C:\\keys\\a.pem',
  'foo:bar',
  'command:',
  'command:%zz',
  'command:a?b=c',
  'file:relative',
  'file://host/x',
  'FILE:///x',
]) {
  test(`openReference() refuses ${JSON.stringify(url)}`, async () => {
    await assert.rejects(openReference(url, accessOf()), { code: 'keys/bad-reference' });
  });
}

test('isKeyReference() takes a path for a path', () => {
  for (const path of ['key.pem', './a:b', '/a/b:c', 'C:\\keys\\a.pem', '', '1:x']) assert.equal(isKeyReference(path), false, path);
  for (const url of ['pkcs11:token=x', 'aws-kms:///k', 'ssh-agent:x', 'unknown:x']) assert.equal(isKeyReference(url), true, url);
});

test('openReference() opens a key file that stays where it is, and asks again as often as it is worth', async (t) => {
  const directory = await temporaryDirectory(t);
  const { privatePath, keyId } = await writeKeyFile(directory, 'k', await generatePrivateKey('ed25519'), { passphrase: 'right' });
  let asked = 0;
  const passphrases = passphraseFrom({ env: {}, prompt: async () => (asked++ === 0 ? 'wrong' : 'right') });
  const signer = await openReference(pathToFileURL(privatePath).href, accessOf({ passphrases }));
  assert.equal(signer.keyId, keyId);
  assert.equal(asked, 2);
});

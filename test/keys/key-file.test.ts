import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdir, readFile, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isGantryError, type ErrorCode, type GantryError } from '../../lib/errors.ts';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { checkKeyName, importKeyFile, listKeyFiles, openKeySigner, readPublicKeyFile, writeKeyFile } from '../../lib/keys/key-file.ts';
import { keyIdOf, publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import { verifySignature } from '../../lib/tuf/signature.ts';
import { temporaryDirectory } from '../support/engineer.ts';

const PAYLOAD = Buffer.from('payload');
const PASSPHRASE = 'correct horse';
const give = (passphrase: string) => async (): Promise<string> => passphrase;

async function never(): Promise<string> {
  throw new Error('nobody may be asked');
}

/** The error, after a check of its code and that it is one line. */
async function refusal<C extends ErrorCode>(code: C, work: Promise<unknown>): Promise<GantryError<C>> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isGantryError(error, code))
    throw new assert.AssertionError({ message: `expected ${code}, got ${String(error)}`, actual: error, expected: code });
  assert.doesNotMatch(error.message, /\n/u);
  return error;
}

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

test('writeKeyFile() writes an encrypted 0600 file and a public half in a 0700 directory', async (t) => {
  const directory = join(await temporaryDirectory(t), 'deep', 'keys');
  const written = await writeKeyFile(directory, 'root-a', await generatePrivateKey('ed25519'), { passphrase: PASSPHRASE });
  assert.deepEqual((await readdir(directory)).toSorted(), ['root-a.pem', 'root-a.pub.pem']);
  assert.equal(await modeOf(directory), 0o700);
  assert.equal(await modeOf(written.privatePath), 0o600);
  assert.match(
    await readFile(written.privatePath, 'utf8'),
    /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n(?:[A-Za-z0-9+/=]{1,64}\n)+-----END ENCRYPTED PRIVATE KEY-----\n$/u,
  );
  assert.deepEqual(await readPublicKeyFile(written.publicPath), written.key);
  const signer = await openKeySigner(written.privatePath, { name: 'root-a', expected: written.keyId, passphrase: give(PASSPHRASE) });
  assert.ok(verifySignature(written.key, await signer.sign(PAYLOAD), PAYLOAD));
});

test('writeKeyFile() writes plain PKCS#8, still 0600, when there is no passphrase, and nobody is asked to open it', async (t) => {
  const directory = await temporaryDirectory(t);
  const { privatePath, encrypted } = await writeKeyFile(directory, 'k', await generatePrivateKey('ecdsa'), { passphrase: undefined });
  assert.equal(encrypted, false);
  assert.match(await readFile(privatePath, 'utf8'), /^-----BEGIN PRIVATE KEY-----\n/u);
  assert.equal(await modeOf(privatePath), 0o600);
  await openKeySigner(privatePath, { name: 'k', passphrase: never });
});

for (const taken of ['k.pem', 'k.pub.pem']) {
  test(`writeKeyFile() leaves everything as it was when ${taken} exists`, async (t) => {
    const directory = await temporaryDirectory(t);
    await writeFile(join(directory, taken), 'precious');
    const error = await refusal(
      'keys/exists',
      writeKeyFile(directory, 'k', await generatePrivateKey('ed25519'), { passphrase: undefined }),
    );
    assert.deepEqual(error.details, { name: 'k', path: join(directory, taken) });
    assert.deepEqual(await readdir(directory), [taken]);
    assert.equal(await readFile(join(directory, taken), 'utf8'), 'precious');
  });
}

for (const passphrase of ['', 'x'.repeat(1025), 'é'.repeat(513)]) {
  test(`writeKeyFile() writes nothing when the passphrase has ${Buffer.byteLength(passphrase)} bytes`, async (t) => {
    const directory = join(await temporaryDirectory(t), 'keys');
    const error = await refusal(
      'keys/passphrase-needed',
      writeKeyFile(directory, 'k', await generatePrivateKey('ed25519'), { passphrase }),
    );
    assert.deepEqual(error.details, { path: join(directory, 'k.pem') });
    assert.doesNotMatch(error.message, /xx|éé/u);
    await assert.rejects(stat(directory), { code: 'ENOENT' });
  });
}

test('openKeySigner() opens a key whose passphrase has the most bytes that openssl reads', async (t) => {
  const passphrase = 'é'.repeat(512);
  const { privatePath } = await writeKeyFile(await temporaryDirectory(t), 'k', await generatePrivateKey('ed25519'), { passphrase });
  await openKeySigner(privatePath, { name: 'k', passphrase: give(passphrase) });
});

test('checkKeyName() refuses what is not a plain file name', () => {
  for (const name of ['a', 'root-a', 'Z', '0', 'a.b_c-d', 'pub', 'x'.repeat(64)]) assert.equal(checkKeyName(name), name);
  for (const name of ['', '.', '..', '.a', '-a', '_a', 'a/b', 'a\\b', 'a b', 'a\n', 'ä', 'a\u0000', 'a.pub', 'x'.repeat(65)]) {
    assert.throws(() => checkKeyName(name), { code: 'keys/bad-name', details: { name } });
  }
});

test('writeKeyFile() writes nothing when the name leaves the directory', async (t) => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'keys'));
  await refusal(
    'keys/bad-name',
    writeKeyFile(join(directory, 'keys'), '../k', await generatePrivateKey('ed25519'), { passphrase: undefined }),
  );
  assert.deepEqual(await readdir(directory, { recursive: true }), ['keys']);
});

test('openKeySigner() says one line, with the file and without the passphrase, when the passphrase is wrong', async (t) => {
  const { privatePath } = await writeKeyFile(await temporaryDirectory(t), 'k', await generatePrivateKey('ed25519'), {
    passphrase: PASSPHRASE,
  });
  const error = await refusal('keys/passphrase-wrong', openKeySigner(privatePath, { name: 'k', passphrase: give('battery staple') }));
  assert.deepEqual(error.details, { path: privatePath });
  assert.ok(error.message.includes(privatePath));
  assert.doesNotMatch(error.message, /battery|staple|openssl|decrypt/iu);
  assert.equal(error.cause, undefined);
});

test('openKeySigner() refuses an empty passphrase by that name', async (t) => {
  const { privatePath } = await writeKeyFile(await temporaryDirectory(t), 'k', await generatePrivateKey('ed25519'), {
    passphrase: PASSPHRASE,
  });
  const error = await refusal('keys/passphrase-needed', openKeySigner(privatePath, { name: 'k', passphrase: give('') }));
  assert.match(error.message, /empty/u);
});

for (const mode of [0o640, 0o604, 0o620, 0o644, 0o777]) {
  const octal = mode.toString(8);
  test(`openKeySigner() refuses the file, unread, when its mode is ${octal}`, async (t) => {
    const { privatePath } = await writeKeyFile(await temporaryDirectory(t), 'k', await generatePrivateKey('ed25519'), {
      passphrase: PASSPHRASE,
    });
    await chmod(privatePath, mode);
    const error = await refusal('files/exposed', openKeySigner(privatePath, { name: 'k', passphrase: never }));
    assert.deepEqual(error.details, { path: privatePath, mode: octal });
    assert.match(error.message, /expected 600/u);
  });
}

test('openKeySigner() looks at what a link leads to when the link itself is open to all', async (t) => {
  const directory = await temporaryDirectory(t);
  const { privatePath } = await writeKeyFile(directory, 'k', await generatePrivateKey('ed25519'), { passphrase: undefined });
  await symlink(privatePath, join(directory, 'link.pem'));
  await openKeySigner(join(directory, 'link.pem'), { name: 'k', passphrase: never });
  await chmod(privatePath, 0o644);
  await refusal('files/exposed', openKeySigner(join(directory, 'link.pem'), { name: 'k', passphrase: never }));
});

test('openKeySigner() says which key is missing when there is no file', async (t) => {
  const path = join(await temporaryDirectory(t), 'k.pem');
  const error = await refusal('keys/missing', openKeySigner(path, { name: 'online', passphrase: never }));
  assert.deepEqual(error.details, { name: 'online', path });
});

test('openKeySigner() says files/not-readable when the path is a directory', async (t) => {
  await refusal('files/not-readable', openKeySigner(await temporaryDirectory(t), { name: 'k', passphrase: never }));
});

test('openKeySigner() refuses a key that is not the expected one', async (t) => {
  const directory = await temporaryDirectory(t);
  const a = await writeKeyFile(directory, 'a', await generatePrivateKey('ed25519'), { passphrase: undefined });
  const b = await writeKeyFile(directory, 'b', await generatePrivateKey('ed25519'), { passphrase: undefined });
  const error = await refusal('keys/mismatch', openKeySigner(a.privatePath, { name: 'b', expected: b.keyId, passphrase: never }));
  assert.deepEqual(error.details, { name: 'b', expected: b.keyId, found: a.keyId });
});

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const OPENSSH = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE=\n-----END OPENSSH PRIVATE KEY-----\n';
const FOREIGN: readonly (readonly [what: string, text: string, found: RegExp, remedy: RegExp])[] = [
  ['PKCS#1', rsa.privateKey.export({ format: 'pem', type: 'pkcs1' }), /PKCS#1/u, /openssl pkcs8 -topk8 -scrypt -in "[^"]+k\.pem" -out/u],
  [
    'encrypted PKCS#1',
    rsa.privateKey.export({ format: 'pem', type: 'pkcs1', cipher: 'aes-128-cbc', passphrase: PASSPHRASE }),
    /PKCS#1/u,
    /openssl pkcs8 -topk8/u,
  ],
  ['SEC1', p256.privateKey.export({ format: 'pem', type: 'sec1' }), /SEC1/u, /openssl pkcs8 -topk8/u],
  ['OpenSSH', OPENSSH, /OpenSSH/u, /ssh-keygen -p -m PKCS8.*openssl genpkey/u],
  ['a public key', p256.publicKey.export({ format: 'pem', type: 'spki' }), /public key/u, /openssl genpkey/u],
  ['an unknown label', '-----BEGIN SOMETHING ELSE-----\nAAAA\n-----END SOMETHING ELSE-----\n', /BEGIN SOMETHING ELSE/u, /openssl pkcs8/u],
];

for (const [what, text, found, remedy] of FOREIGN) {
  test(`openKeySigner() says keys/unsupported and how to convert when the file is ${what}`, async (t) => {
    const path = join(await temporaryDirectory(t), 'k.pem');
    await writeFile(path, text, { mode: 0o600 });
    const error = await refusal('keys/unsupported', openKeySigner(path, { name: 'k', passphrase: never }));
    assert.equal(error.details.path, path);
    assert.match(error.details.found, found);
    assert.match(error.message, remedy);
  });
}

test('readPublicKeyFile() says keys/unsupported and how to convert when the file is in another form', async (t) => {
  const path = join(await temporaryDirectory(t), 'k.pub.pem');
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const forms: readonly (readonly [string, RegExp])[] = [
    [rsa.publicKey.export({ format: 'pem', type: 'pkcs1' }), /openssl rsa -RSAPublicKey_in/u],
    [rsa.privateKey.export({ format: 'pem', type: 'pkcs8' }), /openssl pkey -in .* -pubout/u],
    ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /openssl x509/u],
    ['ssh-rsa AAAAB3NzaC1yc2E= me@there\n', /ssh-keygen -e -m PKCS8/u],
    [p384.publicKey.export({ format: 'pem', type: 'spki' }), /secp384r1/u],
  ];
  for (const [text, remedy] of forms) {
    await writeFile(path, text);
    const error = await refusal('keys/unsupported', readPublicKeyFile(path));
    assert.equal(error.details.path, path);
    assert.match(error.message, remedy);
  }
});

test('readPublicKeyFile() names the file when it holds no key', async (t) => {
  const path = join(await temporaryDirectory(t), 'k.pub.pem');
  for (const text of ['', 'no PEM', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n', '-----BEGIN PUBLIC KEY-----\nAAAA']) {
    await writeFile(path, text);
    assert.deepEqual((await refusal('keys/unreadable', readPublicKeyFile(path))).details, { path });
  }
  await refusal('files/missing', readPublicKeyFile(join(path, '..', 'none.pub.pem')));
});

test('openKeySigner() reads PEM with Windows line ends, and with text around it', async (t) => {
  const directory = await temporaryDirectory(t);
  const { privatePath } = await writeKeyFile(directory, 'k', await generatePrivateKey('ed25519'), { passphrase: undefined });
  const path = join(directory, 'windows.pem');
  await writeFile(path, `\ufeffBag Attributes\r\n${(await readFile(privatePath, 'utf8')).replaceAll('\n', '\r\n')}\r\ntrailer`, {
    mode: 0o600,
  });
  await openKeySigner(path, { name: 'k', passphrase: never });
});

test('listKeyFiles() names every public half in order, and knows which private halves are there and encrypted', async (t) => {
  const directory = await temporaryDirectory(t);
  const b = await writeKeyFile(directory, 'b', await generatePrivateKey('ed25519'), { passphrase: PASSPHRASE });
  const a = await writeKeyFile(directory, 'a', await generatePrivateKey('ed25519'), { passphrase: undefined });
  await writeFile(join(directory, 'c.pub.pem'), await readFile(a.publicPath));
  await writeFile(join(directory, 'd.pub.pem'), await readFile(b.publicPath));
  await writeFile(join(directory, 'd.pem'), OPENSSH, { mode: 0o600 });
  for (const other of ['.hidden.pub.pem', 'private-only.pem', 'notes.txt']) await writeFile(join(directory, other), 'not a key');
  assert.deepEqual(await listKeyFiles(directory), [
    { name: 'a', key: a.key, keyId: a.keyId, privatePath: a.privatePath, encrypted: false },
    { name: 'b', key: b.key, keyId: b.keyId, privatePath: b.privatePath, encrypted: true },
    { name: 'c', key: a.key, keyId: a.keyId },
    { name: 'd', key: b.key, keyId: b.keyId, privatePath: join(directory, 'd.pem') },
  ]);
  assert.deepEqual(await listKeyFiles(join(directory, 'none')), []);
});

test('listKeyFiles() names the file when a public half is broken', async (t) => {
  const path = join(await temporaryDirectory(t), 'k.pub.pem');
  await writeFile(path, 'broken');
  assert.deepEqual((await refusal('keys/unreadable', listKeyFiles(join(path, '..')))).details, { path });
});

test('importKeyFile() makes an encrypted copy under a new name and leaves the source alone', async (t) => {
  const directory = await temporaryDirectory(t);
  const source = join(directory, 'source.pem');
  const text = p256.privateKey.export({ format: 'pem', type: 'pkcs8' });
  await writeFile(source, text, { mode: 0o600 });
  const target = { directory: join(directory, 'keys'), name: 'imported', passphrase: PASSPHRASE };
  const imported = await importKeyFile(source, target, never);
  assert.equal(await readFile(source, 'utf8'), text);
  assert.equal(imported.keyId, keyIdOf(publicKeyFromKeyObject(p256.publicKey)));
  assert.match(await readFile(imported.privatePath, 'utf8'), /BEGIN ENCRYPTED PRIVATE KEY/u);
  await openKeySigner(imported.privatePath, { name: 'imported', expected: imported.keyId, passphrase: give(PASSPHRASE) });
});

test('importKeyFile() writes nothing when others can read the source', async (t) => {
  const directory = await temporaryDirectory(t);
  const source = join(directory, 'source.pem');
  await writeFile(source, p256.privateKey.export({ format: 'pem', type: 'pkcs8' }));
  await chmod(source, 0o644);
  await refusal('files/exposed', importKeyFile(source, { directory: join(directory, 'keys'), name: 'k', passphrase: undefined }, never));
  assert.deepEqual(await readdir(directory), ['source.pem']);
});

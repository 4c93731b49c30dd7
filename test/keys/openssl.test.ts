/** The machine's own openssl: it opens what we write, and we open what it writes. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { generatePrivateKey, KEY_TYPES } from '../../lib/keys/generate.ts';
import { openKeySigner, readPublicKeyFile, writeKeyFile } from '../../lib/keys/key-file.ts';
import { keyIdOf } from '../../lib/tuf/key.ts';
import { verifySignature } from '../../lib/tuf/signature.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { requireTool } from '../support/tools.ts';

const run = promisify(execFile);
const PAYLOAD = Buffer.from('{"_type":"root"}');

async function openssl(...args: readonly string[]): Promise<string> {
  const { stdout } = await run('openssl', args, { env: { PATH: process.env['PATH'], SECRET: 'Gänse füße' } });
  return stdout;
}

function never(): Promise<string> {
  throw new Error('nobody may be asked');
}

for (const type of KEY_TYPES) {
  test(`writeKeyFile() makes a file that openssl pkey opens when the key is ${type}`, async (t) => {
    if (!requireTool(t, 'openssl')) return;
    const directory = await temporaryDirectory(t);
    const { privatePath, publicPath } = await writeKeyFile(directory, 'k', await generatePrivateKey(type), { passphrase: 'Gänse füße' });
    const published = await openssl('pkey', '-in', privatePath, '-passin', 'env:SECRET', '-pubout');
    assert.equal(published, await readFile(publicPath, 'utf8'));
    await assert.rejects(openssl('pkey', '-in', privatePath, '-passin', 'pass:wrong', '-noout'));
  });
}

test('writeKeyFile() stores RSA as rsaEncryption, and its signer makes PSS signatures that openssl verifies', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const directory = await temporaryDirectory(t);
  const { privatePath, publicPath } = await writeKeyFile(directory, 'k', await generatePrivateKey('rsa'), { passphrase: undefined });
  assert.equal(createPublicKey(await readFile(publicPath, 'utf8')).asymmetricKeyType, 'rsa');
  const { sig } = await (await openKeySigner(privatePath, { name: 'k', passphrase: never })).sign(PAYLOAD);
  const [payloadFile, signatureFile] = [join(directory, 'payload'), join(directory, 'signature')];
  await writeFile(payloadFile, PAYLOAD);
  await writeFile(signatureFile, Buffer.from(sig, 'hex'));
  const pss = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32'];
  assert.match(await openssl('dgst', '-sha256', ...pss, '-verify', publicPath, '-signature', signatureFile, payloadFile), /Verified OK/u);
});

test('encryptPrivateKey() uses scrypt with N=16384, r=8, p=5 and AES-256-CBC, with a salt and an IV of its own each time', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const directory = await temporaryDirectory(t);
  const key = await generatePrivateKey('ed25519');
  const octets: string[][] = [];
  for (const name of ['a', 'b']) {
    const { privatePath } = await writeKeyFile(directory, name, key, { passphrase: 'pass' });
    const structure = await openssl('asn1parse', '-in', privatePath);
    for (const part of [
      /:PBES2/u,
      /:(scrypt|id-scrypt)/u,
      /INTEGER +:4000\n/u,
      /INTEGER +:08\n/u,
      /INTEGER +:05\n/u,
      /INTEGER +:20\n/u,
      /:aes-256-cbc/u,
    ]) {
      assert.match(structure, part);
    }
    octets.push([...structure.matchAll(/\[HEX DUMP\]:([0-9A-F]+)/gu)].map(([, hex = '']) => hex));
  }
  const [[saltA = '', ivA = ''] = [], [saltB = '', ivB = ''] = []] = octets;
  assert.deepEqual(
    [saltA, ivA, saltB, ivB].map(({ length }) => length),
    [32, 32, 32, 32],
  );
  assert.equal(new Set([saltA, ivA, saltB, ivB]).size, 4);
});

interface Recipe {
  readonly what: string;
  /** What follows `openssl genpkey`. */
  readonly algorithm: readonly string[];
  /** What follows `openssl pkcs8 -topk8`; undefined leaves the key as it is. */
  readonly encryption: readonly string[] | undefined;
}

const ED25519 = ['-algorithm', 'ed25519'];
const P256 = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const RSA = ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'];
const READABLE: readonly Recipe[] = [
  { what: 'plain ed25519', algorithm: ED25519, encryption: undefined },
  { what: 'plain P-256', algorithm: P256, encryption: undefined },
  { what: 'plain RSA', algorithm: RSA, encryption: undefined },
  { what: 'encrypted as openssl likes', algorithm: ED25519, encryption: [] },
  {
    what: 'encrypted with PBKDF2 and SHA-256',
    algorithm: P256,
    encryption: ['-v2', 'aes-256-cbc', '-v2prf', 'hmacWithSHA256', '-iter', '5000'],
  },
  { what: 'encrypted with PBKDF2, SHA-512 and AES-128', algorithm: RSA, encryption: ['-v2', 'aes-128-cbc', '-v2prf', 'hmacWithSHA512'] },
  { what: 'encrypted with scrypt', algorithm: ED25519, encryption: ['-scrypt'] },
];

async function make(directory: string, { algorithm, encryption }: Recipe): Promise<string> {
  const plain = join(directory, 'plain.pem');
  await openssl('genpkey', ...algorithm, '-out', plain);
  if (encryption === undefined) return plain;
  const encrypted = join(directory, 'encrypted.pem');
  await openssl('pkcs8', '-topk8', ...encryption, '-in', plain, '-passout', 'env:SECRET', '-out', encrypted);
  return encrypted;
}

for (const recipe of READABLE) {
  test(`openKeySigner() signs when openssl wrote the key: ${recipe.what}`, async (t) => {
    if (!requireTool(t, 'openssl')) return;
    const directory = await temporaryDirectory(t);
    const path = await make(directory, recipe);
    const publicPath = join(directory, 'public.pem');
    await openssl('pkey', '-in', path, '-passin', 'env:SECRET', '-pubout', '-out', publicPath);
    const key = await readPublicKeyFile(publicPath);
    const passphrase = recipe.encryption === undefined ? never : async (): Promise<string> => 'Gänse füße';
    const signer = await openKeySigner(path, { name: 'k', expected: keyIdOf(key), passphrase });
    assert.ok(verifySignature(key, await signer.sign(PAYLOAD), PAYLOAD));
  });
}

const REFUSED: readonly (Recipe & { readonly found: RegExp; readonly remedy: RegExp })[] = [
  {
    what: 'P-384',
    algorithm: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
    encryption: undefined,
    found: /secp384r1/u,
    remedy: /openssl genpkey/u,
  },
  {
    what: 'an encrypted P-384',
    algorithm: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
    encryption: ['-scrypt'],
    found: /secp384r1/u,
    remedy: /openssl genpkey/u,
  },
  {
    what: 'RSA of 1024 bits',
    algorithm: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'],
    encryption: undefined,
    found: /rsa of 1024 bits/u,
    remedy: /openssl genpkey/u,
  },
  {
    what: 'RSA that is tied to PSS',
    algorithm: ['-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048'],
    encryption: undefined,
    found: /rsa-pss/u,
    remedy: /openssl genpkey/u,
  },
  { what: 'X25519', algorithm: ['-algorithm', 'x25519'], encryption: undefined, found: /x25519/u, remedy: /openssl genpkey/u },
  {
    what: 'triple DES',
    algorithm: ED25519,
    encryption: ['-v2', 'des3'],
    found: /outdated cipher/u,
    remedy: /openssl pkcs8 -topk8 -scrypt -in/u,
  },
  {
    what: 'PBES1',
    algorithm: ED25519,
    encryption: ['-v1', 'PBE-SHA1-3DES'],
    found: /outdated scheme/u,
    remedy: /openssl pkcs8 -topk8 -scrypt -in/u,
  },
];

for (const { found, remedy, ...recipe } of REFUSED) {
  test(`openKeySigner() says keys/unsupported and what to do when openssl wrote ${recipe.what}`, async (t: TestContext) => {
    if (!requireTool(t, 'openssl')) return;
    const path = await make(await temporaryDirectory(t), recipe);
    await assert.rejects(
      openKeySigner(path, { name: 'k', passphrase: async () => 'Gänse füße' }),
      (error: Error & { code?: string; details?: { path: string; found: string } }) => {
        assert.equal(error.code, 'keys/unsupported');
        assert.equal(error.details?.path, path);
        assert.match(error.details.found, found);
        assert.match(error.message, remedy);
        assert.doesNotMatch(error.message, /\n|Gänse/u);
        return true;
      },
    );
  });
}

import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { encryptPrivateKey, decryptPrivateKey, readPrivateKey } from '../../lib/keys/pkcs8.ts';
import { encodeEncryptedKey, type ScryptCost } from '../../lib/keys/pbes2.ts';
import { encodePem } from '../../lib/keys/pem.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const sixteen = Buffer.alloc(16);

async function never(): Promise<string> {
  throw new Error('nobody may be asked');
}

function withCost(cost: ScryptCost): string {
  return encodePem(
    'ENCRYPTED PRIVATE KEY',
    encodeEncryptedKey({ salt: sixteen, iv: sixteen, cost, keyBytes: 32, encrypted: Buffer.alloc(64) }),
  );
}

test('decryptPrivateKey() opens the key when the passphrase is the same word in another normal form', async () => {
  const pem = await encryptPrivateKey(privateKey, 'g\u00fcnther');
  assert.ok((await decryptPrivateKey(pem, 'gu\u0308nther', 'k.pem')).equals(privateKey));
  const fromDecomposed = await encryptPrivateKey(privateKey, 'gu\u0308nther');
  assert.ok(createPrivateKey({ key: fromDecomposed, passphrase: 'g\u00fcnther' }).equals(privateKey));
});

test('decryptPrivateKey() opens what another program encrypted with a passphrase that is not NFC', async () => {
  const passphrase = 'gu\u0308nther';
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase }).toString();
  assert.ok((await decryptPrivateKey(pem, passphrase, 'k.pem')).equals(privateKey));
});

test('encryptPrivateKey() throws a RangeError, without the passphrase, when it is empty or too long for openssl', async () => {
  await assert.rejects(encryptPrivateKey(privateKey, ''), RangeError);
  await assert.rejects(
    encryptPrivateKey(privateKey, 'secret'.repeat(171)),
    (error: Error) => error instanceof RangeError && !error.message.includes('secret'),
  );
});

for (const cost of [
  { N: 2 ** 30, r: 8, p: 1 },
  { N: 2 ** 14, r: 8, p: 2 ** 30 },
  { N: 2 ** 14, r: 2 ** 20, p: 1 },
]) {
  test(`readPrivateKey() refuses at once, asking nobody, when scrypt has N=${cost.N}, r=${cost.r}, p=${cost.p}`, async () => {
    await assert.rejects(readPrivateKey(withCost(cost), 'k.pem', never), {
      code: 'keys/unsupported',
      message: /^Cannot read the key "k\.pem": it is encrypted at a cost/u,
    });
  });
}

test('readPrivateKey() says keys/unreadable, asking nobody, when the structure is broken', async () => {
  const nested = Buffer.alloc(40_000, Buffer.from([0x30, 0x80]));
  const good = Buffer.from((await encryptPrivateKey(privateKey, 'pass')).split('\n').slice(1, -2).join(''), 'base64');
  for (const der of [
    Buffer.from([0x30, 0x00]),
    nested,
    good.subarray(0, -1),
    Buffer.concat([good, Buffer.from([0])]),
    Buffer.from('hello there'),
  ]) {
    for (const label of ['ENCRYPTED PRIVATE KEY', 'PRIVATE KEY']) {
      await assert.rejects(readPrivateKey(encodePem(label, der), 'k.pem', never), { code: 'keys/unreadable', details: { path: 'k.pem' } });
    }
  }
});

test('readPrivateKey() says keys/unreadable when the base64 is damaged or the end is missing', async () => {
  const pem = await encryptPrivateKey(privateKey, 'pass');
  for (const text of [pem.replace('M', '*'), pem.replace('M', ''), pem.slice(0, -20), 'PEM', '']) {
    await assert.rejects(readPrivateKey(text, 'k.pem', never), { code: 'keys/unreadable' });
  }
});

import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { Integer, Sequence, fromBER } from 'asn1js';
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
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase });
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
  // One step beyond the memory that OpenSSL allows.
  { N: 2 ** 15, r: 8, p: 1 },
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

/** What lies at these indexes of nested SEQUENCEs. */
function memberAt(block: unknown, path: readonly number[]): unknown {
  return path.reduce((parent, index) => (parent instanceof Sequence ? parent.valueBlock.value[index] : undefined), block);
}

test('readPrivateKey() refuses at once, asking nobody, when PBKDF2 has more than ten million rounds', async () => {
  const der = privateKey.export({ format: 'der', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'pass' });
  const info = fromBER(new Uint8Array(der)).result;
  const parameters = memberAt(info, [0, 1, 0, 1]);
  assert.ok(parameters instanceof Sequence);
  for (const rounds of [10_000_001, 2 ** 31 - 1]) {
    parameters.valueBlock.value[1] = new Integer({ value: rounds });
    const pem = encodePem('ENCRYPTED PRIVATE KEY', new Uint8Array(info.toBER()));
    await assert.rejects(readPrivateKey(pem, 'k.pem', never), {
      code: 'keys/unsupported',
      message: new RegExp(`PBKDF2 with ${rounds} rounds`, 'u'),
    });
  }
});

test('readPrivateKey() says keys/unreadable when something follows a key that is not encrypted', async () => {
  const der = Buffer.concat([privateKey.export({ format: 'der', type: 'pkcs8' }), Buffer.from('junk')]);
  await assert.rejects(readPrivateKey(encodePem('PRIVATE KEY', der), 'k.pem', never), {
    code: 'keys/unreadable',
    details: { path: 'k.pem' },
  });
});

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

test('readPrivateKey() says keys/unreadable and why when the base64 is damaged or the end is missing', async () => {
  const pem = await encryptPrivateKey(privateKey, 'pass');
  for (const [text, why] of [
    [pem.replace('M', '*'), /base64/u],
    [pem.replace('M', ''), /base64/u],
    [pem.replace('M', '_'), /base64/u],
    [pem.slice(0, -20), /END ENCRYPTED PRIVATE KEY line is missing/u],
    ['PEM', /not PEM/u],
    ['', /not PEM/u],
  ] as const) {
    await assert.rejects(readPrivateKey(text, 'k.pem', never), { code: 'keys/unreadable', message: why });
  }
});

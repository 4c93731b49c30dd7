import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import { generatePrivateKey, KEY_TYPES } from '../../lib/keys/generate.ts';
import { signerFromKeyObject, verifyingSigner } from '../../lib/keys/key-signer.ts';
import { keyIdOf, publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import { verifySignature } from '../../lib/tuf/signature.ts';

const PAYLOAD = Buffer.from('what is signed');
const SCHEMES = { ed25519: 'ed25519', ecdsa: 'ecdsa-sha2-nistp256', rsa: 'rsassa-pss-sha256' };

for (const type of KEY_TYPES) {
  test(`signerFromKeyObject() makes signatures that verify when the key is ${type}`, async () => {
    const privateKey = await generatePrivateKey(type);
    const signer = signerFromKeyObject(privateKey);
    assert.equal(signer.key.scheme, SCHEMES[type]);
    assert.equal(signer.keyId, keyIdOf(publicKeyFromKeyObject(privateKey)));
    const signature = await signer.sign(PAYLOAD);
    assert.equal(signature.keyid, signer.keyId);
    assert.match(signature.sig, /^(?:[0-9a-f]{2})+$/u);
    assert.ok(verifySignature(signer.key, signature, PAYLOAD));
    assert.ok(!verifySignature(signer.key, signature, Buffer.from('something else')));
  });
}

test('generatePrivateKey() makes RSA of 3072 bits as ordinary rsaEncryption', async () => {
  const key = await generatePrivateKey('rsa');
  assert.equal(key.asymmetricKeyType, 'rsa');
  assert.equal(key.asymmetricKeyDetails?.modulusLength, 3072);
});

test('signerFromKeyObject() refuses a key that no client knows', () => {
  for (const { privateKey } of [
    generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    generateKeyPairSync('rsa', { modulusLength: 1024 }),
    generateKeyPairSync('x25519'),
  ]) {
    assert.throws(() => signerFromKeyObject(privateKey), { code: 'tuf/key-unsupported' });
  }
});

const honest = generateKeyPairSync('ed25519');
const another = generateKeyPairSync('ed25519');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
type Lie = readonly [what: string, key: typeof honest.publicKey, lie: (payload: Uint8Array) => Uint8Array];
const LIES: readonly Lie[] = [
  ['signs with another key', honest.publicKey, (payload) => sign(null, payload, another.privateKey)],
  ['signs another payload', honest.publicKey, () => sign(null, Buffer.from('a root of the attacker'), honest.privateKey)],
  ['returns nothing', honest.publicKey, () => new Uint8Array()],
  ['returns noise', honest.publicKey, () => new Uint8Array(64)],
  [
    'uses the longest PSS salt',
    rsa.publicKey,
    (payload) => sign('sha256', payload, { key: rsa.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING }),
  ],
  ['uses PKCS#1 v1.5 padding', rsa.publicKey, (payload) => sign('sha256', payload, rsa.privateKey)],
  ['returns ECDSA as r and s', ec.publicKey, (payload) => sign('sha256', payload, { key: ec.privateKey, dsaEncoding: 'ieee-p1363' })],
];

for (const [what, publicKey, lie] of LIES) {
  test(`verifyingSigner() hands nothing out when the back end ${what}`, async () => {
    const key = publicKeyFromKeyObject(publicKey);
    const signer = verifyingSigner(key, async (payload) => lie(payload));
    await assert.rejects(signer.sign(PAYLOAD), { code: 'keys/bad-signature', details: { keyId: keyIdOf(key) } });
  });
}

import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { describe, test } from 'node:test';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import { tufDate } from '../../lib/tuf/date.ts';
import { keyIdOf, parseKeyId, parsePublicKey, publicKeyFromKeyObject, publicKeyFromPem, publicKeyToPem } from '../../lib/tuf/key.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { signingPayload } from '../../lib/tuf/role.ts';
import { validSigners, verifySignature, verifyThreshold } from '../../lib/tuf/signature.ts';
import type { Envelope, PublicKey, Timestamp } from '../../lib/tuf/types.ts';

const TYPES = ['ed25519', 'ecdsa', 'rsa'] as const;
const PAYLOAD = Buffer.from('payload');

function envelope(): Envelope<Timestamp> {
  const meta = { 'snapshot.json': { version: 1, length: 1, hashes: { sha256: sha256Hex(Buffer.from('x')) } } };
  return {
    signed: { _type: 'timestamp', spec_version: '1.0.0', version: 7, expires: tufDate(new Date('2030-01-01')), meta },
    signatures: [],
  };
}

describe('keys', () => {
  test('keyIdOf() is the digest of the canonical key', () => {
    const key: PublicKey = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: '00'.repeat(32) } };
    const canonical = `{"keytype":"ed25519","keyval":{"public":"${'00'.repeat(32)}"},"scheme":"ed25519"}`;
    assert.equal(keyIdOf(key), sha256Hex(Buffer.from(canonical)) as string);
    assert.notEqual(keyIdOf({ ...key, note: 'x' } as PublicKey), keyIdOf(key));
  });

  for (const type of TYPES) {
    test(`a ${type} key survives PEM and metadata`, async () => {
      const key = publicKeyFromKeyObject(await generatePrivateKey(type));
      assert.deepEqual(publicKeyFromPem(publicKeyToPem(key)), key);
      assert.deepEqual(parsePublicKey(JSON.parse(JSON.stringify(key)), 'key'), key);
    });
  }

  const unsupported: readonly (readonly [string, KeyObject])[] = [
    ['P-384', generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey],
    ['RSA of 1024 bits', generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey],
    ['X25519', generateKeyPairSync('x25519').publicKey],
  ];
  for (const [what, key] of unsupported) {
    test(`publicKeyFromKeyObject() refuses ${what}`, () => {
      assert.throws(() => publicKeyFromKeyObject(key), { code: 'tuf/key-unsupported' });
    });
  }

  test('parsePublicKey() refuses what is not a key that every client knows', () => {
    const good = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: '00'.repeat(32) } };
    for (const bad of [
      null,
      'x',
      {},
      { ...good, keytype: 'ecdsa' },
      { ...good, scheme: 'rsassa-pss-sha256' },
      { ...good, keytype: 'toString' },
    ]) {
      assert.throws(
        () => parsePublicKey(bad, 'key'),
        (error: { code?: string }) => error.code === 'tuf/key-unsupported' || error.code === 'tuf/malformed',
      );
    }
    for (const material of ['', '00', 'AB'.repeat(32), 12, null]) {
      assert.throws(() => parsePublicKey({ ...good, keyval: { public: material } }, 'key'), { code: 'tuf/malformed' });
    }
    const rsaAsEcdsa = publicKeyToPem(publicKeyFromKeyObject(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey));
    assert.throws(() => parsePublicKey({ keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: rsaAsEcdsa } }, 'key'), {
      code: 'tuf/key-unsupported',
    });
  });

  test('parseKeyId() takes 64 lowercase hexadecimal digits only', () => {
    assert.equal(parseKeyId('ab'.repeat(32)), 'ab'.repeat(32));
    for (const bad of ['', 'AB'.repeat(32), 'ab'.repeat(31), 'zz'.repeat(32), 7])
      assert.throws(() => parseKeyId(bad), { code: 'tuf/malformed' });
  });
});

describe('verifySignature()', () => {
  for (const type of TYPES) {
    test(`accepts what a ${type} signer made, and nothing else`, async () => {
      const signer = signerFromKeyObject(await generatePrivateKey(type));
      const signature = await signer.sign(PAYLOAD);
      assert.ok(verifySignature(signer.key, signature, PAYLOAD));
      assert.ok(!verifySignature(signer.key, signature, Buffer.from('other')));
      for (const sig of ['', 'zz', `${signature.sig}00`, signature.sig.slice(2), '00'.repeat(64)])
        assert.ok(!verifySignature(signer.key, { ...signature, sig }, PAYLOAD));
    });
  }

  test('refuses RSA-PSS with another salt length, as tough does', () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const key = publicKeyFromKeyObject(privateKey);
    for (const saltLength of [0, 20, constants.RSA_PSS_SALTLEN_MAX_SIGN]) {
      const sig = sign('sha256', PAYLOAD, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }).toString('hex');
      assert.ok(!verifySignature(key, { keyid: keyIdOf(key), sig }, PAYLOAD), `salt ${saltLength}`);
    }
  });

  test('refuses an ECDSA signature as r and s side by side', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = publicKeyFromKeyObject(privateKey);
    const sig = sign('sha256', PAYLOAD, { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('hex');
    assert.ok(!verifySignature(key, { keyid: keyIdOf(key), sig }, PAYLOAD));
  });
});

describe('thresholds', () => {
  test('validSigners() counts a key once, under however many ids and signatures', async () => {
    const [one, two] = [signerFromKeyObject(await generatePrivateKey('ed25519')), signerFromKeyObject(await generatePrivateKey('ed25519'))];
    const alias = parseKeyId('ab'.repeat(32));
    const keys = { [one.keyId]: one.key, [alias]: one.key, [two.keyId]: two.key };
    const roleKeys = { keyids: [one.keyId, alias, two.keyId], threshold: 2 };
    const payload = signingPayload(envelope().signed);
    const signature = await one.sign(payload);
    const doubled = { ...envelope(), signatures: [signature, signature, { ...signature, keyid: alias }] };
    assert.deepEqual(validSigners(doubled, keys, roleKeys), [one.keyId]);
    assert.throws(() => verifyThreshold(doubled, keys, roleKeys, 'timestamp'), { code: 'tuf/threshold' });
    verifyThreshold({ ...envelope(), signatures: [signature, await two.sign(payload)] }, keys, roleKeys, 'timestamp');
  });

  test('verifyThreshold() says who signed without being listed, and whose signature does not verify', async () => {
    const [listed, removed] = [
      signerFromKeyObject(await generatePrivateKey('ed25519')),
      signerFromKeyObject(await generatePrivateKey('ed25519')),
    ];
    const payload = signingPayload(envelope().signed);
    const signatures = [await removed.sign(payload), { keyid: listed.keyId, sig: '00'.repeat(64) }];
    assert.throws(
      () =>
        verifyThreshold(
          { ...envelope(), signatures },
          { [listed.keyId]: listed.key },
          { keyids: [listed.keyId], threshold: 1 },
          'timestamp',
        ),
      {
        code: 'tuf/threshold',
        details: { role: 'timestamp', version: 7, valid: [], threshold: 1 },
        message: new RegExp(
          `^Cannot accept timestamp version 7: 0 of 1 needed signatures are valid; signed by .*${removed.keyId.slice(0, 12)}….* not \\(or no longer\\) listed for this role; the signature .*${listed.keyId.slice(0, 12)}… does not verify`,
          'u',
        ),
      },
    );
  });
});

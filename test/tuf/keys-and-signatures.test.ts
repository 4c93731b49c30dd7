import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { describe, test } from 'node:test';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import { canonicalBytesAsRead } from '../../lib/tuf/canonical.ts';
import { tufDate } from '../../lib/tuf/date.ts';
import { keyIdOf, parseKeyId, parsePublicKey, publicKeyFromKeyObject, publicKeyFromPem, publicKeyToPem } from '../../lib/tuf/key.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
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

  test('publicKeyFromPem() refuses everything but one block of SPKI', () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const spki = publicKey.export({ format: 'pem', type: 'spki' });
    const pkcs8 = privateKey.export({ format: 'pem', type: 'pkcs8' });
    const pkcs1 = publicKey.export({ format: 'pem', type: 'pkcs1' });
    for (const bad of ['', pkcs1, pkcs8, pkcs8 + spki, spki + pkcs8, spki + spki, spki.replace(/[A-Z]/u, '!'), spki.slice(0, 90)]) {
      assert.throws(() => publicKeyFromPem(bad), { code: 'tuf/malformed' });
      const key = { keytype: 'rsa', scheme: 'rsassa-pss-sha256', keyval: { public: bad } };
      assert.throws(() => parsePublicKey(key, 'root.keys'), {
        code: 'tuf/malformed',
        details: { what: 'public key', at: 'root.keys.keyval.public' },
      });
    }
    assert.equal(publicKeyFromPem(`\r\n${spki.replaceAll('\n', '\r\n')}`).keyval.public, spki);
  });

  test('publicKeyFromPem() writes an ECDSA point uncompressed, which is how tough reads it', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const point = publicKey.export({ format: 'der', type: 'spki' }).subarray(-64);
    const compressed = Buffer.concat([Buffer.from([2 + ((point.at(-1) ?? 0) & 1)]), point.subarray(0, 32)]);
    const der = Buffer.concat([Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'), compressed]);
    const pem = `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----\n`;
    assert.equal(publicKeyFromPem(pem).keyval.public, publicKey.export({ format: 'pem', type: 'spki' }));
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

  test('refuses an RSA signature that lacks its leading zero', async () => {
    const signer = signerFromKeyObject(await generatePrivateKey('rsa'));
    // One of 256 begins with a zero.
    for (let tried = 0; tried < 10_000; tried += 1) {
      const signature = await signer.sign(PAYLOAD);
      if (!signature.sig.startsWith('00')) continue;
      assert.ok(verifySignature(signer.key, signature, PAYLOAD));
      assert.ok(!verifySignature(signer.key, { ...signature, sig: signature.sig.slice(2) }, PAYLOAD));
      return;
    }
    assert.fail('no signature of 10,000 begins with a zero');
  });

  test('refuses a signature of any length without throwing', async () => {
    const { key, keyId } = signerFromKeyObject(await generatePrivateKey('ecdsa'));
    for (const sig of ['a', 'ab'.repeat(5_000_000), 'ab '.repeat(9), '\0'.repeat(64)]) {
      assert.equal(verifySignature(key, { keyid: keyId, sig }, PAYLOAD), false);
    }
  });

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

  test('verifyThreshold() counts a key once when its PEM is written in two ways, and says so', async () => {
    const one = signerFromKeyObject(await generatePrivateKey('ecdsa'));
    const twin: PublicKey = { ...one.key, keyval: { public: `${one.key.keyval.public}\n` } };
    const twinId = keyIdOf(twin);
    const payload = signingPayload(envelope().signed);
    const signatures = [await one.sign(payload), { ...(await one.sign(payload)), keyid: twinId }];
    const keys = { [one.keyId]: one.key, [twinId]: twin };
    assert.throws(() => verifyThreshold({ ...envelope(), signatures }, keys, { keyids: [one.keyId, twinId], threshold: 2 }, 'timestamp'), {
      code: 'tuf/threshold',
      details: { role: 'timestamp', version: 7, valid: [one.keyId], threshold: 2 },
      message: `Cannot accept timestamp version 7: 1 of 2 needed signatures are valid; signed by key ${twinId.slice(0, 12)}…, which is the same as a key that counted already`,
    });
  });

  test('verifyThreshold() names three keys that are not listed, counts the rest, and a listed one that is not in keys', () => {
    const ids = [1, 2, 3, 4, 5].map((digit) => parseKeyId(`${digit}`.repeat(64)));
    const absent = parseKeyId('a'.repeat(64));
    const signatures = [...ids, absent].map((keyid) => ({ keyid, sig: '' }));
    assert.throws(() => verifyThreshold({ ...envelope(), signatures }, {}, { keyids: [absent], threshold: 1 }, 'timestamp'), {
      message:
        'Cannot accept timestamp version 7: 0 of 1 needed signatures are valid; ' +
        'signed by keys 111111111111…, 222222222222…, 333333333333… and 2 more, which are not (or no longer) listed for this role; ' +
        'signed by key aaaaaaaaaaaa…, which is listed for this role, but not in keys',
    });
  });

  test('verifyThreshold() accepts what others signed, though we would not have written it', async () => {
    const signer = signerFromKeyObject(await generatePrivateKey('ed25519'));
    const signed = { ...envelope().signed, 'a b': 'u\u0308' };
    assert.throws(() => signingPayload(signed), { code: 'tuf/malformed' });
    const signatures = [await signer.sign(canonicalBytesAsRead(signed))];
    verifyThreshold({ signed, signatures }, { [signer.keyId]: signer.key }, { keyids: [signer.keyId], threshold: 1 }, 'timestamp');
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { CKK, CURVES } from '../../lib/keys/pkcs11/constants.ts';
import { publicKeyFrom, publicKeyInCertificate } from '../../lib/keys/pkcs11/public-key.ts';
import { keyObjectOf, publicKeyFromKeyObject } from '../../lib/tuf/key.ts';

test('publicKeyFrom() reads a point inside an OCTET STRING, a BIT STRING, and bare, when it begins with whatever bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 30, maxLength: 30 }), fc.constantFrom('0420', '0321', '0000'), (rest, start) => {
      const point = Buffer.concat([Buffer.from(start, 'hex'), rest]);
      const told = [point, Buffer.concat([Buffer.from('0420', 'hex'), point]), Buffer.concat([Buffer.from('032100', 'hex'), point])];
      for (const ecPoint of told) {
        const read = publicKeyFrom({ keyType: CKK.ecEdwards, ecParams: CURVES.ed25519, ecPoint });
        assert.equal(read?.key?.keyval.public, point.toString('hex'));
      }
    }),
  );
});

test('publicKeyFrom() gives a key that can be used, or says why not, whatever a token tells', () => {
  const bytes = fc.option(
    fc.uint8Array({ maxLength: 600 }).map((some) => Buffer.from(some)),
    { nil: undefined },
  );
  const params = fc.oneof(fc.constantFrom(CURVES.p256, CURVES.ed25519, CURVES.ed25519Name), bytes);
  const point = fc.oneof(
    bytes,
    fc.uint8Array({ minLength: 64, maxLength: 64 }).map((xy) => Buffer.concat([Buffer.from([4]), xy])),
  );
  const keyType = fc.constantFrom(CKK.rsa, CKK.ec, CKK.ecEdwards, 77, undefined);
  fc.assert(
    fc.property(fc.record({ keyType, ecParams: params, ecPoint: point, modulus: bytes, publicExponent: bytes }), (attributes) => {
      const read = publicKeyFrom(attributes);
      if (read?.key !== undefined) keyObjectOf(read.key);
      else if (read !== undefined) assert.ok(read.problem.length > 0);
    }),
    { numRuns: 500 },
  );
});

test('publicKeyFrom() refuses a point that is not on the curve', async () => {
  const { x = '', y = '' } = keyObjectOf(publicKeyFromKeyObject(await generatePrivateKey('ecdsa'))).export({ format: 'jwk' });
  const ecPoint = Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  const attributes = { keyType: CKK.ec, ecParams: CURVES.p256 };
  assert.ok(publicKeyFrom({ ...attributes, ecPoint })?.key !== undefined);
  ecPoint[40] = (ecPoint[40] ?? 0) ^ 1;
  assert.match(publicKeyFrom({ ...attributes, ecPoint })?.problem ?? '', /is no key/u);
});

test('publicKeyInCertificate() says that it is no key when it is no certificate', () => {
  assert.match(publicKeyInCertificate(Buffer.from('no certificate')).problem ?? '', /is no key/u);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isGantryError } from '../../lib/errors.ts';
import { parsePkcs11Url, pkcs11Url, type Pkcs11Reference } from '../../lib/keys/pkcs11/uri.ts';

test('parsePkcs11Url() reads what RFC 7512 and p11tool write', () => {
  const cases: readonly (readonly [string, Pkcs11Reference])[] = [
    ['pkcs11:', {}],
    ['pkcs11:object=my-pubkey;type=public', { object: 'my-pubkey', type: 'public' }],
    [
      'pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-key;type=private;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin',
      {
        token: 'The Software PKCS#11 Softtoken',
        manufacturer: 'Snake Oil, Inc.',
        model: '1.0',
        object: 'my-key',
        type: 'private',
        id: '69953e5cf4bdec91',
        serial: '',
        pinFile: '/etc/token_pin',
      },
    ],
    ['pkcs11:slot-id=327;object=k', { slotId: 327, object: 'k' }],
    ['pkcs11:id=abc%00', { id: '61626300' }],
    ['pkcs11:token=a=b', { token: 'a=b' }],
    [
      'pkcs11:object=k?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:///run/pin',
      {
        object: 'k',
        modulePath: '/usr/lib/softhsm/libsofthsm2.so',
        pinFile: '/run/pin',
      },
    ],
    ['pkcs11:object=k?pin-source=/run/pin%20file', { object: 'k', pinFile: '/run/pin file' }],
  ];
  for (const [url, reference] of cases) assert.deepEqual(parsePkcs11Url(url), reference, url);
});

const REFUSED: readonly (readonly [string, RegExp])[] = [
  ['pkcs12:object=k', /does not begin/u],
  ['PKCS11:object=k', /does not begin/u],
  ['pkcs11:object', /has no value/u],
  ['pkcs11:;object=k', /has no value/u],
  ['pkcs11:object=a;object=b', /object twice/u],
  ['pkcs11:object=my key', /not percent-encoded/u],
  ['pkcs11:object=a/b', /not percent-encoded/u],
  ['pkcs11:object=%zz', /not percent-encoded/u],
  ['pkcs11:object=%ff', /not UTF-8/u],
  ['pkcs11:object=k\n', /not percent-encoded/u],
  ['pkcs11:colour=red', /not known before "\?"/u],
  ['pkcs11:__proto__=red', /not known before "\?"/u],
  ['pkcs11:type=cert', /type is none/u],
  ['pkcs11:slot-id=-1', /slot-id is no number/u],
  ['pkcs11:slot-id=1e3', /slot-id is no number/u],
  ['pkcs11:object=k?module-name=softhsm2', /not known behind "\?"/u],
  ['pkcs11:object=k?module-path=libevil.so', /no absolute path/u],
  ['pkcs11:object=k?module-path=/a%00b', /no absolute path/u],
  ['pkcs11:object=k?pin-source=%7C/usr/bin/pin', /no absolute path/u],
  ['pkcs11:object=k?pin-source=https://example.com/pin', /no absolute path/u],
  [`pkcs11:object=${'k'.repeat(5000)}`, /expected at most 4096/u],
];

for (const [url, message] of REFUSED) {
  test(`parsePkcs11Url() refuses ${JSON.stringify(url.slice(0, 60))}`, () => {
    assert.throws(() => parsePkcs11Url(url), { code: 'keys/bad-reference', message });
  });
}

for (const url of [
  'pkcs11:object=k?pin-value=987654',
  'pkcs11:pin-value=987654;object=k',
  'pkcs11:object=k?module-path=/a&pin-value=987654&pin-value=987654',
]) {
  test(`parsePkcs11Url() refuses a PIN, and does not tell it again, when it reads ${url.replaceAll('987654', '…')}`, () => {
    assert.throws(
      () => parsePkcs11Url(url),
      (error) => {
        assert.ok(isGantryError(error, 'keys/bad-reference'));
        assert.match(error.message, /a PIN does not belong there/u);
        assert.doesNotMatch(`${error.message}${JSON.stringify(error.details)}`, /987654/u);
        return true;
      },
    );
  });
}

const text = fc.string({ unit: 'binary', maxLength: 40 });
const path = text.map((name) => `/${name.replaceAll('\0', '')}`);
const references: fc.Arbitrary<Pkcs11Reference> = fc.record(
  {
    token: text,
    manufacturer: text,
    serial: text,
    model: text,
    object: text,
    slotId: fc.nat(),
    id: fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes).toString('hex')),
    type: fc.constantFrom('private', 'public'),
    modulePath: path,
    pinFile: path,
  },
  { requiredKeys: [], noNullPrototype: true },
);

test('parsePkcs11Url() reads back whatever pkcs11Url() writes', () => {
  fc.assert(
    fc.property(references, (reference) => {
      const url = pkcs11Url(reference);
      fc.pre(url.length <= 4096);
      assert.match(url, /^[!-~]*$/u);
      assert.deepEqual(parsePkcs11Url(url), reference);
    }),
  );
});

test('parsePkcs11Url() refuses in our own words, or reads, whatever it is given', () => {
  const piece = fc.constantFrom('object=', 'id=', '%', ';', '?', '&', 'pin-source=file:', 'module-path=/', '%00', '=', 'a', 'é', '\n');
  const hostile = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join('')),
  );
  fc.assert(
    fc.property(hostile, (rest) => {
      try {
        const reference = parsePkcs11Url(`pkcs11:${rest}`);
        assert.deepEqual(parsePkcs11Url(pkcs11Url(reference)), reference);
      } catch (error) {
        assert.ok(isGantryError(error, 'keys/bad-reference'), String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

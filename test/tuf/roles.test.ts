import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GantryError } from '../../lib/errors.ts';
import { canonicalBytes, canonicalBytesAsRead } from '../../lib/tuf/canonical.ts';
import { dateOf, isWritableDate, parseTufDate, tufDate } from '../../lib/tuf/date.ts';
import { parseSha256Hex, sha256Hex } from '../../lib/tuf/hash.ts';
import { lintRole } from '../../lib/tuf/lint.ts';
import { parseEnvelope, readSignedRole, sealEnvelope } from '../../lib/tuf/role.ts';
import { TargetPath } from '../../lib/tuf/target-path.ts';

const SHA = sha256Hex(Buffer.from('abc'));
const TIMESTAMP = {
  _type: 'timestamp',
  spec_version: '1.0.0',
  version: 3,
  expires: '2030-01-01T00:00:00Z',
  meta: { 'snapshot.json': { version: 2, length: 10, hashes: { sha256: SHA } } },
};

function fileOf(signed: unknown, signatures: unknown = []): Uint8Array {
  return Buffer.from(JSON.stringify({ signed, signatures }));
}

describe('canonicalBytes()', () => {
  test('sorts members, escapes only quotes and backslashes, and leaves no blanks', () => {
    assert.equal(Buffer.from(canonicalBytes({ b: [1, true, null], a: 'x"\\\n' })).toString(), '{"a":"x\\"\\\\\n","b":[1,true,null]}');
  });

  test('refuses what the canonicalisers of the clients disagree on', () => {
    for (const value of [1.5, 2 ** 53, Number.NaN, undefined, { a: undefined }, new Date(), [() => 1], Symbol('x'), 1n]) {
      assert.throws(() => canonicalBytes(value), { code: 'tuf/malformed' });
    }
  });

  test('refuses to sign what some client writes differently, which canonicalBytesAsRead() still verifies', () => {
    for (const value of ['u\u0308', { 'a b': 1 }, { 'a!': 1 }, { 'a"': 1 }, { '\n': 1 }, { '😀': 1 }, { 'u\u0308': 1 }]) {
      assert.throws(() => canonicalBytes(value), { code: 'tuf/malformed', message: /^Cannot canonicalise value.*tough/u });
      canonicalBytesAsRead(value);
    }
    assert.equal(Buffer.from(canonicalBytesAsRead({ 'a b': 'u\u0308', a: 1 })).toString(), '{"a":1,"a b":"u\u0308"}');
  });

  test('refuses what has no bytes of its own, for signing and for verifying', () => {
    const deep = Array.from({ length: 50_000 }).reduce<unknown>((inner) => [inner], 1);
    const hole: unknown[] = [];
    hole[1] = 1;
    for (const value of ['\ud800', { '\udc00': 1 }, deep, hole, 1.5, -0, new Map()]) {
      for (const canonical of [canonicalBytes, canonicalBytesAsRead]) assert.throws(() => canonical(value), { code: 'tuf/malformed' });
    }
  });

  test('says where, by its members', () => {
    assert.throws(() => canonicalBytes({ a: [{ 'b-c': 1.5 }] }), { details: { what: 'value', at: 'value.a[0]["b-c"]' } });
  });

  test('writes a member called __proto__ like any other', () => {
    assert.equal(Buffer.from(canonicalBytes(JSON.parse('{"__proto__":{"b":1},"a":2}'))).toString(), '{"__proto__":{"b":1},"a":2}');
  });
});

describe('parseEnvelope()', () => {
  test('keeps unknown members at every level', () => {
    const signed = { ...TIMESTAMP, x: { y: 1 }, meta: { 'snapshot.json': { ...TIMESTAMP.meta['snapshot.json'], z: 'kept' } } };
    assert.deepEqual(parseEnvelope(fileOf(signed), 'timestamp').signed, signed);
  });

  test('reads dates with fractions, as tuftool and pubsys write them', () => {
    const { signed } = parseEnvelope(fileOf({ ...TIMESTAMP, expires: '2030-01-01T00:00:00.104882913Z' }), 'timestamp');
    assert.equal(dateOf(signed.expires).toISOString(), '2030-01-01T00:00:00.104Z');
  });

  const bad: readonly (readonly [what: string, bytes: Uint8Array, code: string, at: RegExp])[] = [
    ['an error page', Buffer.from('<html>'), 'tuf/not-json', /timestamp/u],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 'tuf/not-json', /timestamp/u],
    ['an array', Buffer.from('[]'), 'tuf/malformed', /timestamp/u],
    ['no signed', fileOf(undefined), 'tuf/malformed', /signed/u],
    ['signatures that are not a list', fileOf(TIMESTAMP, {}), 'tuf/malformed', /signatures/u],
    ['a signature without sig', fileOf(TIMESTAMP, [{ keyid: SHA }]), 'tuf/malformed', /signatures\[0\]/u],
    [
      'a key that signed twice',
      fileOf(
        TIMESTAMP,
        [1, 2].map(() => ({ keyid: SHA, sig: '00' })),
      ),
      'tuf/malformed',
      /signatures\[1\]/u,
    ],
    ['another role', fileOf({ ...TIMESTAMP, _type: 'snapshot' }), 'tuf/malformed', /_type/u],
    ['a spec version 2', fileOf({ ...TIMESTAMP, spec_version: '2.0.0' }), 'tuf/malformed', /spec_version/u],
    ['version 0', fileOf({ ...TIMESTAMP, version: 0 }), 'tuf/malformed', /version/u],
    ['a date that is none', fileOf({ ...TIMESTAMP, expires: 'soon' }), 'tuf/malformed', /expires/u],
    ['a month 13', fileOf({ ...TIMESTAMP, expires: '2030-13-31T00:00:00Z' }), 'tuf/malformed', /expires/u],
    ['a date of the 31st of June', fileOf({ ...TIMESTAMP, expires: '2030-06-31T00:00:00Z' }), 'tuf/malformed', /expires/u],
    ['a byte order mark', Buffer.concat([Buffer.from('\ufeff'), fileOf(TIMESTAMP)]), 'tuf/not-json', /timestamp/u],
    ['lists in lists without end', Buffer.from('['.repeat(1 << 20)), 'tuf/malformed', /nested deeper than 100 levels/u],
    ['nesting behind a text with brackets', Buffer.from(`["]]\\"]",${'['.repeat(120)}`), 'tuf/malformed', /nested/u],
    ['more bytes than any client takes', Buffer.alloc((1 << 20) + 1, ' '), 'tuf/malformed', /1048577 bytes; expected at most 1048576/u],
    ['an object that pretends to be text', fileOf({ ...TIMESTAMP, expires: { toString: 1, valueOf: 1 } }), 'tuf/malformed', /expires/u],
    ['no snapshot', fileOf({ ...TIMESTAMP, meta: {} }), 'tuf/malformed', /meta/u],
    [
      'a digest in upper case',
      fileOf({ ...TIMESTAMP, meta: { 'snapshot.json': { version: 1, hashes: { sha256: SHA.toUpperCase() } } } }),
      'tuf/malformed',
      /hashes/u,
    ],
  ];
  for (const [what, bytes, code, at] of bad) {
    test(`refuses ${what} and says where`, () => {
      assert.throws(
        () => parseEnvelope(bytes, 'timestamp'),
        (error) => error instanceof GantryError && error.code === code && at.test(error.message),
      );
    });
  }
});

describe('sealEnvelope() and readSignedRole()', () => {
  const { signed } = parseEnvelope(fileOf(TIMESTAMP), 'timestamp');

  test('equal envelopes give equal bytes, whatever the order of signatures', () => {
    const [a, b] = ['aa', 'bb'].map((byte) => ({ keyid: parseSha256Hex(byte.repeat(32)) as string as never, sig: byte }));
    assert.ok(a && b);
    assert.deepEqual(sealEnvelope({ signed, signatures: [a, b] }).bytes, sealEnvelope({ signed, signatures: [b, a] }).bytes);
  });

  test('what was read keeps its exact bytes', () => {
    const bytes = Buffer.from(`  ${Buffer.from(fileOf(TIMESTAMP)).toString()}\n\n`);
    const read = readSignedRole(bytes, 'timestamp');
    assert.deepEqual([read.bytes, read.lengthBytes, read.sha256], [bytes, bytes.length, sha256Hex(bytes)]);
  });

  test('10,000 targets are parsed, looked at, canonicalised and sealed without losing one', () => {
    const targets = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, index) => [
        `my-os-metal-x86_64-1.0.${index}-root.ext4.zst`,
        { length: index, hashes: { sha256: SHA }, custom: { gantry: { format: 'lz4', raw: { length: index, sha256: SHA } } } },
      ]),
    );
    const bytes = fileOf({ _type: 'targets', spec_version: '1.0.0', version: 1, expires: '2030-01-01T00:00:00Z', targets });
    const envelope = parseEnvelope(bytes, 'targets');
    assert.deepEqual(lintRole(envelope.signed), []);
    const again = parseEnvelope(sealEnvelope(envelope).bytes, 'targets').signed;
    assert.equal(Object.keys(again.targets).length, 10_000);
    assert.deepEqual(canonicalBytes(again), canonicalBytes(envelope.signed));
  });

  test('a sealed file reads as what was sealed', () => {
    const sealed = sealEnvelope({ signed, signatures: [] });
    assert.deepEqual(readSignedRole(sealed.bytes, 'timestamp'), sealed);
  });
});

describe('dates', () => {
  test('tufDate() writes whole seconds up to the year 9000', () => {
    assert.equal(tufDate(new Date('2026-01-31T12:00:00.999Z')), '2026-01-31T12:00:00Z');
    for (const bad of [new Date(Number.NaN), new Date('9999-12-31T23:59:59Z'), new Date(-1)]) assert.throws(() => tufDate(bad), RangeError);
    assert.ok(isWritableDate('9000-01-01T00:00:00Z'));
    for (const bad of ['2026-01-31T12:00:00.5Z', '9001-01-01T00:00:00Z', '2026-02-29T00:00:00Z']) assert.ok(!isWritableDate(bad), bad);
  });

  test('parseTufDate() refuses offsets and lower case', () => {
    for (const bad of [
      '2026-01-31T12:00:00+00:00',
      '2026-01-31t12:00:00z',
      '2026-02-30T12:00:00Z',
      '2026-01-31T24:00:00Z',
      '2026-01-31',
      '',
      7,
    ])
      assert.throws(() => parseTufDate(bad, 'x'), { code: 'tuf/malformed' });
  });
});

describe('TargetPath', () => {
  test('offers the names that clients ask for', () => {
    const flat = TargetPath.parse('my-os-1.2.0+b.img');
    assert.deepEqual(flat.publishedNames(SHA), [`${SHA}.my-os-1.2.0+b.img`]);
    assert.equal(flat.urlPath(), 'my-os-1.2.0%2Bb.img');
    const nested = TargetPath.parse('dir/a.img');
    assert.deepEqual(nested.publishedNames(SHA), [`dir/${SHA}.a.img`, `${SHA}.dir/a.img`]);
    assert.equal(nested.fileName(), 'dir_a.img');
  });

  test('refuses what leads out of a folder or reads differently somewhere', () => {
    for (const bad of ['', '/', '/a', 'a/', '../a', 'a/../b', './a', '.a', 'a//b', 'a b', 'a\0b', 'a%2e', 'a\\b', 'ä', 'x'.repeat(300)]) {
      assert.throws(() => TargetPath.parse(bad), { code: 'tuf/bad-target-path', details: { path: bad } });
      assert.ok(!TargetPath.isPortable(bad));
    }
  });
});

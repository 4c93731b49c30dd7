/** What always holds for metadata, whatever its bytes are. A failure prints its seed. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { GantryError } from '../../lib/errors.ts';
import { canonicalBytes, canonicalBytesAsRead } from '../../lib/tuf/canonical.ts';
import { isWritableDate, parseTufDate, tufDate } from '../../lib/tuf/date.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { keyIdOf, publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import { lintRole } from '../../lib/tuf/lint.ts';
import { covers } from '../../lib/tuf/lint/patterns.ts';
import { parseEnvelope, readSignedRole, sealEnvelope } from '../../lib/tuf/role.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import { verifySignature } from '../../lib/tuf/signature.ts';
import { TargetPath } from '../../lib/tuf/target-path.ts';
import type { Role } from '../../lib/tuf/types.ts';

const ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const;
const KEY = publicKeyFromKeyObject(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey);
const KEY_ID = keyIdOf(KEY);
const SHA = sha256Hex(Buffer.from('abc'));

const memberName = fc.stringMatching(/^[a-z_.-]{1,8}$/u);
const portable = fc.letrec((tie) => ({
  any: fc.oneof(
    fc.boolean(),
    fc.constant(null),
    fc.maxSafeInteger().map((number) => number + 0),
    fc.string({ unit: 'binary' }).map((text) => text.toWellFormed().normalize('NFC')),
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(memberName, tie('any'), { maxKeys: 4 }),
  ),
})).any;

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, item]) => [name, reversed(item)]),
  );
}

test('canonicalBytes() does not depend on the order of members, and reads back as the same value', () => {
  fc.assert(
    fc.property(fc.dictionary(memberName, portable), (object) => {
      const bytes = canonicalBytes(object);
      assert.deepEqual(canonicalBytes(reversed(object)), bytes);
      assert.deepEqual(canonicalBytesAsRead(object), bytes);
      // Control characters stand raw in canonical JSON, so only without them is it JSON.
      const text = Buffer.from(bytes).toString();
      if ([...text].every((character) => character >= ' ')) assert.deepEqual(canonicalBytes(JSON.parse(text)), bytes);
    }),
  );
});

test('canonicalBytes() gives different bytes to different values', () => {
  fc.assert(
    fc.property(portable, portable, (a, b) => {
      const same = JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
      assert.equal(Buffer.compare(canonicalBytes(a), canonicalBytes(b)) === 0, same);
    }),
  );
});

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { members: members.map(([name, item]) => [name, sorted(item)]) };
}

test('canonicalBytes() and canonicalBytesAsRead() throw nothing but a GantryError, whatever they are given', () => {
  fc.assert(
    fc.property(
      fc.anything({ withBigInt: true, withDate: true, withMap: true, withSparseArray: true, withNullPrototype: true }),
      (value) => {
        onlyGantryErrors(() => canonicalBytes(value));
        onlyGantryErrors(() => canonicalBytesAsRead(value));
      },
    ),
  );
});

function onlyGantryErrors<T>(step: () => T): T | undefined {
  try {
    return step();
  } catch (error) {
    assert.ok(error instanceof GantryError, String(error));
    return undefined;
  }
}

const targetFile = { length: 3, hashes: { sha256: SHA }, custom: { a: [1, 'x'] } };
const meta = { version: 1, length: 3, hashes: { sha256: SHA } };
const roleKeys = { keyids: [KEY_ID], threshold: 1 };
const COMMON = { spec_version: '1.0.0', version: 1, expires: '2030-01-01T00:00:00Z' };
const delegated = { name: 'team', ...roleKeys, terminating: true, paths: ['team-*'] };
const GOOD: Readonly<Record<(typeof ROLES)[number], unknown>> = {
  root: {
    _type: 'root',
    ...COMMON,
    consistent_snapshot: true,
    keys: { [KEY_ID]: KEY },
    roles: { root: roleKeys, targets: roleKeys, snapshot: roleKeys, timestamp: roleKeys },
  },
  targets: {
    _type: 'targets',
    ...COMMON,
    targets: { 'a.img': targetFile },
    delegations: { keys: { [KEY_ID]: KEY }, roles: [delegated] },
  },
  snapshot: { _type: 'snapshot', ...COMMON, meta: { 'targets.json': meta, 'team.json': meta } },
  timestamp: { _type: 'timestamp', ...COMMON, meta: { 'snapshot.json': meta } },
};

function fileOf(signed: unknown, signatures: unknown = [{ keyid: KEY_ID, sig: '00' }]): Uint8Array {
  return Buffer.from(JSON.stringify({ signed, signatures }));
}

/** Everything that reads metadata, on these bytes. */
function readEverything(bytes: Uint8Array): void {
  for (const name of ROLES) {
    const envelope = onlyGantryErrors(() => parseEnvelope(bytes, name));
    if (envelope === undefined) continue;
    lintRole(envelope.signed);
    onlyGantryErrors(() => signingPayload(envelope.signed));
    const sealed = sealEnvelope(envelope);
    assert.deepEqual(readSignedRole(sealed.bytes, name).bytes, sealed.bytes);
  }
}

test('parseEnvelope() gives an envelope or a GantryError for any bytes and any JSON', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), readEverything));
  fc.assert(fc.property(fc.json(), (text) => readEverything(Buffer.from(text))));
  fc.assert(fc.property(fc.jsonValue(), fc.jsonValue(), (signed, signatures) => readEverything(fileOf(signed, signatures))));
});

/** What stands in a member instead: any JSON, and what breaks careless code. */
const intruder = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>({ toString: 1, valueOf: 1 }, { length: 1 }, [], [[]], {}, -1, 1.5, 2 ** 53, '', '\ud800', 'constructor', null),
  fc.constant(JSON.parse('{"__proto__":{"sha256":"x"}}')),
);

/** Good metadata with one member anywhere in it replaced, removed or added. */
const mutated = fc
  .record({ name: fc.constantFrom(...ROLES), step: fc.nat(), how: fc.constantFrom('replace', 'remove', 'add'), intruder })
  .map(({ name, step, how, intruder: value }) => {
    const signed = structuredClone(GOOD[name]);
    const places = placesIn(signed);
    const [holder, member] = places[step % places.length] ?? [{}, ''];
    if (how === 'remove') delete holder[member];
    else holder[how === 'add' ? `${member}x` : member] = value;
    return signed;
  });

function placesIn(value: unknown): readonly (readonly [Record<string, unknown>, string])[] {
  if (typeof value !== 'object' || value === null) return [];
  // An object or a list, whose members are asked for by name.
  const holder = value as Record<string, unknown>;
  return Object.entries(value).flatMap(([member, item]) => [[holder, member] as const, ...placesIn(item)]);
}

test('parseEnvelope() and lintRole() survive good metadata with any one member changed', () => {
  for (const name of ROLES) assert.deepEqual(lintRole(parseEnvelope(fileOf(GOOD[name]), name).signed), []);
  fc.assert(
    fc.property(mutated, (signed) => {
      readEverything(fileOf(signed));
      // The lint also looks at roles that were never parsed.
      lintRole(signed as Role);
    }),
    { numRuns: 400 },
  );
});

test('verifySignature() gives false and never throws for any text', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[0-9a-f]{0,160}$/u));
  fc.assert(fc.property(text, (sig) => assert.equal(verifySignature(KEY, { keyid: KEY_ID, sig }, Buffer.from('x')), false)));
});

test('tufDate() writes what the lint and the reader accept, less its milliseconds', () => {
  fc.assert(
    fc.property(fc.date({ min: new Date(0), max: new Date('9000-12-31T23:59:59Z'), noInvalidDate: true }), (date) => {
      const text = tufDate(date);
      assert.ok(isWritableDate(text));
      assert.equal(Date.parse(parseTufDate(text, 'x')), Math.floor(date.getTime() / 1000) * 1000);
    }),
  );
});

test('TargetPath.parse() keeps the name, and publishes only below its own folders', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a.+/-]{1,12}$/u), (text) => {
      assert.equal(onlyGantryErrors(() => TargetPath.parse(text)) !== undefined, TargetPath.isPortable(text));
      if (!TargetPath.isPortable(text)) return;
      const path = TargetPath.parse(text);
      assert.equal(path.memberName(), text);
      assert.equal(decodeURIComponent(path.urlPath()), text);
      for (const name of path.publishedNames(SHA)) assert.equal(new URL(name, 'http://x/t/').href, `http://x/t/${name}`);
    }),
  );
});

test('covers() agrees with a pattern that is tried letter by letter', () => {
  const pattern = fc.stringMatching(/^[ab*?/]{0,8}$/u);
  const path = fc.stringMatching(/^[ab/]{0,8}$/u);
  fc.assert(
    fc.property(pattern, path, (glob, name) => assert.equal(covers([glob], name), matches(glob, name))),
    { numRuns: 1000 },
  );
});

function matches(glob: string, name: string): boolean {
  const [wanted, rest] = [glob.charAt(0), glob.slice(1)];
  if (wanted === '') return name === '';
  const isPart = name !== '' && !name.startsWith('/');
  if (wanted === '*') return matches(rest, name) || (isPart && matches(glob, name.slice(1)));
  return (wanted === '?' ? isPart : name.startsWith(wanted)) && matches(rest, name.slice(1));
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isGantryError } from '../../lib/errors.ts';
import { addUpdate } from '../../lib/release/edit.ts';
import { emptyManifest, parseManifest, writeManifest, type Manifest } from '../../lib/release/manifest.ts';
import { readJson, valueOf } from '../../lib/release/strict-json.ts';
import { compareVersions } from '../../lib/release/version-order.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const identifier = fc.oneof(fc.nat({ max: 99 }).map(String), fc.stringMatching(/^[A-Za-z-][0-9A-Za-z-]{0,4}$/u));
const identifiers = (mark: string): fc.Arbitrary<string> =>
  fc.array(identifier, { maxLength: 3 }).map((parts) => (parts.length === 0 ? '' : `${mark}${parts.join('.')}`));
const version = fc
  .tuple(fc.array(fc.nat({ max: 20 }), { minLength: 3, maxLength: 3 }), identifiers('-'), identifiers('+'))
  .map(([core, prerelease, build]) => `${core.join('.')}${prerelease}${build}`);
const images = fc.record({ boot: text, root: text, hash: text });
const date = fc.date({ min: new Date(0), max: new Date('9000-01-01T00:00:00Z'), noInvalidDate: true });
const waves = fc
  .uniqueArray(fc.tuple(fc.nat({ max: 2 ** 32 - 1 }), date), { selector: ([bound]) => bound, maxLength: 6 })
  .map((entries) => Object.fromEntries(entries.map(([bound, time]) => [String(bound), time.toISOString()])));
/** Members that a later version, or somebody else, added. */
const unknown = fc.dictionary(
  text.map((name) => `x-${name}`),
  fc.jsonValue({ stringUnit: 'binary' }),
  { maxKeys: 3 },
);
const withUnknown = <T extends object>(known: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.tuple(known, unknown).map(([value, extra]) => ({ ...value, ...(JSON.parse(JSON.stringify(extra)) as object) }));
const update = withUnknown(
  fc.record(
    {
      variant: text,
      arch: text,
      version,
      max_version: version,
      waves,
      images: withUnknown(images),
      images_zstd: images,
      gantry: withUnknown(
        fc.record(
          { severity: text, notes: text, waves, paused: withUnknown(fc.record({ at: date.map((at) => at.toISOString()), waves })) },
          { requiredKeys: [] },
        ),
      ),
    },
    { requiredKeys: ['variant', 'arch', 'version', 'max_version', 'waves', 'images'] },
  ),
);
const migrations = fc
  .array(fc.tuple(version, version, fc.array(text, { maxLength: 3 })), { maxLength: 4 })
  .map((entries) => Object.fromEntries(entries.map(([from, to, names]) => [`(${from}, ${to})`, names])));
const manifest = withUnknown(
  fc.record({ updates: fc.array(update, { maxLength: 4 }), migrations }, { noNullPrototype: true }),
) as fc.Arbitrary<Manifest>;

test('parseManifest() gives back any manifest that writeManifest() wrote', () => {
  fc.assert(
    fc.property(manifest, (value) => {
      const bytes = writeManifest(value);
      const read = parseManifest(bytes);
      // By value: the order of members is the writer's.
      assert.deepEqual(JSON.parse(JSON.stringify(read)), JSON.parse(JSON.stringify(value)));
      assert.deepEqual(writeManifest(read), bytes);
    }),
  );
});

const damaged = fc
  .tuple(manifest, fc.array(fc.tuple(fc.nat(), fc.constantFrom(...'{}[]",:0aé\\/ \n'), fc.nat({ max: 3 })), { maxLength: 3 }))
  .map(([value, edits]) =>
    edits.reduce(
      (whole, [where, insert, drop]) => {
        const at = where % (whole.length + 1);
        return whole.slice(0, at) + insert + whole.slice(at + drop);
      },
      Buffer.from(writeManifest(value)).toString(),
    ),
  );

test('parseManifest() gives a manifest or release/bad-manifest for any bytes', () => {
  const bytes = fc.oneof(
    fc.uint8Array(),
    fc.json().map((json) => Buffer.from(json)),
    damaged.map((whole) => Buffer.from(whole)),
  );
  fc.assert(
    fc.property(bytes, (input) => {
      try {
        assert.ok(Array.isArray(parseManifest(input).updates));
      } catch (error) {
        assert.ok(isGantryError(error, 'release/bad-manifest'), String(error));
        assert.match(error.details.at, /^line \d+, column \d+/u);
      }
    }),
  );
});

test('readJson() reads what JSON.parse() reads, and refuses what it refuses', () => {
  const broken = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '"', '0', '-', '.', 'e', '\t', '\u00a0', '\u0001', '//', '\\u00', '+', '}'))
    .map(([json, at, insert]) => json.slice(0, at % (json.length + 1)) + insert + json.slice(at % (json.length + 1)));
  fc.assert(
    fc.property(fc.oneof(fc.json(), broken), (json) => {
      let expected: unknown;
      try {
        expected = JSON.parse(json);
      } catch {
        assert.throws(() => readJson(Buffer.from(json)), { code: 'release/bad-manifest' });
        return;
      }
      try {
        assert.deepEqual(JSON.parse(JSON.stringify(valueOf(readJson(Buffer.from(json))))), expected);
      } catch (error) {
        // The one thing that it refuses and JSON.parse does not.
        assert.ok(isGantryError(error, 'release/bad-manifest') && error.message.includes('a second time'), String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test('compareVersions() is a total order', () => {
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      assert.equal(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a)), 0);
      assert.equal(compareVersions(a, b) === 0, a === b);
      if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) assert.ok(compareVersions(a, c) <= 0);
    }),
  );
});

test('addUpdate() leaves no update of the variant and arch hidden', () => {
  const versions = fc.uniqueArray(version, { minLength: 1, maxLength: 6 }).map((all) => all.toSorted(compareVersions));
  fc.assert(
    fc.property(versions, (ascending) => {
      const built = ascending.reduce(
        (whole, one) => addUpdate(whole, { variant: 'v', arch: 'a', version: one, images: { boot: 'b', root: 'r', hash: 'h' } }),
        emptyManifest(),
      );
      for (const { max_version } of built.updates) assert.equal(max_version, ascending.at(-1));
    }),
  );
});

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import { emptyManifest, parseManifest, writeManifest, type Manifest } from '../../lib/release/manifest.ts';

const folder = new URL('../../fixtures/manifests/', import.meta.url);
const fixture = (name: string): Buffer => readFileSync(new URL(name, folder));
const parseText = (text: string): Manifest => parseManifest(Buffer.from(text));
const written = (manifest: Manifest): string => Buffer.from(writeManifest(manifest)).toString();

test('writeManifest(emptyManifest()) writes what Bottlerocket writes for a new repository', () => {
  assert.equal(written(emptyManifest()), fixture('good/empty.json').toString());
});

for (const name of ['empty', 'stock', 'unknown-members']) {
  test(`writeManifest() gives back the bytes of ${name}.json when it was read by parseManifest()`, () => {
    const bytes = fixture(`good/${name}.json`);
    assert.equal(written(parseManifest(bytes)), bytes.toString());
  });
}

test('writeManifest() uses the order of stock tools when the file had another one', () => {
  const expected = parseManifest(fixture('good/stock.json'));
  const actual = parseManifest(fixture('good/stock.input.json'));
  const timesOf = ({ updates }: Manifest): unknown => updates.map(({ waves }) => Object.keys(waves));
  assert.deepEqual(timesOf(actual), timesOf(expected));
  // Times stay as they were written, so they are the only difference.
  const normal = { ...actual, updates: actual.updates.map((update, at) => ({ ...update, waves: expected.updates[at]?.waves ?? {} })) };
  assert.equal(written(normal), fixture('good/stock.json').toString());
});

test('parseManifest() keeps what it does not know', () => {
  const manifest = parseManifest(fixture('good/unknown-members.json'));
  const [update] = manifest.updates;
  assert.equal(Reflect.get(manifest, 'schema'), 3);
  assert.equal(Reflect.get(update ?? {}, 'status'), 'Ready');
  assert.equal(JSON.stringify(Reflect.get(update ?? {}, 'numbers')), '[12345678901234567890,1.0,1e400,-0,0.5,7]');
  assert.deepEqual(update?.images_zstd, { boot: 'bz', root: 'rz', hash: 'hz' });
  assert.equal(Object.getPrototypeOf(Reflect.get(update ?? {}, 'nested')), Object.prototype);
});

test('parseManifest() reads what hosts read when a person wrote it', () => {
  const { updates, migrations } = parseManifest(fixture('good/lenient.json'));
  assert.deepEqual(
    updates.map(({ version, max_version }) => [version, max_version]),
    [
      ['1.2.0', '1.1.0'],
      ['1.2.0', '1.2.0'],
    ],
  );
  assert.deepEqual(updates[0]?.waves, {
    '7': '2026-03-03 18:00:00 +01:00',
    '20': '2019-8-06T15:00:00Z',
    '4294967295': '2026-03-03T18:00:00.123456789Z',
  });
  assert.deepEqual(migrations, { '(1.0.0, 1.1.0)': ['m'], '(1.1.0, 1.2.0)': [] });
});

const bad = JSON.parse(fixture('bad.json').toString()) as Record<string, string>;

test('fixtures/manifests/bad.json names every file in bad/', () => {
  const files = readdirSync(new URL('bad/', folder));
  assert.deepEqual(
    files.toSorted(),
    Object.keys(bad)
      .map((name) => `${name}.json`)
      .toSorted(),
  );
});

for (const [name, at] of Object.entries(bad)) {
  test(`parseManifest() names ${at} when it reads bad/${name}.json`, () => {
    assert.throws(
      () => parseManifest(fixture(`bad/${name}.json`)),
      (error) => {
        assert.ok(isGantryError(error, 'release/bad-manifest'));
        assert.deepEqual(error.details, { at });
        assert.ok(error.message.startsWith(`Cannot read the manifest: ${at}: `), error.message);
        return true;
      },
    );
  });
}

test('parseManifest() accepts 127 levels and refuses 128, as serde_json does', () => {
  const nested = (levels: number): string => `{"updates": [], "migrations": {}, "x": ${'['.repeat(levels)}${']'.repeat(levels)}}`;
  assert.equal(parseText(nested(126)).updates.length, 0);
  assert.throws(() => parseText(nested(127)), { code: 'release/bad-manifest' });
  assert.throws(() => parseText('['.repeat(1 << 20)), { code: 'release/bad-manifest' });
});

test('parseManifest() escapes and cuts a hostile member name in its message', () => {
  const name = `\u001b[2J\u202e${'x'.repeat(10_000)}`;
  assert.throws(
    () => parseText(`{"updates": [], "migrations": {${JSON.stringify(name)}: []}}`),
    (error) => {
      assert.ok(isGantryError(error, 'release/bad-manifest'));
      assert.ok(!error.message.includes('\u001b') && !error.message.includes('\u202e'), error.message);
      assert.ok(error.message.length < 400);
      return true;
    },
  );
});

test('parseManifest() refuses what is too long to be a manifest, and writeManifest() does not write it', () => {
  assert.throws(() => parseManifest(Buffer.alloc(50_000_000, ' ')), {
    code: 'release/bad-manifest',
    message: 'Cannot read the manifest: line 1, column 1: it has 50000000 bytes; expected at most 16777216',
  });
  const long = { ...emptyManifest(), migrations: { '(1.0.0, 1.1.0)': ['x'.repeat(17 << 20)] } };
  assert.throws(() => writeManifest(long), { code: 'release/bad-manifest' });
});

test('parseManifest() reads 20,000 members of one object one by one, not pair by pair', () => {
  const waves = Array.from({ length: 20_000 }, (_, bound) => `"${bound}": "2026-03-03T18:00:00Z"`).join(', ');
  const images = '{"boot": "b", "root": "r", "hash": "h"}';
  const update = `{"variant": "v", "arch": "a", "version": "1.0.0", "max_version": "1.0.0", "waves": {${waves}}, "images": ${images}}`;
  const [read] = parseText(`{"migrations": {}, "updates": [${update}]}`).updates;
  assert.equal(Object.keys(read?.waves ?? {}).length, 20_000);
});

test('parseManifest() names the line and the column of the first byte that is not UTF-8', () => {
  const refused = (bytes: readonly (string | number)[], at: string, byte: string): void => {
    const whole = Buffer.concat(bytes.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part]))));
    assert.throws(() => parseManifest(whole), {
      code: 'release/bad-manifest',
      details: { at },
      message: `Cannot read the manifest: ${at}: the byte ${byte} is not UTF-8; expected JSON text`,
    });
  };
  refused([0xff], 'line 1, column 1', '0xff');
  refused(['{\n  "updates": "', 0x80, '"', 0xff], 'line 2, column 15', '0x80');
  refused(['{\r\n\n\r"é😀\uFFFD', 0xc3, '"}'], 'line 4, column 6', '0xc3');
  // A surrogate, an overlong form, and a character that is cut off by the end.
  refused(['\uFFFD\uFFFD', 0xed, 0xa0, 0x80], 'line 1, column 3', '0xed');
  refused(['{', 0xc0, 0xaf], 'line 1, column 2', '0xc0');
  refused(['{', 0xef, 0xbf], 'line 1, column 2', '0xef');
  // Genuine ones without number are passed in linear time.
  const many = Buffer.concat([Buffer.from('\uFFFD'.repeat(2_000_000)), Buffer.from([0xff])]);
  assert.throws(() => parseManifest(many), { details: { at: 'line 1, column 2000001' } });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import { parseReleaseFile } from '../../lib/release/release-file.ts';

/** What a file is refused with, without the part that all messages share. */
function refusal(text: string): string {
  try {
    parseReleaseFile(text, 'Release.toml');
  } catch (error) {
    assert.ok(isGantryError(error, 'release/bad-release-file'), String(error));
    assert.ok(error.message.startsWith(`Cannot use "Release.toml": ${error.details.at}: `), error.message);
    return error.message.slice('Cannot use "Release.toml": '.length);
  }
  throw new assert.AssertionError({ message: 'it was taken' });
}

test('parseReleaseFile() reads keys as hosts read those of a manifest, and writes them in one form', () => {
  const text = [
    '[migrations]',
    '"(1.0.0, 1.1.0)" = ["b", "a"]',
    "'(1.1.0,1.2.0)' = []",
    '"(1.2.0,   1.3.0)" = ["a"]',
    '"from (1.3.0, 1.4.0-rc.1+b) on" = ["c"]',
  ];
  assert.deepEqual(Object.entries(parseReleaseFile(text.join('\n'), 'Release.toml').migrations), [
    ['(1.0.0, 1.1.0)', ['b', 'a']],
    ['(1.1.0, 1.2.0)', []],
    ['(1.2.0, 1.3.0)', ['a']],
    ['(1.3.0, 1.4.0-rc.1+b)', ['c']],
  ]);
});

test('parseReleaseFile() takes a file without migrations in its table, and one without a version', () => {
  assert.deepEqual(parseReleaseFile('[migrations]', 'Release.toml'), { migrations: {} });
  assert.deepEqual(parseReleaseFile('version = "1.2.0"\nmigrations = {}\n[other]\nx = 1', 'Release.toml'), {
    version: '1.2.0',
    migrations: {},
  });
});

test('parseReleaseFile() refuses a file that says nothing about migrations', () => {
  for (const [text, at] of Object.entries({
    '': 'line 1, column 1',
    '\n# nothing\n': 'line 1, column 1',
    '\ufeff': 'line 1, column 1',
    'version = "1.2.0"': 'line 1, column 1',
    'x = 1\nmigrations = 7': 'line 2, column 14',
    'migrations = []': 'line 1, column 14',
    'migrations = 2026-03-03': 'line 1, column 14',
    'migrations = "(1.0.0, 1.1.0)"': 'line 1, column 14',
    '[[migrations]]': 'line 1, column 1',
    '__proto__ = { migrations = {} }': 'line 1, column 1',
  }))
    assert.equal(refusal(text), `${at}: it has no [migrations]; expected a table of pairs of versions`, text);
});

test('parseReleaseFile() refuses keys that are no pair of versions', () => {
  const long = `(1.0.0, 1.1.0)${' '.repeat(2000)}`;
  for (const key of [
    '1.0.0',
    '(1.0.0)',
    '(1.0, 1.1.0)',
    '(v1.0.0, 1.1.0)',
    '(1.0.0 , 1.1.0)',
    '((1.0.0, 1.1.0)',
    '()',
    '',
    '__proto__',
    'constructor',
    long,
  ])
    assert.match(
      refusal(`[migrations]\n${JSON.stringify(key)} = []`),
      /^line 2, column \d+: .* is no pair of versions; expected "\(FROM, TO\)", both SemVer$/u,
    );
  assert.match(refusal('[migrations.__proto__]\nx = []'), /^line 1, column 1: "__proto__" is no pair of versions/u);
  assert.ok(refusal(`[migrations]\n"\\u001b${'x'.repeat(5000)}" = []`).length < 300);
});

test('parseReleaseFile() refuses a pair that is there twice in two forms', () => {
  const text = '[migrations]\n"(1.0.0, 1.1.0)" = []\n"(1.1.0, 1.2.0)" = []\n"to (1.0.0,1.1.0)" = []';
  assert.equal(refusal(text), 'line 4, column 22: the pair (1.0.0, 1.1.0) is there a second time; expected it once');
  assert.throws(() => parseReleaseFile('[migrations]\n"(1.0.0, 1.1.0)" = []\n"(1.0.0, 1.1.0)" = []', 'Release.toml'), {
    code: 'release/bad-toml',
  });
});

test('parseReleaseFile() refuses what is no list of names, with the place of the value', () => {
  for (const value of ['"x"', '7', '[7]', '["x", 7]', '[["x"]]', '{}', '[{}]', 'true', '2026-03-03'])
    assert.match(refusal(`[migrations]\n"(1.0.0, 1.1.0)" = ${value}`), /^line 2, column 20: it is no list of names/u, value);
});

test('parseReleaseFile() takes a version with a leading v, and refuses what is none', () => {
  assert.equal(parseReleaseFile('version = "v1.2.0-rc.1"\n[migrations]', 'Release.toml').version, '1.2.0-rc.1');
  for (const version of ['"1.2"', '"vv1.2.0"', '""', '1.2', '["1.2.0"]', '"latest"'])
    assert.equal(
      refusal(`# first\nversion = ${version}\n[migrations]`),
      'line 2, column 11: version is not SemVer; expected for example "1.2.0"',
      version,
    );
});

test('parseReleaseFile() reads 10,000 steps', () => {
  const steps = Array.from({ length: 10_000 }, (_, index) => `"(1.${index}.0, 1.${index + 1}.0)" = ["migrate_v1.${index + 1}.0_x.lz4"]`);
  const started = performance.now();
  const { migrations } = parseReleaseFile(`[migrations]\n${steps.join('\n')}`, 'Release.toml');
  assert.equal(Object.keys(migrations).length, 10_000);
  assert.ok(performance.now() - started < 5000);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import { parseToml, placeText, type TomlPath } from '../../lib/release/toml.ts';

const places = (text: string, ...paths: readonly TomlPath[]): readonly string[] => {
  const toml = parseToml(text, 'f.toml');
  return paths.map((path) => {
    const { line, column } = toml.placeOf(path);
    return `${line}:${column}`;
  });
};

/** What a text is refused with. */
function refusal(text: string): { readonly at: string; readonly message: string } {
  try {
    parseToml(text, 'f.toml');
  } catch (error) {
    assert.ok(isGantryError(error, 'release/bad-toml'), String(error));
    assert.equal(error.details.path, 'f.toml');
    assert.ok(error.message.startsWith(`Cannot read "f.toml": ${error.details.at}: `), error.message);
    return { at: error.details.at, message: error.message };
  }
  throw new assert.AssertionError({ message: `it was taken: ${text.slice(0, 80)}` });
}

test('parseToml() gives the values of tables, lists of tables, dotted keys and inline tables', () => {
  const text = [
    'a = 1',
    'b.c = "x"',
    '[d]',
    "e = [[1, 2], [{ 'f g' = true }]]",
    '[[h]]',
    'i = 1.5',
    '[[h]]',
    '[h.j]',
    'k = 0x10',
    '[[h.l]]',
    '[d.m.n]',
    '[d.m]',
  ];
  assert.deepEqual(parseToml(text.join('\n'), 'f.toml').table, {
    a: 1,
    b: { c: 'x' },
    d: { e: [[1, 2], [{ 'f g': true }]], m: { n: {} } },
    h: [{ i: 1.5 }, { j: { k: 16 }, l: [{}] }],
  });
});

test('parseToml() keeps a date apart from a table', () => {
  const { table } = parseToml('a = 2026-03-03T17:00:00Z', 'f.toml');
  assert.deepEqual(table, { a: new Date('2026-03-03T17:00:00Z') });
});

test('parseToml() takes __proto__ as a name: no other object gets a member from it', () => {
  for (const text of ['[__proto__]\nleak = 1', '__proto__.leak = 1', '[a]\n[a.__proto__]\nleak = 1', '[[__proto__]]\nleak = 1']) {
    const { table } = parseToml(text, 'f.toml');
    assert.equal(Reflect.get({}, 'leak'), undefined, text);
    assert.equal(Reflect.get([], 'leak'), undefined, text);
    assert.equal(Object.getPrototypeOf(table), Object.prototype, text);
    assert.equal(Reflect.get(table, 'leak'), undefined, text);
  }
  const { table } = parseToml('__proto__.leak = 1\nconstructor.prototype.leak = 2', 'f.toml');
  assert.deepEqual(Object.getOwnPropertyDescriptor(table, '__proto__')?.value, { leak: 1 });
  assert.equal(Reflect.get({}, 'leak'), undefined);
});

test('parseToml() says where each value stands', () => {
  const text = 'a = 1\n\n[b]\n  c.d = [ 1,\n    { e = 2 } ]\n[[f]]\n[[f]]\ng = "x"\n';
  assert.deepEqual(places(text, ['a'], ['b'], ['b', 'c', 'd'], ['b', 'c', 'd', 0], ['b', 'c', 'd', 1, 'e'], ['f', 1], ['f', 1, 'g']), [
    '1:5',
    '3:1',
    '4:9',
    '4:11',
    '5:11',
    '7:1',
    '8:5',
  ]);
});

test('parseToml() gives the place of what is around when there is no such value', () => {
  const text = '# first\n[a]\nb = { c = 1 }\n[x.y]\n';
  assert.deepEqual(places(text, [], ['z'], ['a', 'z', 'c'], ['a', 'b', 'z'], ['a', 'b', 'c', 'z', 'q'], ['x'], ['x', 'y', 0]), [
    '1:1',
    '1:1',
    '2:1',
    '3:5',
    '3:11',
    '4:1',
    '4:1',
  ]);
});

test('parseToml() counts columns in UTF-16 units, with any ends of lines and behind a byte order mark', () => {
  assert.deepEqual(places('"😀" = 1\r\nb = ["é", 2]\r\n', ['😀'], ['b', 1]), ['1:8', '2:11']);
  assert.deepEqual(places('\ufeffa = 1\nb = 2', ['a'], ['b']), ['1:5', '2:5']);
  assert.equal(refusal('\ufeffa = = 1').at, 'line 1, column 5');
  assert.equal(refusal('a = 1\r\nb = = 1').at, 'line 2, column 5');
  assert.equal(refusal('a = "😀" 1').at, 'line 1, column 10');
});

test('parseToml() names the line in which something is missing, not the one behind it', () => {
  const cases: Readonly<Record<string, string>> = {
    'a =\nb = 1': 'line 1, column 4',
    'a = \r\n\r\n  b = 1': 'line 1, column 4',
    'a =': 'line 1, column 4',
    'a = "x\nb = 1': 'line 1, column 7',
    'a = [1, 2\n': 'line 1, column 10',
    'a = 1\n[b\n': 'line 2, column 3',
    'a = 1\n\n!': 'line 3, column 1',
    'a = = 1': 'line 1, column 5',
    '[[waves]\na = 1': 'line 1, column 9',
    'x = 1\r\n[[waves]\r\n\r\n  # a remark\r\n# another\r\na = 1': 'line 2, column 9',
    '[waves # why\na = 1': 'line 1, column 13',
    'a\n\n= 1': 'line 1, column 2',
  };
  for (const [text, at] of Object.entries(cases)) assert.equal(refusal(text).at, at, JSON.stringify(text));
});

test('parseToml() refuses a name that is there twice, in whatever form', () => {
  const cases: Readonly<Record<string, string>> = {
    'a = 1\na = 2': 'line 2, column 1',
    'a = 1\n"a" = 2': 'line 2, column 1',
    '[a]\n[b]\n[a]': 'line 3, column 2',
    'a.b = 1\n[a.b]': 'line 2, column 4',
    'a = []\n[[a]]': 'line 2, column 3',
    'a = { b = 1, b = 2 }': 'line 1, column 14',
  };
  for (const [text, at] of Object.entries(cases)) assert.equal(refusal(text).at, at, JSON.stringify(text));
});

test('parseToml() takes 64 levels and refuses 65, by brackets and by dots', () => {
  const names = (count: number): string => Array.from({ length: count }, () => 'a').join('.');
  const nested: Readonly<Record<string, (levels: number) => string>> = {
    lists: (levels) => `a = ${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}`,
    'inline tables': (levels) => `${'a = {'.repeat(levels - 1)}a = 1${'}'.repeat(levels - 1)}`,
    'dotted keys': (levels) => `${names(levels)} = 1`,
    tables: (levels) => `[${names(levels)}]`,
    'keys of tables': (levels) => `[${names(levels - 1)}]\nb = 1`,
  };
  for (const [kind, textOf] of Object.entries(nested)) {
    assert.ok('a' in parseToml(textOf(64), 'f.toml').table, kind);
    assert.match(refusal(textOf(65)).message, /line \d, column \d+: it is nested deeper than 64 levels/u, kind);
    for (const many of [3000, 20_000]) assert.ok(refusal(textOf(many)).message.length < 200, kind);
  }
});

/** Milliseconds. */
function timeOf(work: () => unknown): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}

test('parseToml() takes no more time for long names than for many', () => {
  const keys = Array.from({ length: 10_000 }, (_, index) => `k${index} = ${index}`).join('\n');
  const name = 'n'.repeat(1 << 18);
  const ms = timeOf(() => {
    const { table } = parseToml(`[${name}]\n${keys}`, 'f.toml');
    assert.equal(Object.keys(Reflect.get(table, name) as object).length, 10_000);
  });
  assert.ok(ms < 2000, `${ms} ms`);
});

test('parseToml() refuses junk with a short message, in time that does not explode', () => {
  const mebibyte = 1 << 20;
  for (const junk of ['a', '[', '"', '{', '=', '\u0000', '\u{10ffff}', "'", 'a.b.', '[[', 'a = "']) {
    const text = junk.repeat(mebibyte / junk.length);
    let message = '';
    const ms = timeOf(() => {
      ({ message } = refusal(text));
    });
    assert.ok(message.length < 300 && ms < 8000, `${JSON.stringify(junk)}: ${ms} ms, ${message.slice(0, 300)}`);
  }
});

test('placeText() is what error messages say', () => {
  assert.equal(placeText({ line: 3, column: 15 }), 'line 3, column 15');
});

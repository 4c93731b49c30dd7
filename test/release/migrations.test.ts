import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isGantryError } from '../../lib/errors.ts';
import type { Manifest } from '../../lib/release/manifest.ts';
import { findMigrations, migrationMap, parseStepKey, rankOf, stepKey, stepsOf, walkTo } from '../../lib/release/migrations.ts';
import { compareVersions } from '../../lib/release/version-order.ts';

const targetsOf = (migrations: Readonly<Record<string, readonly string[]>>, from: string, to: string): readonly string[] =>
  findMigrations(migrations, from, to).targets;

const CHAIN = { '(1.0.0, 1.1.0)': ['a', 'b'], '(1.1.0, 1.2.0)': ['c'], '(1.2.0, 1.10.0)': [] };

test('findMigrations() goes forward in order, and backward in the reverse order', () => {
  const forward = findMigrations(CHAIN, '1.0.0', '1.10.0');
  assert.deepEqual([forward.direction, forward.targets], ['forward', ['a', 'b', 'c']]);
  assert.deepEqual(
    forward.steps.map(({ from, to }) => stepKey(from, to)),
    ['(1.0.0, 1.1.0)', '(1.1.0, 1.2.0)', '(1.2.0, 1.10.0)'],
  );
  const backward = findMigrations(CHAIN, '1.10.0', '1.0.0');
  assert.deepEqual([backward.direction, backward.targets], ['backward', ['c', 'b', 'a']]);
  assert.deepEqual(findMigrations(CHAIN, '1.1.0', '1.1.0'), { direction: 'none', steps: [], targets: [] });
});

test('findMigrations() takes the longest step that does not pass the goal, even into a dead end', () => {
  const shortcut = { ...CHAIN, '(1.0.0, 1.2.0)': ['s'] };
  assert.deepEqual(findMigrations(shortcut, '1.0.0', '1.10.0').targets, ['s']);
  assert.deepEqual(findMigrations(shortcut, '1.0.0', '1.1.0').targets, ['a', 'b']);
  const trap = { ...CHAIN, '(1.0.0, 1.5.0)': ['t'] };
  assert.throws(() => findMigrations(trap, '1.0.0', '1.10.0'), {
    code: 'release/no-path',
    details: { from: '1.0.0', to: '1.10.0', stuck: '1.5.0' },
    message: 'Cannot migrate from 1.0.0 to 1.10.0: no step leads out of 1.5.0 towards 1.10.0; expected a chain of steps between them',
  });
});

/** The loop of the reference, word for word: undefined where a host is stuck. */
function naive(migrations: Manifest['migrations'], from: string, to: string): readonly string[] | undefined {
  const [low, high] = compareVersions(from, to) <= 0 ? [from, to] : [to, from];
  const out: string[] = [];
  for (let current = low; current !== high;) {
    const candidates = Object.keys(migrations)
      .map((key) => key.slice(1, -1).split(', '))
      .filter(([start, end = '']) => start === current && compareVersions(end, high) <= 0)
      .toSorted(([, a = ''], [, b = '']) => compareVersions(b, a));
    const [pick] = candidates;
    if (pick === undefined || compareVersions(pick[1] ?? '', current) <= 0) return undefined;
    out.push(...(migrations[stepKey(current, pick[1] ?? '')] ?? []));
    current = pick[1] ?? '';
  }
  return from === low ? out : out.toReversed();
}

test('findMigrations() finds what the loop of stock hosts finds, for any steps', () => {
  const version = fc.constantFrom('1.0.0', '1.1.0', '1.2.0', '1.10.0', '2.0.0-rc.1', '2.0.0', '2.0.0+b');
  const migrations = fc
    .array(fc.tuple(version, version, fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 })), { maxLength: 12 })
    .map((steps) => Object.fromEntries(steps.map(([from, to, targets]) => [stepKey(from, to), targets])));
  fc.assert(
    fc.property(migrations, version, version, (steps, from, to) => {
      let found: readonly string[] | undefined;
      try {
        found = findMigrations(steps, from, to).targets;
      } catch (error) {
        assert.ok(isGantryError(error, 'release/no-path'));
      }
      assert.deepEqual(found, naive(steps, from, to));
    }),
    { numRuns: 2000 },
  );
});

test('findMigrations() takes build metadata and pre-releases for versions of their own', () => {
  const migrations = {
    '(1.0.0, 1.1.0-rc.1)': ['rc'],
    '(1.1.0-rc.1, 1.1.0)': ['final'],
    '(1.1.0, 1.1.0+fix.1)': ['fix'],
    '(1.1.0+fix.1, 1.1.0+fix.2)': [],
  };
  assert.deepEqual(targetsOf(migrations, '1.0.0', '1.1.0+fix.2'), ['rc', 'final', 'fix']);
  assert.deepEqual(targetsOf(migrations, '1.1.0+fix.1', '1.0.0'), ['fix', 'final', 'rc']);
  assert.throws(() => findMigrations(migrations, '1.0.0', '1.1.0+fix.3'), {
    code: 'release/no-path',
    details: { from: '1.0.0', to: '1.1.0+fix.3', stuck: '1.1.0+fix.2' },
  });
});

test('findMigrations() does not find the way beside a dead end, in neither direction', () => {
  const migrations = { '(1.0.0, 1.1.0)': [], '(1.1.0, 1.3.0)': [], '(1.0.0, 1.2.0)': [] };
  for (const [from, to] of [
    ['1.0.0', '1.3.0'],
    ['1.3.0', '1.0.0'],
  ] as const)
    assert.throws(() => findMigrations(migrations, from, to), {
      code: 'release/no-path',
      message: `Cannot migrate from ${from} to ${to}: no step leads out of 1.2.0 towards 1.3.0; expected a chain of steps between them`,
    });
});

test('findMigrations() ends when steps lead round in circles', () => {
  for (const migrations of [
    { '(1.0.0, 1.0.0)': [] },
    { '(1.1.0, 1.0.0)': [], '(1.0.0, 1.1.0)': [] },
    { '(1.0.0, 1.1.0)': [], '(1.1.0, 1.2.0)': [], '(1.2.0, 1.0.0)': [] },
  ]) {
    assert.throws(() => findMigrations(migrations, '1.0.0', '9.0.0'), { code: 'release/no-path' });
  }
  assert.throws(() => findMigrations(CHAIN, '1.0', '1.2.0'), { code: 'release/bad-version' });
});

test('findMigrations() runs a target as often as steps name it, in both directions', () => {
  const migrations = { '(1.0.0, 1.1.0)': ['a', 'b', 'a'], '(1.1.0, 1.2.0)': ['b'] };
  assert.deepEqual(targetsOf(migrations, '1.0.0', '1.2.0'), ['a', 'b', 'a', 'b']);
  assert.deepEqual(targetsOf(migrations, '1.2.0', '1.0.0'), ['b', 'a', 'b', 'a']);
});

test('findMigrations() finds a way of 10,000 steps, and one among 10,000 out of one version', () => {
  const chain = Object.fromEntries(
    Array.from({ length: 10_000 }, (_, index) => [stepKey(`1.${index}.0`, `1.${index + 1}.0`), [`m${index}`]]),
  );
  const star = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [stepKey('0.0.1', `1.${index + 1}.0`), [`m${index}`]]));
  const started = performance.now();
  const { steps, targets } = findMigrations(chain, '1.10000.0', '1.0.0');
  assert.deepEqual([steps.length, targets[0], targets.at(-1)], [10_000, 'm9999', 'm0']);
  assert.deepEqual(targetsOf(star, '0.0.1', '1.5000.0'), ['m4999']);
  assert.ok(performance.now() - started < 3000);
});

test('walkTo() says where a host is stuck, and knows the way from versions that it passed', () => {
  const map = migrationMap({ '(1.0.0, 1.1.0)': [], '(1.1.0, 1.2.0)': [], '(1.3.0, 1.4.0)': [], '(1.4.0, 1.3.0)': [] }, ['1.5.0']);
  const rank = (version: string): number => rankOf(map.rank, version);
  const name = (stuck: number | undefined): string | undefined => (stuck === undefined ? undefined : map.versions[stuck]);
  const walk = walkTo(map, rank('1.2.0'));
  assert.deepEqual([name(walk(rank('1.0.0'))), name(walk(rank('1.1.0'))), name(walk(rank('1.2.0')))], [undefined, undefined, undefined]);
  const far = walkTo(map, rank('1.5.0'));
  assert.deepEqual(
    ['1.0.0', '1.1.0', '1.2.0', '1.3.0', '1.4.0', '1.5.0'].map((version) => name(far(rank(version)))),
    ['1.2.0', '1.2.0', '1.2.0', '1.4.0', '1.4.0', undefined],
  );
});

test('rankOf() throws RangeError for a version that nobody spoke of', () => {
  const { rank, versions } = migrationMap({ '(1.10.0, 1.9.0)': [] }, ['1.0.0']);
  assert.deepEqual(versions, ['1.0.0', '1.9.0', '1.10.0']);
  assert.equal(rankOf(rank, '1.10.0'), 2);
  assert.throws(() => rankOf(rank, '1.1.0'), RangeError);
});

test('parseStepKey() reads what stepKey() writes, and nothing else', () => {
  assert.deepEqual(parseStepKey(stepKey('1.0.0', '1.1.0+b')), { from: '1.0.0', to: '1.1.0+b' });
  for (const key of ['(1.0.0,1.1.0)', '1.0.0, 1.1.0', ' (1.0.0, 1.1.0)', '(1.0.0, 1.1.0) ', '(1.0.0, 1.1.0, 1.2.0)', '__proto__', ''])
    assert.equal(parseStepKey(key), undefined, key);
});

test('stepsOf() keeps the order of the targets', () => {
  assert.deepEqual(stepsOf({ '(1.0.0, 1.1.0)': ['b', 'a'], '(1.1.0, 1.2.0)': [] }), [
    { from: '1.0.0', to: '1.1.0', targets: ['b', 'a'] },
    { from: '1.1.0', to: '1.2.0', targets: [] },
  ]);
});

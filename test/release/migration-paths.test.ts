import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isGantryError } from '../../lib/errors.ts';
import { applyEdit } from '../../lib/release/edit.ts';
import type { Manifest, Update } from '../../lib/release/manifest.ts';
import { findMigrations, stepKey } from '../../lib/release/migrations.ts';
import { compareVersions } from '../../lib/release/version-order.ts';

const NOW = '2026-06-01T12:00:00Z';
const images = { boot: 'b', root: 'r', hash: 'h' };
const update = (version: string, changes: Partial<Update> = {}): Update => ({
  variant: 'metal',
  arch: 'x86_64',
  version,
  max_version: '1.2.0',
  waves: {},
  images,
  ...changes,
});
const CHAIN: Manifest['migrations'] = { '(1.0.0, 1.1.0)': ['a', 'b'], '(1.1.0, 1.2.0)': ['c'], '(1.2.0, 1.10.0)': [] };

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

test('findMigrations() ends where a step leads nowhere or back', () => {
  for (const migrations of [{ '(1.0.0, 1.0.0)': [] }, { '(1.1.0, 1.0.0)': [], '(1.0.0, 1.1.0)': [] }]) {
    assert.throws(() => findMigrations(migrations, '1.0.0', '1.2.0'), { code: 'release/no-path' });
  }
  assert.throws(() => findMigrations(CHAIN, '1.0', '1.2.0'), { code: 'release/bad-version' });
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

const manifest = (migrations: Manifest['migrations'], ...updates: readonly Update[]): Manifest => ({ updates, migrations });
const recall = (before: Manifest, version: string, to: string): Manifest =>
  applyEdit(before, { kind: 'recall', update: { variant: 'metal', arch: 'x86_64', version }, to, at: NOW });

test('a recall lowers max_version for the variant and arch alone', () => {
  const other = update('1.2.0', { arch: 'aarch64' });
  const after = recall(manifest(CHAIN, update('1.1.0'), update('1.2.0'), other), '1.2.0', '1.1.0');
  assert.deepEqual(
    after.updates.map(({ max_version }) => max_version),
    ['1.1.0', '1.1.0', '1.2.0'],
  );
});

test('a recall is refused when hosts could not go back', () => {
  const stranded = (before: Manifest, why: string, message: RegExp): void => {
    assert.throws(
      () => recall(before, '1.2.0', '1.1.0'),
      (error) => {
        assert.ok(isGantryError(error, 'release/stranded'));
        assert.equal(error.details.why, why);
        assert.match(error.message, message);
        return true;
      },
    );
  };
  const closing = { '0': '2026-06-01T00:00:00Z', '1024': '2026-06-02T00:00:00Z' };
  stranded(manifest(CHAIN, update('1.1.0', { waves: closing }), update('1.2.0')), 'waves', /1\.1\.0 is open to \d+ % of the fleet only/u);
  const paused = { gantry: { paused: { at: '2026-06-01T00:00:00Z', waves: closing } } };
  stranded(manifest(CHAIN, update('1.1.0', paused), update('1.2.0')), 'waves', /open to \d+ % of the fleet only/u);
  stranded(manifest({}, update('1.1.0'), update('1.2.0')), 'migrations', /no chain of migrations leads from 1\.2\.0 back to 1\.1\.0/u);
  // A version that is not on offer any more, but hosts may run it.
  stranded(manifest({ ...CHAIN, '(1.1.5, 1.1.6)': [] }, update('1.1.0'), update('1.2.0')), 'migrations', /from 1\.1\.5 back to 1\.1\.0/u);
});

test('a recall is refused when it would do something else than what was said', () => {
  const before = manifest({ '(1.0.0, 1.1.0)': [], '(1.1.0, 1.2.0)': [] }, update('1.0.0'), update('1.1.0'), update('1.2.0'));
  for (const [version, to, message] of [
    ['1.1.0', '1.1.0', /1\.1\.0 is not older/u],
    ['1.1.0', '1.2.0', /1\.2\.0 is not older/u],
    ['1.1.0', '1.0.0', /1\.2\.0 is newer, and would go with it/u],
  ] as const) {
    assert.throws(() => recall(before, version, to), { code: 'release/bad-recall', message });
  }
  assert.throws(() => recall(recall(before, '1.2.0', '1.1.0'), '1.2.0', '1.1.0'), {
    code: 'release/bad-recall',
    message: /recalled already/u,
  });
  for (const [version, to] of [
    ['1.3.0', '1.0.0'],
    ['1.2.0', '0.9.0'],
  ] as const) {
    assert.throws(() => recall(before, version, to), { code: 'release/unknown' });
  }
});

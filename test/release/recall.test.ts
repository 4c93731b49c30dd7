import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWithdrawn } from '../../lib/release/find.ts';
import type { Manifest, Update } from '../../lib/release/manifest.ts';
import { recallUpdate, refuseMissingTargets, versionsAbove } from '../../lib/release/recall.ts';
import { availableUpdates } from '../../lib/release/select.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';

const NOW = new Date('2026-06-01T12:00:00Z');
const NAME = { variant: 'metal', arch: 'x86_64' };
const update = (version: string, changes: Partial<Update> = {}): Update => ({
  ...NAME,
  version,
  max_version: '1.3.0',
  waves: {},
  images: { boot: 'b', root: 'r', hash: 'h' },
  ...changes,
});
const CHAIN = { '(1.0.0, 1.1.0)': [], '(1.1.0, 1.2.0)': [], '(1.2.0, 1.3.0)': [] };
const offering = (...updates: readonly Update[]): Manifest => ({ updates, migrations: CHAIN });
const recall = (manifest: Manifest, version: string, to: string): Manifest => recallUpdate(manifest, { ...NAME, version }, to, NOW);

test('recallUpdate() sends hosts of the release, and of all above the other one, back to it', () => {
  const after = recall(offering(update('1.1.0'), update('1.2.0'), update('1.3.0')), '1.3.0', '1.1.0');
  for (const version of ['1.2.0', '1.3.0', '1.0.0']) {
    const found = availableUpdates(after, { ...NAME, version, seed: 2047 }, NOW).map((one) => one.version);
    assert.deepEqual(found, ['1.1.0'], version);
  }
  assert.deepEqual(availableUpdates(after, { ...NAME, version: '1.1.0', seed: 2047 }, NOW), []);
});

test('recallUpdate() can be done twice, further down each time', () => {
  const once = recall(offering(update('1.1.0'), update('1.2.0'), update('1.3.0')), '1.3.0', '1.2.0');
  const twice = recall(once, '1.2.0', '1.1.0');
  assert.deepEqual(
    twice.updates.map((one) => [one.max_version, isWithdrawn(one)]),
    [
      ['1.1.0', false],
      ['1.1.0', true],
      ['1.1.0', true],
    ],
  );
});

test('recallUpdate() keeps every member but max_version', () => {
  const before = offering(update('1.2.0', { gantry: { notes: 'x' } }), Object.assign(update('1.3.0'), { status: 'Ready' }));
  assert.deepEqual(recall(Object.assign({ schema: 3 }, before), '1.3.0', '1.2.0'), {
    ...before,
    schema: 3,
    updates: before.updates.map((one) => ({ ...one, max_version: '1.2.0' })),
  });
});

test('recallUpdate() does not offer a release again that was recalled itself', () => {
  const mixed = offering(update('1.1.0'), update('1.2.0', { max_version: '1.1.0' }), update('1.3.0'));
  assert.throws(() => recall(mixed, '1.3.0', '1.2.0'), {
    code: 'release/bad-recall',
    details: { version: '1.3.0', to: '1.2.0' },
    message: 'Cannot recall 1.3.0: 1.2.0 is recalled itself, and would be offered again; expected a release on offer',
  });
  assert.equal(recall(mixed, '1.3.0', '1.1.0').updates.length, 3);
});

test('recallUpdate() refuses what would do something else than what was said', () => {
  const before = offering(update('1.0.0'), update('1.1.0'), update('1.2.0'));
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

test('recallUpdate() looks at the releases of the variant and architecture alone', () => {
  const elsewhere = [update('1.4.0', { arch: 'aarch64' }), update('1.2.0', { variant: 'cloud', waves: { '0': '2099-01-01T00:00:00Z' } })];
  const after = recall(offering(...elsewhere, update('1.2.0'), update('1.3.0')), '1.3.0', '1.2.0');
  assert.deepEqual(after.updates.slice(0, 2), elsewhere);
  assert.throws(() => recall(offering(...elsewhere, update('1.3.0')), '1.3.0', '1.2.0'), {
    code: 'release/unknown',
    details: { version: '1.2.0', known: ['1.3.0'] },
  });
});

const stranding = (why: 'waves' | 'migrations', problem: string): object => ({
  code: 'release/stranded',
  details: { version: '1.3.0', to: '1.2.0', why },
  message: `Cannot recall 1.3.0: its hosts could not go back: ${problem}`,
});

test('recallUpdate() refuses a release that is not open to the last host yet, for stock hosts or our own', () => {
  const waves = { '0': '2026-05-01T00:00:00Z', '2046': '2026-06-01T12:00:00Z' };
  const open = offering(update('1.2.0', { waves }), update('1.3.0'));
  assert.equal(recall(open, '1.3.0', '1.2.0').updates.length, 2);
  const late = { '0': '2026-05-01T00:00:00Z', '2046': '2026-06-01T12:00:01Z' };
  for (const changes of [{ waves: late }, { gantry: { waves: late } }, { gantry: { paused: { at: '2026-06-01T11:59:59Z', waves } } }])
    assert.throws(
      () => recall(offering(update('1.2.0', changes), update('1.3.0')), '1.3.0', '1.2.0'),
      stranding('waves', '1.2.0 is open to 99 % of the fleet only; expected all of it'),
      JSON.stringify(changes),
    );
});

test('recallUpdate() refuses when a host would be stuck on its way back, and takes steps that lead around', () => {
  const updates = [update('1.2.0'), update('1.3.0')];
  const problem = 'no chain of migrations leads from 1.3.0 back to 1.2.0; expected one';
  for (const migrations of [{}, { '(1.1.0, 1.2.0)': [] }, { '(1.2.0, 1.3.0-rc.1)': [], '(1.3.0-rc.1, 1.2.0)': [] }])
    assert.throws(
      () => recall({ updates, migrations }, '1.3.0', '1.2.0'),
      (error: Error) => {
        assert.match(error.message, /no chain of migrations leads from 1\.3\.0\S* back to 1\.2\.0; expected one$/u);
        return true;
      },
    );
  assert.throws(() => recall({ updates, migrations: {} }, '1.3.0', '1.2.0'), stranding('migrations', problem));
  const around = { '(1.2.0, 1.2.5)': [], '(1.2.5, 1.3.0)': [] };
  assert.equal(recall({ updates, migrations: around }, '1.3.0', '1.2.0').updates.length, 2);
});

test('recallUpdate() asks for a way back from versions that only steps remember, above the other one alone', () => {
  const updates = [update('1.2.0'), update('1.3.0')];
  const lost = { ...CHAIN, '(1.2.7, 1.2.8)': [] };
  assert.throws(
    () => recall({ updates, migrations: lost }, '1.3.0', '1.2.0'),
    stranding('migrations', 'no chain of migrations leads from 1.2.7 back to 1.2.0; expected one'),
  );
  const below = { ...CHAIN, '(0.7.0, 0.8.0)': [] };
  assert.equal(recall({ updates, migrations: below }, '1.3.0', '1.2.0').updates.length, 2);
});

test('recallUpdate() answers soon when there are thousands of steps', () => {
  const migrations = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`(1.${index}.0, 1.${index + 1}.0)`, []]));
  const updates = [update('1.0.0', { max_version: '1.3000.0' }), update('1.3000.0', { max_version: '1.3000.0' })];
  const started = performance.now();
  assert.equal(recall({ updates, migrations }, '1.3000.0', '1.0.0').updates[1]?.max_version, '1.0.0');
  // Ordering all steps once for each version takes ten seconds.
  assert.ok(performance.now() - started < 3000);
});

test('versionsAbove() names every version that a recall sends back, those that only steps remember too', () => {
  const manifest = { updates: [update('1.1.0'), update('1.3.0'), update('1.9.0', { arch: 'aarch64' })], migrations: CHAIN };
  assert.deepEqual(versionsAbove(manifest, NAME, '1.1.0'), ['1.2.0', '1.3.0']);
  assert.deepEqual(versionsAbove(manifest, NAME, '1.3.0'), []);
});

test('refuseMissingTargets() refuses when hosts cannot download the release that they go back to, or a migration on the way', () => {
  const file = { length: 1, hashes: { sha256: sha256Hex(Buffer.from('x')) } };
  const migrations = {
    '(1.0.0, 1.1.0)': ['old.lz4'],
    '(1.1.0, 1.2.0)': ['m1.lz4'],
    '(1.2.0, 1.3.0)': ['m2.lz4'],
    '(1.1.0, 1.3.0)': ['m3.lz4'],
  };
  const manifest = recall(
    { updates: [update('1.1.0', { images_zstd: { boot: 'bz', root: 'rz', hash: 'hz' } }), update('1.3.0')], migrations },
    '1.3.0',
    '1.1.0',
  );
  const check = (...names: readonly string[]): void =>
    refuseMissingTargets(
      { manifest, targets: Object.fromEntries(names.map((one) => [one, file])) },
      { ...NAME, version: '1.3.0' },
      '1.1.0',
    );
  // From 1.2.0 by m1, from 1.3.0 in one step by m3: nobody takes m2, and nobody goes further back.
  const all = ['b', 'r', 'h', 'bz', 'rz', 'hz', 'm1.lz4', 'm3.lz4'];
  check(...all);
  for (const gone of all)
    assert.throws(() => check(...all.filter((one) => one !== gone)), {
      code: 'release/stranded',
      details: { version: '1.3.0', to: '1.1.0', why: 'targets' },
      message: `Cannot recall 1.3.0: its hosts could not go back: "${gone}", which they need for that, is not a target; expected all of them`,
    });
});

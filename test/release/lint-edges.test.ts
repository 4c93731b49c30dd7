/** Every rule of the release lint at its edge: what is just wrong is found, what is just right beside it is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageCustom } from '../../lib/release/custom.ts';
import { lintMissingManifest, lintRelease, releaseRules, type Offer } from '../../lib/release/lint.ts';
import { emptyManifest, type Images, type Manifest, type Update } from '../../lib/release/manifest.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import type { TargetFile } from '../../lib/tuf/types.ts';

const NOW = new Date('2026-06-01T12:00:00Z');
const TREE_BYTES = 4096;
const OPTIONS = { now: NOW, treeBytes: () => TREE_BYTES };

const named = (form: string): Images => ({ boot: `os-boot.ext4.${form}`, root: `os-root.ext4.${form}`, hash: `os-root.verity.${form}` });
const LZ4 = named('lz4');
const ZSTD = named('zst');

const file = (custom?: TargetFile['custom']): TargetFile => ({
  length: 3,
  hashes: { sha256: sha256Hex(Buffer.from('x')) },
  ...(custom === undefined ? {} : { custom }),
});
const measured = (lengthBytes: number, content = 'x', frames?: string): TargetFile => {
  const raw = { lengthBytes, sha256: sha256Hex(Buffer.from(content)) };
  return file(imageCustom(frames === undefined ? { format: 'lz4', raw } : { format: 'zstd-frames', frames, raw }));
};
const TARGETS: Readonly<Record<string, TargetFile>> = {
  [LZ4.boot]: measured(7),
  [LZ4.root]: measured(8192),
  [LZ4.hash]: measured(TREE_BYTES),
};

const update = (version: string, changes: Partial<Update> = {}): Update => ({
  variant: 'metal',
  arch: 'x86_64',
  version,
  max_version: '1.2.0',
  waves: {},
  images: LZ4,
  ...changes,
});
const offer = (
  updates: readonly Update[],
  changes: { migrations?: Manifest['migrations']; targets?: Readonly<Record<string, TargetFile>> } = {},
): Offer => ({
  manifest: { updates, migrations: changes.migrations ?? { '(1.0.0, 1.1.0)': [], '(1.1.0, 1.2.0)': [] } },
  targets: { ...TARGETS, ...changes.targets },
});
const without = (name: string, whole: Offer): Offer => ({
  ...whole,
  targets: Object.fromEntries(Object.entries(whole.targets).filter(([target]) => target !== name)),
});
const only = (changes: Partial<Update>, targets?: Readonly<Record<string, TargetFile>>): Offer =>
  offer([update('1.2.0', changes)], targets === undefined ? {} : { targets });
const waves = (schedule: Update['waves']): Offer => only({ waves: schedule });
const migrating = (migrations: Manifest['migrations'], versions = ['1.0.0', '1.1.0', '1.2.0']): Offer =>
  offer(
    versions.map((version) => update(version)),
    { migrations },
  );
const zstd = (changes: Readonly<Record<string, TargetFile>> = {}): Offer =>
  only(
    { images_zstd: ZSTD },
    {
      [ZSTD.boot]: measured(7, 'x', `${ZSTD.boot}.frames`),
      [ZSTD.root]: measured(8192, 'x', `${ZSTD.root}.frames`),
      [ZSTD.hash]: measured(TREE_BYTES, 'x', `${ZSTD.hash}.frames`),
      ...Object.fromEntries(Object.values(ZSTD).map((name) => [`${name}.frames`, file()])),
      ...changes,
    },
  );

/** Where `broken` breaks the rule, and its neighbour, which does not. */
interface Edge {
  readonly rule: string;
  readonly what: string;
  readonly at: string;
  readonly broken: Offer;
  readonly clean: Offer;
}

const EDGES: readonly Edge[] = [
  {
    rule: 'duplicate-update',
    what: 'one version twice, not two builds or architectures of it',
    at: 'manifest.updates[2]',
    broken: offer([update('1.2.0'), update('1.1.0'), update('1.2.0')]),
    clean: offer([update('1.2.0'), update('1.2.0+b'), update('1.2.0', { arch: 'aarch64' }), update('1.2.0', { variant: 'cloud' })]),
  },
  {
    rule: 'duplicate-update',
    what: 'long names that differ in the end are two',
    at: 'manifest.updates[1]',
    broken: offer([update('1.2.0', { variant: 'v'.repeat(300) }), update('1.2.0', { variant: 'v'.repeat(300) })]),
    clean: offer([update('1.2.0', { variant: 'v'.repeat(300) }), update('1.2.0', { variant: 'v'.repeat(301) })]),
  },
  {
    rule: 'bad-name',
    what: 'an image in a folder above',
    at: 'manifest.updates[0].images.boot',
    broken: only({ images: { ...LZ4, boot: '../boot.lz4' } }),
    clean: only({ images: { ...LZ4, boot: 'folder/boot.lz4' } }, { 'folder/boot.lz4': measured(7) }),
  },
  {
    rule: 'bad-name',
    what: 'a migration with a blank',
    at: 'manifest.migrations["(1.1.0, 1.2.0)"]',
    broken: migrating({ '(1.0.0, 1.1.0)': [], '(1.1.0, 1.2.0)': ['a b'] }),
    clean: migrating({ '(1.0.0, 1.1.0)': [], '(1.1.0, 1.2.0)': [LZ4.boot] }),
  },
  {
    rule: 'image-missing',
    what: 'a target that is not there, and one of every object',
    at: 'manifest.updates[0].images.root',
    broken: only({ images: { ...LZ4, root: 'constructor' } }),
    clean: only({ images: { ...LZ4, root: 'constructor' } }, { constructor: measured(8192) }),
  },
  {
    rule: 'image-missing',
    what: 'a zstd image',
    at: 'manifest.updates[0].images_zstd.hash',
    broken: without(ZSTD.hash, zstd()),
    clean: zstd(),
  },
  {
    rule: 'image-unmeasured',
    what: 'an image of another tool, and not one that is missing',
    at: 'manifest.updates[0].images',
    broken: only({}, { [LZ4.hash]: file() }),
    clean: without(LZ4.hash, only({})),
  },
  {
    rule: 'image-sizes',
    what: 'a tree that is one byte short',
    at: 'manifest.updates[0].images.hash',
    broken: only({}, { [LZ4.hash]: measured(TREE_BYTES - 1) }),
    clean: only({}, { [LZ4.hash]: measured(TREE_BYTES + 1) }),
  },
  {
    rule: 'image-sizes',
    what: 'a root image that is no whole block',
    at: 'manifest.updates[0].images.root',
    broken: only({}, { [LZ4.root]: measured(4097) }),
    clean: only({}, { [LZ4.root]: measured(4096) }),
  },
  {
    rule: 'images-disagree',
    what: 'other content under the same version',
    at: 'manifest.updates[0].images_zstd.root',
    broken: zstd({ [ZSTD.root]: measured(8192, 'y', `${ZSTD.root}.frames`) }),
    clean: zstd({ [ZSTD.root]: file() }),
  },
  {
    rule: 'frames-missing',
    what: 'a frame table',
    at: 'manifest.updates[0].images.boot',
    broken: without(`${ZSTD.boot}.frames`, zstd()),
    clean: zstd(),
  },
  {
    rule: 'stock-excluded',
    what: 'one image that stock hosts cannot read',
    at: 'manifest.updates[0].images',
    broken: only({ images: { ...LZ4, hash: 'os.zst' } }),
    clean: only({ images: { ...LZ4, hash: 'os.lz4' } }),
  },
  {
    rule: 'target-unreferenced',
    what: 'what is called like an image, not what the publisher added',
    at: 'targets["old-root.verity.lz4"]',
    broken: only({}, { 'old-root.verity.lz4': file() }),
    clean: only({}, { 'old-root.verity.lz4.sig': file(), 'os.img.lz4': file(), 'manifest.json': file() }),
  },
  {
    rule: 'target-unreferenced',
    what: 'a migration that no step names',
    at: 'targets["migrate_v1.2.0_x.lz4"]',
    broken: only({}, { 'migrate_v1.2.0_x.lz4': file() }),
    clean: offer([update('1.2.0')], {
      migrations: { '(1.1.0, 1.2.0)': ['migrate_v1.2.0_x.lz4'] },
      targets: { 'migrate_v1.2.0_x.lz4': file() },
    }),
  },
  {
    rule: 'max-version-low',
    what: 'nothing on offer, not one thing',
    at: 'manifest.updates[0].max_version',
    broken: offer([update('1.1.0', { max_version: '1.0.9' }), update('1.2.0', { max_version: '1.0.9' })]),
    clean: offer([update('1.1.0', { max_version: '1.1.0' }), update('1.2.0', { max_version: '1.1.0' })]),
  },
  {
    rule: 'max-version-mixed',
    what: 'within a variant and architecture, not between them',
    at: 'manifest.updates[1].max_version',
    broken: offer([update('1.1.0'), update('1.2.0', { max_version: '1.3.0' })]),
    clean: offer([update('1.1.0'), update('1.2.0', { max_version: '1.3.0', arch: 'aarch64' })]),
  },
  {
    rule: 'max-version-mixed',
    what: 'names with slashes are no folders',
    at: 'manifest.updates[1].max_version',
    broken: offer([update('1.1.0', { variant: 'a/b', arch: 'c' }), update('1.2.0', { variant: 'a/b', arch: 'c', max_version: '1.3.0' })]),
    clean: offer([update('1.1.0', { variant: 'a/b', arch: 'c' }), update('1.2.0', { variant: 'a', arch: 'b/c', max_version: '1.3.0' })]),
  },
  {
    rule: 'withdrawn',
    what: 'newer than max_version, build metadata included',
    at: 'manifest.updates[0]',
    broken: only({ version: '1.2.0+b' }),
    clean: only({ version: '1.2.0+b', max_version: '1.2.0+b' }),
  },
  {
    rule: 'migration-loop',
    what: 'a step to the same version',
    at: 'manifest.migrations["(1.2.0, 1.2.0)"]',
    broken: offer([update('1.2.0')], { migrations: { '(1.2.0, 1.2.0)': [] } }),
    clean: offer([update('1.2.0')], { migrations: { '(1.2.0, 1.2.0+b)': [] } }),
  },
  {
    rule: 'migration-missing',
    what: 'a migration, not an empty step',
    at: 'manifest.migrations["(1.1.0, 1.2.0)"]',
    broken: migrating({ '(1.0.0, 1.1.0)': [], '(1.1.0, 1.2.0)': ['toString'] }),
    clean: migrating({ '(1.0.0, 1.1.0)': [], '(1.1.0, 1.2.0)': [] }),
  },
  {
    rule: 'migration-gap',
    what: 'a shortcut into a dead end',
    at: 'manifest.migrations',
    broken: migrating({ '(1.0.0, 1.1.0)': [], '(1.1.0, 1.2.0)': [], '(1.0.0, 1.1.5)': [] }),
    clean: migrating({ '(1.0.0, 1.1.0)': [], '(1.1.0, 1.2.0)': [], '(1.0.0, 1.1.5)': [], '(1.1.5, 1.2.0)': [] }),
  },
  {
    rule: 'migration-gap',
    what: 'between releases of which one is on offer',
    at: 'manifest.migrations',
    broken: offer([update('1.0.0'), update('1.1.0'), update('1.2.0')], { migrations: { '(1.0.0, 1.2.0)': [], '(1.1.0, 1.2.0)': [] } }),
    clean: offer(
      [update('1.0.0', { max_version: '1.0.0' }), update('1.1.0', { max_version: '1.0.0' }), update('1.2.0', { max_version: '1.0.0' })],
      {
        migrations: { '(1.0.0, 1.1.0)': [], '(1.0.0, 1.2.0)': [] },
      },
    ),
  },
  {
    rule: 'unreachable-version',
    what: 'a release without any step, not the only one',
    at: 'manifest.migrations',
    broken: migrating({ '(1.0.0, 1.1.0)': [] }),
    clean: migrating({}, ['1.2.0']),
  },
  {
    rule: 'wave-bound',
    what: 'beyond the last seed',
    at: 'manifest.updates[0].waves["2048"]',
    broken: waves({ '0': '2026-06-02T00:00:00Z', '2048': '2026-06-03T00:00:00Z' }),
    clean: waves({ '0': '2026-06-02T00:00:00Z', '2047': '2026-06-03T00:00:00Z' }),
  },
  {
    rule: 'waves-unordered',
    what: 'the same moment, not a nanosecond later',
    at: 'manifest.updates[0].waves["20"]',
    broken: waves({ '0': '2026-06-02T00:00:00Z', '20': '2026-06-02T01:00:00+01:00' }),
    clean: waves({ '0': '2026-06-02T00:00:00Z', '20': '2026-06-02T00:00:00.000000001Z' }),
  },
  {
    rule: 'waves-past',
    what: 'over at the very moment, not a millisecond later',
    at: 'manifest.updates[0].waves',
    broken: waves({ '0': '2026-05-01T00:00:00Z', '20': '2026-06-01T12:00:00Z' }),
    clean: waves({ '0': '2026-05-01T00:00:00Z', '20': '2026-06-01T12:00:00.001Z' }),
  },
  {
    rule: 'wave-overflow',
    what: 'a nanosecond beyond the end of the year 262142, not before it',
    at: 'manifest.updates[0].waves["1001"]',
    broken: waves({ '1000': '2026-06-02T00:00:00Z', '1001': '2286-04-10T17:17:12.167832168Z' }),
    clean: waves({ '1000': '2026-06-02T00:00:00Z', '1001': '2286-04-10T17:17:12.167832167Z' }),
  },
];

for (const { rule, what, at, broken, clean } of EDGES) {
  test(`lintRelease() finds ${rule} at its edge: ${what}`, () => {
    const found = lintRelease(broken, emptyManifest(), OPTIONS).filter((finding) => finding.rule === rule);
    assert.deepEqual(
      found.map((finding) => finding.at),
      [at],
    );
    assert.equal(found[0]?.severity, releaseRules.find(({ id }) => id === rule)?.severity);
    assert.deepEqual(
      lintRelease(clean, emptyManifest(), OPTIONS).filter((finding) => finding.rule === rule),
      [],
    );
  });
}

test('lintRelease() computes the overflow from the date at which a wave starts, and from its width', () => {
  const rulesOf = (schedule: Update['waves']): readonly string[] =>
    lintRelease(waves(schedule), emptyManifest(), OPTIONS).flatMap(({ rule }) => (rule === 'wave-overflow' ? [rule] : []));
  // As long as in the wave that is just right, and it starts a second later.
  assert.deepEqual(rulesOf({ '1000': '2026-06-02T00:00:01Z', '1001': '2286-04-10T17:17:13.167832167Z' }), ['wave-overflow']);
  // Thousands of years, in a wave whose step is small enough; and one at which hosts do not look.
  assert.deepEqual(rulesOf({ '0': '2026-06-02T00:00:00Z', '2047': '9999-01-01T00:00:00Z' }), []);
  assert.deepEqual(rulesOf({ '1000': '2026-06-02T00:00:00Z', '2049': '+200000-01-01T00:00:00Z' }), []);
});

test('lintRelease() looks at the schedule that was meant, and at the one that a pause keeps', () => {
  const plain = { '0': '2026-06-02T00:00:00Z', '2047': '2026-06-03T00:00:00Z' };
  const [beyond, unordered, over, far] = [
    { '0': '2026-06-02T00:00:00Z', '2048': '2026-06-03T00:00:00Z' },
    { '0': '2026-06-03T00:00:00Z', '20': '2026-06-02T00:00:00Z' },
    { '0': '2026-05-01T00:00:00Z', '20': '2026-05-02T00:00:00Z' },
    { '1000': '2026-06-02T00:00:00Z', '1001': '2300-01-01T00:00:00Z' },
  ];
  const found = (gantry: Update['gantry'], published: Manifest = emptyManifest()): readonly string[] =>
    lintRelease(only({ waves: plain, ...(gantry === undefined ? {} : { gantry }) }), published, OPTIONS)
      .filter(({ rule }) => rule.startsWith('wave'))
      .map(({ rule, at }) => `${rule} ${at.replace('manifest.updates[0].', '')}`);
  const paused = (schedule: Update['waves']): Update['gantry'] => ({ paused: { at: '2026-06-01T12:00:00Z', waves: schedule } });
  assert.deepEqual(found({ waves: beyond }), ['wave-bound gantry.waves["2048"]']);
  assert.deepEqual(found({ waves: unordered }), ['waves-unordered gantry.waves["20"]']);
  assert.deepEqual(found({ waves: over }), ['waves-past gantry.waves']);
  // Agents count from the wave's start, and end within it.
  assert.deepEqual(found({ waves: far }), []);
  assert.deepEqual(found(paused(beyond)), ['wave-bound gantry.paused.waves["2048"]']);
  assert.deepEqual(found(paused(unordered)), ['waves-unordered gantry.paused.waves["20"]']);
  assert.deepEqual(found(paused(far)), ['wave-overflow gantry.paused.waves["1001"]']);
  assert.deepEqual(found(paused(over)), []);
  // What was published as the schedule of stock hosts is not new when it comes back as the one that was meant.
  assert.deepEqual(found({ waves: over }, waves(over).manifest), []);
});

test('every rule has an edge', () => {
  const covered = new Set([...EDGES.map(({ rule }) => rule), ...lintMissingManifest().map(({ rule }) => rule)]);
  assert.deepEqual(new Set(releaseRules.map(({ id }) => id)), covered);
});

test('lintRelease() looks through a thousand releases that steps connect', () => {
  const versions = Array.from({ length: 1000 }, (_, index) => `1.${index}.0`);
  const steps = versions.slice(1).map((version, index) => [`(1.${index}.0, ${version})`, []] as const);
  const found = lintRelease(migrating(Object.fromEntries(steps), versions), emptyManifest(), OPTIONS);
  assert.deepEqual(
    found.filter(({ at }) => at === 'manifest.migrations'),
    [],
  );
});

test('lintRelease() looks through a history without any steps in time that does not explode', () => {
  const versions = Array.from({ length: 300 }, (_, index) => `1.${index}.0`);
  const started = performance.now();
  const found = lintRelease(migrating({}, versions), emptyManifest(), OPTIONS).filter(({ rule }) => rule === 'unreachable-version');
  assert.equal(found.length, 299);
  assert.ok(performance.now() - started < 3000);
});

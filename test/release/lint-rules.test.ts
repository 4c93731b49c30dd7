/** Every rule of the release lint: what breaks it is found, by that rule and no other, and what is right is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verityImageBytes } from '../../lib/image/verity.ts';
import { imageCustom } from '../../lib/release/custom.ts';
import { assertReleasable, lintMissingManifest, lintRelease, releaseRules, type Offer } from '../../lib/release/lint.ts';
import { emptyManifest, type Manifest, type Update } from '../../lib/release/manifest.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import type { TargetFile } from '../../lib/tuf/types.ts';

const OPTIONS = { now: new Date('2026-06-01T12:00:00Z'), treeBytes: verityImageBytes };
const ROOT_BYTES = 64 * 4096;
const RAW = { boot: 100, root: ROOT_BYTES, hash: verityImageBytes(ROOT_BYTES) } as const;

function target(name: string, custom?: TargetFile['custom']): TargetFile {
  return { length: 10, hashes: { sha256: sha256Hex(Buffer.from(name)) }, ...(custom === undefined ? {} : { custom }) };
}

type Kind = keyof typeof RAW;
const KINDS: readonly Kind[] = ['boot', 'root', 'hash'];
const nameOf = (version: string, kind: Kind, form: 'lz4' | 'zst'): string =>
  `os-metal-x86_64-${version}-0a1b2c3d-${kind === 'hash' ? 'root.verity' : `${kind}.ext4`}.${form}`;
const namesOf = (version: string, form: 'lz4' | 'zst'): Update['images'] => ({
  boot: nameOf(version, 'boot', form),
  root: nameOf(version, 'root', form),
  hash: nameOf(version, 'hash', form),
});

function update(version: string, changes: Partial<Update> = {}): Update {
  const images = namesOf(version, 'lz4');
  return {
    variant: 'metal',
    arch: 'x86_64',
    version,
    max_version: '1.2.0',
    waves: {},
    images,
    images_zstd: namesOf(version, 'zst'),
    ...changes,
  };
}

/** The targets of releases with lz4 and zstd images. */
function targetsOf(...versions: readonly string[]): Record<string, TargetFile> {
  const entries = versions.flatMap((version) =>
    KINDS.flatMap((kind) => {
      const raw = { lengthBytes: RAW[kind], sha256: sha256Hex(Buffer.from(kind)) };
      const [lz4, zst] = [nameOf(version, kind, 'lz4'), nameOf(version, kind, 'zst')];
      const frames = `${zst}.frames`;
      return [
        [lz4, target(lz4, imageCustom({ format: 'lz4', raw }))],
        [zst, target(zst, imageCustom({ format: 'zstd-frames', frames, raw }))],
        [frames, target(frames)],
      ] as const;
    }),
  );
  return Object.fromEntries([...entries, ['manifest.json', target('manifest.json')]]);
}

/** Two releases with a migration between them: nothing to find. */
function clean(): { manifest: Manifest; targets: Record<string, TargetFile> } {
  return {
    manifest: {
      updates: [update('1.1.0'), update('1.2.0', { waves: { '0': '2026-06-02T00:00:00Z', '2047': '2026-06-03T00:00:00Z' } })],
      migrations: { '(1.1.0, 1.2.0)': ['migrate_v1.2.0_x.lz4'] },
    },
    targets: { ...targetsOf('1.1.0', '1.2.0'), 'migrate_v1.2.0_x.lz4': target('x'), 'os-metal.img': target('y') },
  };
}

function rulesOf(offer: Offer, published: Manifest = emptyManifest()): readonly string[] {
  const findings = lintRelease(offer, published, OPTIONS);
  for (const { message, at, fix } of findings) assert.ok(message !== '' && at !== '' && fix !== '');
  return [...new Set(findings.map(({ rule }) => rule))];
}

/** The clean offer with other updates. */
function withUpdates(...updates: readonly Update[]): Offer {
  const { manifest, targets } = clean();
  return { manifest: { ...manifest, updates }, targets };
}

function withMigrations(migrations: Manifest['migrations'], ...updates: readonly Update[]): Offer {
  const { manifest, targets } = clean();
  const versions = updates.map(({ version }) => version);
  return {
    manifest: { updates: updates.length === 0 ? manifest.updates : updates, migrations },
    targets: { ...targets, ...(versions.length === 0 ? {} : targetsOf(...versions)) },
  };
}

function withTarget(name: string, file: TargetFile | undefined): Offer {
  const { manifest, targets } = clean();
  const { [name]: _, ...others } = targets;
  return { manifest, targets: file === undefined ? others : { ...others, [name]: file } };
}

const waves = (schedule: Update['waves']): Offer => withUpdates(update('1.1.0'), update('1.2.0', { waves: schedule }));
const rootCustom = (lengthBytes: number): TargetFile['custom'] =>
  imageCustom({ format: 'lz4', raw: { lengthBytes, sha256: sha256Hex(Buffer.from('root')) } });

/** An offer that breaks each rule; the last ones break a second rule because the first implies it. */
const BROKEN: Readonly<Record<string, readonly [Offer, ...string[]]>> = {
  'duplicate-update': [withUpdates(update('1.1.0'), update('1.2.0'), update('1.2.0'))],
  'bad-name': [
    withUpdates(update('1.1.0'), update('1.2.0', { images: { ...namesOf('1.2.0', 'lz4'), boot: '../boot.lz4' } })),
    'target-unreferenced',
  ],
  'image-missing': [withTarget(nameOf('1.2.0', 'root', 'lz4'), undefined)],
  'image-unmeasured': [withTarget(nameOf('1.2.0', 'root', 'lz4'), target('root'))],
  'image-sizes': [withTarget(nameOf('1.2.0', 'root', 'lz4'), target('root', rootCustom(ROOT_BYTES * 200)))],
  'images-disagree': [
    withTarget(
      nameOf('1.2.0', 'boot', 'lz4'),
      target('b', imageCustom({ format: 'lz4', raw: { lengthBytes: 100, sha256: sha256Hex(Buffer.from('other')) } })),
    ),
  ],
  'frames-missing': [withTarget(`${nameOf('1.2.0', 'boot', 'zst')}.frames`, undefined)],
  'target-unreferenced': [withTarget('os-metal-x86_64-1.0.0-0a1b2c3d-boot.ext4.lz4', target('old'))],
  'max-version-low': [withUpdates(update('1.1.0', { max_version: '1.0.0' }), update('1.2.0', { max_version: '1.0.0' })), 'withdrawn'],
  'max-version-mixed': [withUpdates(update('1.1.0', { max_version: '1.3.0' }), update('1.2.0'))],
  withdrawn: [withUpdates(update('1.1.0', { max_version: '1.1.0' }), update('1.2.0', { max_version: '1.1.0' }))],
  'migration-loop': [withMigrations({ '(1.1.0, 1.2.0)': ['migrate_v1.2.0_x.lz4'], '(1.2.0, 1.1.0)': [] })],
  'migration-missing': [withMigrations({ '(1.1.0, 1.2.0)': ['migrate_v1.2.0_x.lz4', 'migrate_v1.2.0_gone.lz4'] })],
  'migration-gap': [
    withMigrations({ '(1.1.0, 1.2.0)': ['migrate_v1.2.0_x.lz4'], '(1.0.0, 1.1.5)': [] }, update('1.0.0'), update('1.1.0'), update('1.2.0')),
  ],
  'unreachable-version': [withMigrations({ '(1.0.0, 1.1.0)': ['migrate_v1.2.0_x.lz4'] })],
  'wave-bound': [waves({ '0': '2026-06-02T00:00:00Z', '2049': '2026-06-03T00:00:00Z' })],
  'waves-unordered': [waves({ '0': '2026-06-02T00:00:00Z', '20': '2026-06-02T00:00:00Z' })],
  'waves-past': [waves({ '0': '2026-05-02T00:00:00Z', '20': '2026-06-01T12:00:00Z' })],
  'wave-overflow': [waves({ '1000': '2026-06-02T00:00:00Z', '1001': '2326-06-02T00:00:00Z' })],
};

test('lintRelease() finds nothing wrong with two releases, a migration, and a file of the publisher', () => {
  assert.deepEqual(rulesOf(clean()), []);
  assert.deepEqual(rulesOf({ manifest: emptyManifest(), targets: {} }), []);
});

for (const [rule, [offer, ...others]] of Object.entries(BROKEN)) {
  test(`lintRelease() finds ${rule}, and nothing that does not follow from it`, () => {
    assert.deepEqual(rulesOf(offer).toSorted(), [rule, ...others].toSorted());
  });
}

test('lintRelease() warns that stock hosts cannot read zstd, and finds a name of a migration that no client fetches', () => {
  const zstd = update('1.2.0', { images: namesOf('1.2.0', 'zst') });
  const { images_zstd: _, ...plain } = zstd;
  assert.deepEqual(rulesOf(withUpdates(update('1.1.0'), plain)).toSorted(), ['stock-excluded', 'target-unreferenced']);
  assert.deepEqual(rulesOf(withMigrations({ '(1.1.0, 1.2.0)': ['a b.lz4'] })).toSorted(), ['bad-name', 'target-unreferenced']);
});

test('every rule has an offer that breaks it', () => {
  const covered = new Set([...Object.keys(BROKEN), 'stock-excluded', ...lintMissingManifest().map(({ rule }) => rule)]);
  assert.deepEqual(
    releaseRules.map(({ id }) => id).filter((id) => !covered.has(id)),
    [],
  );
});

test('lintRelease() compares with the clock only what is new', () => {
  const [offer] = BROKEN['waves-past'] ?? [];
  assert.ok(offer !== undefined);
  assert.deepEqual(rulesOf(offer, offer.manifest), []);
});

test('lintRelease() names the place, the releases and how many more there are', () => {
  const versions = ['1.0.0', '1.1.0', '1.2.0'];
  const offer = {
    manifest: { updates: versions.map((version) => update(version)), migrations: { '(1.1.0, 1.2.0)': [] } },
    targets: targetsOf(...versions),
  };
  const [gap] = lintRelease(offer, emptyManifest(), OPTIONS);
  assert.deepEqual(gap, {
    rule: 'migration-gap',
    severity: 'error',
    at: 'manifest.migrations',
    message: 'hosts cannot get from 1.0.0 to 1.1.0, nor back: no step leads out of 1.0.0 towards 1.1.0 (and 1 more pairs of releases)',
    fix: 'add the missing step to Release.toml (an empty list connects); gantry release path FROM TO shows where it breaks',
  });
});

test('lintRelease() quotes what a hostile manifest says', () => {
  const hostile = '\u001b[2Jmetal';
  const offer = withUpdates(
    update('1.2.0', { variant: hostile }),
    update('1.2.0', { variant: hostile, images: { boot: '\u001b[1m', root: 'r', hash: 'h' } }),
  );
  for (const { message, at } of lintRelease(offer, emptyManifest(), OPTIONS)) assert.ok(!`${message}${at}`.includes('\u001b'), message);
});

test('assertReleasable() refuses new errors, and lets warnings and old errors pass', () => {
  const [gap] = BROKEN['migration-gap'] ?? [];
  const [withdrawn] = BROKEN['withdrawn'] ?? [];
  assert.ok(gap !== undefined && withdrawn !== undefined);
  assert.throws(() => assertReleasable(gap, clean(), OPTIONS), {
    code: 'release/lint',
    message: /^Cannot draft this release: migration-gap: manifest\.migrations: /,
  });
  assertReleasable(gap, gap, OPTIONS);
  assertReleasable(withdrawn, clean(), OPTIONS);
});

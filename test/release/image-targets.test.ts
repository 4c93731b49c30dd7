import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageCustom } from '../../lib/release/custom.ts';
import { imageCustomOf, imageTargetsOf, orphansOf } from '../../lib/release/image-targets.ts';
import type { Images, Manifest, Update } from '../../lib/release/manifest.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import type { TargetFile } from '../../lib/tuf/types.ts';

const raw = { lengthBytes: 12, sha256: sha256Hex(Buffer.from('raw')) };
const file = (custom?: TargetFile['custom']): TargetFile => ({
  length: 3,
  hashes: { sha256: raw.sha256 },
  ...(custom === undefined ? {} : { custom }),
});
const framed = (frames: string): TargetFile => file(imageCustom({ format: 'zstd-frames', frames, raw }));
const named = (build: string, form: string): Images => ({
  boot: `boot-${build}.${form}`,
  root: `root-${build}.${form}`,
  hash: `hash-${build}.${form}`,
});
const update = (version: string, images: Images, zstd?: Images): Update => ({
  variant: 'metal',
  arch: 'x86_64',
  version,
  max_version: version,
  waves: {},
  images,
  ...(zstd === undefined ? {} : { images_zstd: zstd }),
});
const manifest = (updates: readonly Update[], migrations: Manifest['migrations'] = {}): Manifest => ({ updates, migrations });

const ONE = update('1.0.0', named('1', 'lz4'), named('1', 'zst'));
const TARGETS = {
  'boot-1.lz4': file(imageCustom({ format: 'lz4', raw })),
  'root-1.lz4': file(),
  'hash-1.lz4': file(),
  'boot-1.zst': framed('boot-1.zst.frames'),
  'root-1.zst': framed('root-1.zst.frames'),
  'hash-1.zst': file(),
  'boot-1.zst.frames': file(),
  'root-1.zst.frames': file(),
  'manifest.json': file(),
  'notes.txt': file(),
};

test('imageTargetsOf() names the images in every form, and their frame tables', () => {
  assert.deepEqual(imageTargetsOf(ONE, TARGETS), [
    'boot-1.lz4',
    'root-1.lz4',
    'hash-1.lz4',
    'boot-1.zst',
    'boot-1.zst.frames',
    'root-1.zst',
    'root-1.zst.frames',
    'hash-1.zst',
  ]);
  assert.deepEqual(imageTargetsOf(update('1.0.0', named('1', 'lz4')), {}), ['boot-1.lz4', 'root-1.lz4', 'hash-1.lz4']);
});

test('orphansOf() gives what the last release that needs it leaves behind', () => {
  assert.deepEqual(
    orphansOf([ONE], manifest([]), TARGETS),
    Object.keys(TARGETS)
      .filter((name) => /^(?:boot|root|hash)-/u.test(name))
      .toSorted((a, b) => imageTargetsOf(ONE, TARGETS).indexOf(a) - imageTargetsOf(ONE, TARGETS).indexOf(b)),
  );
  assert.deepEqual(orphansOf([], manifest([]), TARGETS), []);
});

test('orphansOf() keeps what another release names, in whatever place', () => {
  const other = update('1.1.0', { boot: 'hash-1.lz4', root: 'boot-1.zst', hash: 'x' });
  assert.deepEqual(orphansOf([ONE], manifest([other]), TARGETS), [
    'boot-1.lz4',
    'root-1.lz4',
    'root-1.zst',
    'root-1.zst.frames',
    'hash-1.zst',
  ]);
  assert.deepEqual(orphansOf([ONE], manifest([{ ...ONE, arch: 'aarch64' }]), TARGETS), []);
});

test('orphansOf() keeps what a migration names', () => {
  assert.deepEqual(orphansOf([update('1.0.0', named('1', 'lz4'))], manifest([], { '(1.0.0, 1.1.0)': ['root-1.lz4'] }), TARGETS), [
    'boot-1.lz4',
    'hash-1.lz4',
  ]);
});

test('orphansOf() gives a target once, and only what is one', () => {
  const odd = update(
    '1.0.0',
    { boot: 'boot-1.lz4', root: 'boot-1.lz4', hash: '__proto__' },
    { boot: 'constructor', root: 'gone', hash: 'boot-1.lz4' },
  );
  assert.deepEqual(orphansOf([odd, odd], manifest([]), TARGETS), ['boot-1.lz4']);
});

test('imageCustomOf() is undefined for what is no image of ours', () => {
  assert.deepEqual(imageCustomOf(TARGETS, 'boot-1.lz4'), { format: 'lz4', raw });
  const later = { 'x.lz4': file({ gantry: { format: 'zstd-2' } }), ...TARGETS };
  for (const name of ['root-1.lz4', 'gone', 'toString', '__proto__', 'x.lz4']) assert.equal(imageCustomOf(later, name), undefined, name);
});

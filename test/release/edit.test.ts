import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addUpdate, applyEdit, type ManifestEdit, type NewUpdate } from '../../lib/release/edit.ts';
import { emptyManifest, type Manifest, type Update } from '../../lib/release/manifest.ts';

const images = { boot: 'b', root: 'r', hash: 'h' };
const metal = (version: string): NewUpdate => ({ variant: 'metal', arch: 'x86_64', version, images });
const withUpdates = (...added: readonly NewUpdate[]): Manifest => added.reduce(addUpdate, emptyManifest());
const maxVersions = ({ updates }: Manifest): string[] => updates.map(({ max_version }) => max_version);

test('addUpdate() appends the update with empty waves', () => {
  const before = withUpdates(metal('1.0.0'));
  const after = addUpdate(before, { ...metal('1.1.0'), imagesZstd: { boot: 'bz', root: 'rz', hash: 'hz' } });
  assert.deepEqual(after.updates[1], {
    variant: 'metal',
    arch: 'x86_64',
    version: '1.1.0',
    max_version: '1.1.0',
    waves: {},
    images,
    images_zstd: { boot: 'bz', root: 'rz', hash: 'hz' },
  });
  assert.equal(before.updates.length, 1);
  assert.ok(!('images_zstd' in (after.updates[0] ?? {})));
});

test('addUpdate() raises max_version of the same variant and arch only', () => {
  const manifest = withUpdates(metal('1.0.0'), { ...metal('1.0.0'), arch: 'aarch64' }, metal('1.1.0'));
  assert.deepEqual(maxVersions(manifest), ['1.1.0', '1.0.0', '1.1.0']);
});

test('addUpdate() takes max_version from the first update in the file when that is greater', () => {
  const first = withUpdates(metal('2.0.0'));
  const manifest = addUpdate(first, { ...metal('1.0.0'), variant: 'cloud' });
  assert.deepEqual(maxVersions(manifest), ['2.0.0', '2.0.0']);
});

test('addUpdate() keeps members of other updates that it does not know', () => {
  const [update] = withUpdates(metal('1.0.0')).updates;
  assert.ok(update !== undefined);
  const old: Update & { status: string } = { ...update, status: 'Ready' };
  const manifest = addUpdate({ updates: [old], migrations: {} }, metal('1.1.0'));
  assert.deepEqual(manifest.updates[0], { ...old, max_version: '1.1.0' });
});

test('addUpdate() refuses a version that is released already', () => {
  assert.throws(() => addUpdate(withUpdates(metal('1.0.0'), metal('1.1.0')), metal('1.0.0')), {
    code: 'release/duplicate',
    details: { version: '1.0.0', variant: 'metal', arch: 'x86_64' },
    message: 'Cannot add release 1.0.0 of metal/x86_64: it is released already; expected a new version',
  });
});

test('addUpdate() refuses a version below the newest one', () => {
  for (const version of ['1.9.0', '1.10.0-rc.1']) {
    assert.throws(() => addUpdate(withUpdates(metal('1.2.0'), metal('1.10.0')), metal(version)), {
      code: 'release/not-newer',
      details: { version, newest: '1.10.0' },
    });
  }
});

test('addUpdate() accepts any version that is new to the variant and arch', () => {
  const manifest = withUpdates(metal('2.0.0'), { ...metal('1.0.0'), arch: 'aarch64' });
  assert.equal(manifest.updates.length, 2);
});

test('addUpdate() refuses names and versions that hosts could not use', () => {
  assert.throws(() => addUpdate(emptyManifest(), metal('v1.0.0')), { code: 'release/bad-version' });
  assert.throws(() => addUpdate(emptyManifest(), { ...metal('1.0.0'), variant: '../x' }), { code: 'release/bad-name' });
});

test('applyEdit() refuses to steer a recalled release, and lets it be removed', () => {
  const both = withUpdates(metal('1.0.0'), metal('1.1.0'));
  const recalled = { ...both, updates: both.updates.map((update) => ({ ...update, max_version: '1.0.0' })) };
  const [from, at] = ['2026-06-01T12:00:00Z', '2026-06-01T12:15:00Z'];
  const name = { variant: 'metal', arch: 'x86_64', version: '1.1.0' };
  const steering: readonly ManifestEdit[] = [
    { kind: 'set-waves', update: name, waves: {} },
    { kind: 'pause-waves', update: name, from, at },
    { kind: 'resume-waves', update: name, from, at },
    { kind: 'accelerate-waves', update: name, from, at, factor: 2 },
  ];
  for (const edit of steering)
    assert.throws(() => applyEdit(recalled, edit), {
      code: 'release/withdrawn',
      details: { version: '1.1.0' },
      message: 'Cannot steer the rollout of 1.1.0 of metal/x86_64: it was recalled, and nobody is offered it; expected a release on offer',
    });
  assert.equal(applyEdit(recalled, { kind: 'remove-update', update: name }).updates.length, 1);
});

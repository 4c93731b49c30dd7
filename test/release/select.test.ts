import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Manifest, Update } from '../../lib/release/manifest.ts';
import { availableUpdates, type HostDescription } from '../../lib/release/select.ts';

const HOST = { variant: 'metal', arch: 'x86_64' };
const NOW = new Date('2026-03-03T17:00:00Z');
const update = (version: string, max_version: string, other: Partial<Update> = {}): Update => ({
  ...HOST,
  version,
  max_version,
  waves: {},
  images: { boot: 'b', root: 'r', hash: 'h' },
  ...other,
});
const offered = (updates: readonly Update[], version?: string, seed: HostDescription['seed'] = 'ignore-waves'): string[] => {
  const manifest: Manifest = { updates, migrations: {} };
  return availableUpdates(manifest, { ...HOST, ...(version === undefined ? {} : { version }), seed }, NOW).map((one) => one.version);
};

test('availableUpdates() lists what is newer than the host, newest first', () => {
  const updates = [update('1.9.0', '1.11.0'), update('1.11.0', '1.11.0'), update('1.10.0', '1.11.0')];
  assert.deepEqual(offered(updates), ['1.11.0', '1.10.0', '1.9.0']);
  assert.deepEqual(offered(updates, '1.9.0'), ['1.11.0', '1.10.0']);
  assert.deepEqual(offered(updates, '1.11.0'), []);
});

test('availableUpdates() ignores other variants and architectures', () => {
  assert.deepEqual(offered([update('1.1.0', '1.1.0', { arch: 'aarch64' }), update('1.2.0', '1.2.0', { variant: 'cloud' })]), []);
});

test('availableUpdates() hides a withdrawn update and sends its hosts back', () => {
  const updates = [update('1.1.0', '1.1.0'), update('1.2.0', '1.1.0')];
  assert.deepEqual(offered(updates, '1.0.0'), ['1.1.0']);
  assert.deepEqual(offered(updates, '1.2.0'), ['1.1.0']);
  assert.deepEqual(offered(updates, '1.1.0'), []);
});

test('availableUpdates() shows an update to a host when its turn has come', () => {
  const waves = { '0': '2026-03-03T16:00:00Z', '1024': '2026-03-03T18:00:00Z' };
  const updates = [update('1.1.0', '1.2.0'), update('1.2.0', '1.2.0', { waves })];
  assert.deepEqual(offered(updates, '1.0.0', 512), ['1.2.0', '1.1.0']);
  assert.deepEqual(offered(updates, '1.0.0', 513), ['1.1.0']);
  assert.deepEqual(offered(updates, '1.0.0', 'ignore-waves'), ['1.2.0', '1.1.0']);
});

test('availableUpdates() refuses a seed that no host can have', () => {
  for (const seed of [-1, 2048, 0.5, Number.NaN]) assert.throws(() => offered([], '1.0.0', seed), { code: 'release/bad-seed' });
});

test('availableUpdates() refuses a host version that is not SemVer', () => {
  assert.throws(() => offered([], 'v1.0.0'), { code: 'release/bad-version' });
});

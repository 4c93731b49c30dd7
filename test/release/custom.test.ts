import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageCustom, readImageCustom, type ImageCustom } from '../../lib/release/custom.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import type { JsonObject } from '../../lib/tuf/types.ts';

const raw = { lengthBytes: 12, sha256: sha256Hex(Buffer.from('raw')) };
const framed: ImageCustom = { format: 'zstd-frames', frames: 'os-root.ext4.zst.frames', raw };

test('imageCustom() writes the documented members', () => {
  assert.deepEqual(imageCustom(framed), {
    gantry: { format: 'zstd-frames', frames: 'os-root.ext4.zst.frames', raw: { length: 12, sha256: raw.sha256 } },
  });
  assert.deepEqual(imageCustom({ format: 'lz4', raw }), { gantry: { format: 'lz4', raw: { length: 12, sha256: raw.sha256 } } });
});

test('readImageCustom() reads what imageCustom() wrote', () => {
  for (const image of [framed, { format: 'lz4', raw } as const]) assert.deepEqual(readImageCustom(imageCustom(image)), image);
});

test('readImageCustom() ignores members that it does not know', () => {
  const custom = imageCustom({ format: 'lz4', raw });
  const gantry = { ...(custom['gantry'] as JsonObject), later: true };
  assert.deepEqual(readImageCustom({ gantry, vendor: 'x' }), { format: 'lz4', raw });
});

test('readImageCustom() is undefined when the target is not one of ours', () => {
  assert.equal(readImageCustom(undefined), undefined);
  assert.equal(readImageCustom({ vendor: { gantry: 1 } }), undefined);
});

const rawMember = { length: 12, sha256: raw.sha256 };
const BAD: readonly (readonly [string, JsonObject['']])[] = [
  ['custom.gantry.format', null],
  ['custom.gantry.format', 'lz4'],
  ['custom.gantry.format', { format: 'brotli', raw: rawMember }],
  ['custom.gantry.format', { raw: rawMember }],
  ['custom.gantry.raw.length', { format: 'lz4' }],
  ['custom.gantry.raw.length', { format: 'lz4', raw: { ...rawMember, length: '12' } }],
  ['custom.gantry.raw.length', { format: 'lz4', raw: { ...rawMember, length: -1 } }],
  ['custom.gantry.raw.length', { format: 'lz4', raw: { ...rawMember, length: 2 ** 53 } }],
  ['custom.gantry.raw.sha256', { format: 'lz4', raw: { length: 12 } }],
  ['custom.gantry.raw.sha256', { format: 'lz4', raw: { length: 12, sha256: raw.sha256.toUpperCase() } }],
  ['custom.gantry.raw.sha256', { format: 'lz4', raw: { length: 12, sha256: [raw.sha256] } }],
  ['custom.gantry.frames', { format: 'zstd-frames', raw: rawMember }],
  ['custom.gantry.frames', { format: 'zstd-frames', raw: rawMember, frames: '../../etc/passwd' }],
];

for (const [at, gantry] of BAD) {
  test(`readImageCustom() names ${at} when it is given ${JSON.stringify(gantry)}`, () => {
    assert.throws(() => readImageCustom({ gantry: gantry ?? null }), { code: 'release/bad-custom', details: { at } });
  });
}

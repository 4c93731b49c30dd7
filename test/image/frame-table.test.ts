import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decodeFrameTable,
  encodeFrameTable,
  FRAME_RAW_BYTES,
  FRAME_TABLE_MAX_BYTES,
  type Frame,
  type FrameTable,
} from '../../lib/image/frame-table.ts';

const digest = (text: string): string => Buffer.from(text.padEnd(32, '.')).toString('hex');

/** A table of an image of so many bytes. */
function tableOf(lengthBytes: number, frameBytes: (index: number) => number = (index) => index + 1): FrameTable {
  const frames: Frame[] = [];
  let offset = 0;
  for (let index = 0; index * FRAME_RAW_BYTES < lengthBytes; index += 1) {
    frames.push({
      offset,
      lengthBytes: frameBytes(index),
      sha256: digest(`frame ${index}`),
      rawLengthBytes: Math.min(FRAME_RAW_BYTES, lengthBytes - index * FRAME_RAW_BYTES),
      rawSha256: digest(`raw ${index}`),
    });
    offset += frameBytes(index);
  }
  return { raw: { lengthBytes, sha256: digest('image') }, frames };
}

const TABLE = tableOf(2 * FRAME_RAW_BYTES + 5);

test('encodeFrameTable() writes the layout of docs/formats.md', () => {
  const bytes = Buffer.from(encodeFrameTable(tableOf(FRAME_RAW_BYTES + 5)));
  assert.equal(bytes.length, 60 + 2 * 68);
  assert.equal(bytes.toString('latin1', 0, 8), 'GANTRYFT');
  assert.deepEqual([bytes.readUInt16BE(8), bytes.readUInt16BE(10), bytes.readUInt32BE(12)], [1, 0, 0x0010_0000]);
  assert.equal(bytes.readBigUInt64BE(16), 0x0010_0005n);
  assert.equal(bytes.toString('hex', 24, 56), digest('image'));
  assert.deepEqual([bytes.readUInt32BE(56), bytes.readUInt32BE(60)], [2, 1]);
  assert.equal(bytes.toString('hex', 64, 96), digest('frame 0'));
  assert.equal(bytes.toString('hex', 96, 128), digest('raw 0'));
  assert.equal(bytes.readUInt32BE(128), 2);
});

test('decodeFrameTable() gives back what encodeFrameTable() wrote', () => {
  for (const length of [1, FRAME_RAW_BYTES - 1, FRAME_RAW_BYTES, FRAME_RAW_BYTES + 1, 7 * FRAME_RAW_BYTES]) {
    const table = tableOf(length);
    assert.deepEqual(decodeFrameTable(encodeFrameTable(table)), table);
  }
});

test('decodeFrameTable() reads a table that lies in the middle of a larger buffer', () => {
  const encoded = encodeFrameTable(TABLE);
  const larger = Buffer.concat([Buffer.alloc(3, 1), encoded, Buffer.alloc(3, 1)]);
  assert.deepEqual(decodeFrameTable(new Uint8Array(larger.buffer, larger.byteOffset + 3, encoded.length)), TABLE);
});

test('encodeFrameTable() stays below 250 KB when the image has 2 GiB', () => {
  const encoded = encodeFrameTable(tableOf(2 ** 31, () => FRAME_RAW_BYTES));
  assert.equal(encoded.length, 139_324);
  assert.ok(encoded.length <= 250_000);
});

test('encodeFrameTable() takes 64 GiB of image, which FRAME_TABLE_MAX_BYTES holds, and not a byte more', () => {
  const encoded = encodeFrameTable(tableOf(2 ** 36));
  assert.equal(encoded.length, FRAME_TABLE_MAX_BYTES);
  assert.equal(decodeFrameTable(encoded).frames.length, 65_536);
  assert.throws(() => encodeFrameTable(tableOf(2 ** 36 + 1)), RangeError);
});

const [first, second, third] = TABLE.frames;
assert.ok(first !== undefined && second !== undefined && third !== undefined);
const { raw } = TABLE;
const UNWRITABLE: readonly (readonly [what: string, table: FrameTable])[] = [
  ['an image without bytes', { raw: { ...raw, lengthBytes: 0 }, frames: [] }],
  ['a length that is no number', { raw: { ...raw, lengthBytes: Number.NaN }, frames: [] }],
  ['one frame too few', { raw, frames: [first, second] }],
  ['one frame too many', { raw, frames: [first, second, third, third] }],
  [
    'a short frame in the middle',
    { raw, frames: [first, { ...second, rawLengthBytes: 5 }, { ...third, rawLengthBytes: FRAME_RAW_BYTES }] },
  ],
  ['frames in another order', { raw, frames: [second, first, third] }],
  ['a gap', { raw, frames: [first, { ...second, offset: 2 }, third] }],
  ['a frame without bytes', { raw, frames: [first, { ...second, lengthBytes: 0 }, { ...third, offset: 1 }] }],
  ['a frame that is far too long', { raw, frames: [first, second, { ...third, lengthBytes: 2 * FRAME_RAW_BYTES }] }],
  ['half a byte', { raw, frames: [first, second, { ...third, lengthBytes: 1.5 }] }],
  ['a digest of the image that is cut', { raw: { ...raw, sha256: raw.sha256.slice(1) }, frames: TABLE.frames }],
  ['a digest that is not hexadecimal', { raw, frames: [first, second, { ...third, sha256: 'x'.repeat(64) }] }],
  ['a raw digest in capitals', { raw, frames: [first, second, { ...third, rawSha256: 'A'.repeat(64) }] }],
];
for (const [what, table] of UNWRITABLE) {
  test(`encodeFrameTable() throws a RangeError when there is ${what}`, () => {
    assert.throws(() => encodeFrameTable(table), RangeError);
  });
}

function changed(change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(encodeFrameTable(TABLE));
  change(bytes);
  return bytes;
}

const good = Buffer.from(encodeFrameTable(TABLE));
const UNREADABLE: readonly (readonly [what: string, bytes: Uint8Array, at: string])[] = [
  ['nothing', Buffer.alloc(0), 'length'],
  ['a part of the header', good.subarray(0, 59), 'length'],
  ['the header alone', good.subarray(0, 60), 'length'],
  ['one byte too few', good.subarray(0, -1), 'length'],
  ['one byte too many', Buffer.concat([good, Buffer.alloc(1)]), 'length'],
  ['another magic', changed((bytes) => bytes.writeUInt8(0x67, 0)), 'magic'],
  ['a newer format', changed((bytes) => bytes.writeUInt16BE(2, 8)), 'format'],
  ['a reserved field in use', changed((bytes) => bytes.writeUInt16BE(1, 10)), 'reserved'],
  ['another frame size', changed((bytes) => bytes.writeUInt32BE(1 << 21, 12)), 'frame size'],
  ['an empty image', changed((bytes) => bytes.writeBigUInt64BE(0n, 16)), 'frames'],
  ['an image that needs more frames', changed((bytes) => bytes.writeBigUInt64BE(BigInt(3 * FRAME_RAW_BYTES + 1), 16)), 'frames'],
  ['an image that needs fewer frames', changed((bytes) => bytes.writeBigUInt64BE(BigInt(2 * FRAME_RAW_BYTES), 16)), 'frames'],
  ['an image of absurd length', changed((bytes) => bytes.writeBigUInt64BE(2n ** 64n - 1n, 16)), 'frames'],
  ['absurdly many frames', changed((bytes) => bytes.writeUInt32BE(2 ** 32 - 1, 56)), 'frames'],
  ['a frame without bytes', changed((bytes) => bytes.writeUInt32BE(0, 60)), 'frame 0'],
  ['a frame that is far too long', changed((bytes) => bytes.writeUInt32BE(FRAME_RAW_BYTES * 2, 60 + 68)), 'frame 1'],
];
for (const [what, bytes, at] of UNREADABLE) {
  test(`decodeFrameTable() says image/bad-frame-table and where when it finds ${what}`, () => {
    assert.throws(() => decodeFrameTable(bytes), { code: 'image/bad-frame-table', details: { at } });
  });
}

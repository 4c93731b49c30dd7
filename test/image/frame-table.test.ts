import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decodeFrameTable,
  encodeFrameTable,
  FRAME_RAW_BYTES,
  FRAME_TABLE_MAX_BYTES,
  type Frame,
  type FrameTable,
  type TableVerity,
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
const VERITY: TableVerity = {
  rootHash: digest('root hash'),
  salt: Uint8Array.of(0xaa, 0xbb, 0xcc),
  uuid: '01234567-89ab-4def-8123-456789abcdef',
  dataBlocks: 512,
};
const WITH_VERITY: FrameTable = { ...TABLE, verity: VERITY };

test('encodeFrameTable() writes the layout of docs/formats.md', () => {
  const bytes = Buffer.from(encodeFrameTable(tableOf(FRAME_RAW_BYTES + 5)));
  assert.equal(bytes.length, 60 + 2 * 68);
  assert.equal(bytes.toString('latin1', 0, 8), 'GANTRYFT');
  assert.deepEqual([bytes.readUInt16BE(8), bytes.readUInt16BE(10), bytes.readUInt32BE(12)], [2, 0, 0x0010_0000]);
  assert.equal(bytes.readBigUInt64BE(16), 0x0010_0005n);
  assert.equal(bytes.toString('hex', 24, 56), digest('image'));
  assert.deepEqual([bytes.readUInt32BE(56), bytes.readUInt32BE(60)], [2, 1]);
  assert.equal(bytes.toString('hex', 64, 96), digest('frame 0'));
  assert.equal(bytes.toString('hex', 96, 128), digest('raw 0'));
  assert.equal(bytes.readUInt32BE(128), 2);
});

test('encodeFrameTable() puts the dm-verity parameters behind the frames', () => {
  const [plain, bytes] = [Buffer.from(encodeFrameTable(TABLE)), Buffer.from(encodeFrameTable(WITH_VERITY))];
  assert.equal(bytes.readUInt16BE(10), 1);
  assert.ok(plain.subarray(12).equals(bytes.subarray(12, plain.length)));
  assert.equal(
    bytes.toString('hex', plain.length),
    ['01', '0c', '0003', '0000000000000200', VERITY.uuid.replaceAll('-', ''), VERITY.rootHash, 'aabbcc'].join(''),
  );
});

test('decodeFrameTable() gives back the dm-verity parameters, whatever the salt is', () => {
  for (const length of [0, 1, 32, 256]) {
    for (const dataBlocks of [1, 512]) {
      const table = { ...TABLE, verity: { ...VERITY, salt: new Uint8Array(length).fill(7), dataBlocks } };
      assert.deepEqual(decodeFrameTable(encodeFrameTable(table)), table);
    }
  }
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
  const table = tableOf(2 ** 31, () => FRAME_RAW_BYTES);
  assert.equal(encodeFrameTable(table).length, 139_324);
  const encoded = encodeFrameTable({ ...table, verity: { ...VERITY, salt: new Uint8Array(256) } });
  assert.equal(encoded.length, 139_640);
  assert.ok(encoded.length <= 250_000);
});

test('encodeFrameTable() takes 64 GiB of image, which FRAME_TABLE_MAX_BYTES holds, and not a byte more', () => {
  const encoded = encodeFrameTable({ ...tableOf(2 ** 36), verity: { ...VERITY, salt: new Uint8Array(256) } });
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
  ['a root hash that is cut', { ...TABLE, verity: { ...VERITY, rootHash: VERITY.rootHash.slice(1) } }],
  ['a salt of 257 bytes', { ...TABLE, verity: { ...VERITY, salt: new Uint8Array(257) } }],
  ['a UUID in capitals', { ...TABLE, verity: { ...VERITY, uuid: VERITY.uuid.toUpperCase() } }],
  ['a tree of no blocks', { ...TABLE, verity: { ...VERITY, dataBlocks: 0 } }],
  ['a tree of more blocks than the image has', { ...TABLE, verity: { ...VERITY, dataBlocks: 513 } }],
  ['a tree of half a block', { ...TABLE, verity: { ...VERITY, dataBlocks: 1.5 } }],
  ['a raw digest in capitals', { raw, frames: [first, second, { ...third, rawSha256: 'A'.repeat(64) }] }],
];
for (const [what, table] of UNWRITABLE) {
  test(`encodeFrameTable() throws a RangeError when there is ${what}`, () => {
    assert.throws(() => encodeFrameTable(table), RangeError);
  });
}

function changed(change: (bytes: Buffer) => void, table = TABLE): Buffer {
  const bytes = Buffer.from(encodeFrameTable(table));
  change(bytes);
  return bytes;
}

const VERITY_AT = encodeFrameTable(TABLE).length;
const good = Buffer.from(encodeFrameTable(TABLE));
const UNREADABLE: readonly (readonly [what: string, bytes: Uint8Array, at: string])[] = [
  ['nothing', Buffer.alloc(0), 'length'],
  ['a part of the header', good.subarray(0, 59), 'length'],
  ['the header alone', good.subarray(0, 60), 'length'],
  ['one byte too few', good.subarray(0, -1), 'length'],
  ['one byte too many', Buffer.concat([good, Buffer.alloc(1)]), 'length'],
  ['another magic', changed((bytes) => bytes.writeUInt8(0x67, 0)), 'magic'],
  ['the format before this one', changed((bytes) => bytes.writeUInt16BE(1, 8)), 'format'],
  ['a newer format', changed((bytes) => bytes.writeUInt16BE(3, 8)), 'format'],
  ['an extension that is not known', changed((bytes) => bytes.writeUInt16BE(2, 10)), 'verity'],
  ['dm-verity parameters that are missing', changed((bytes) => bytes.writeUInt16BE(1, 10)), 'length'],
  ['dm-verity parameters that nobody announced', changed((bytes) => bytes.writeUInt16BE(0, 10), WITH_VERITY), 'length'],
  ['dm-verity parameters that are cut', changed(() => undefined, WITH_VERITY).subarray(0, VERITY_AT + 3), 'length'],
  ['a salt that is cut', changed(() => undefined, WITH_VERITY).subarray(0, -1), 'length'],
  ['a salt that is longer than it says', changed((bytes) => bytes.writeUInt16BE(2, VERITY_AT + 2), WITH_VERITY), 'length'],
  [
    'a salt of 257 bytes',
    Buffer.concat([changed((bytes) => bytes.writeUInt16BE(257, VERITY_AT + 2), WITH_VERITY), Buffer.alloc(254)]),
    'verity salt',
  ],
  ['another hash algorithm', changed((bytes) => bytes.writeUInt8(2, VERITY_AT), WITH_VERITY), 'verity algorithm'],
  ['another block size', changed((bytes) => bytes.writeUInt8(9, VERITY_AT + 1), WITH_VERITY), 'verity block size'],
  ['a tree of no blocks', changed((bytes) => bytes.writeBigUInt64BE(0n, VERITY_AT + 4), WITH_VERITY), 'verity blocks'],
  [
    'a tree of more blocks than the image has',
    changed((bytes) => bytes.writeBigUInt64BE(513n, VERITY_AT + 4), WITH_VERITY),
    'verity blocks',
  ],
  [
    'a tree of absurdly many blocks',
    changed((bytes) => bytes.writeBigUInt64BE(2n ** 64n - 1n, VERITY_AT + 4), WITH_VERITY),
    'verity blocks',
  ],
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

import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { GantryError } from '../../lib/errors.ts';
import { decodeFrameTable, encodeFrameTable, FRAME_RAW_BYTES, type Frame, type FrameTable } from '../../lib/image/frame-table.ts';
import { compressLz4, decompressLz4 } from '../../lib/image/lz4.ts';
import { compressFrames, decompressZstd } from '../../lib/image/zstd.ts';
import { collect, drain, imageBytes, inChunks } from '../support/bytes.ts';

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const frame = fc.record({ lengthBytes: fc.integer({ min: 1, max: FRAME_RAW_BYTES + (1 << 16) }), sha256: digest, rawSha256: digest });
/** Perhaps a tree; of as many blocks as the image has, or fewer. */
const verity = fc.option(
  fc.record({ rootHash: digest, salt: fc.uint8Array({ maxLength: 256 }), uuid: fc.uuid(), part: fc.nat({ max: 8 }) }),
  {
    nil: undefined,
  },
);
const frameTable: fc.Arbitrary<FrameTable> = fc
  .tuple(fc.array(frame, { minLength: 1, maxLength: 8 }), fc.integer({ min: 4096, max: FRAME_RAW_BYTES }), digest, verity)
  .map(([frames, last, sha256, tree]) => {
    let offset = 0;
    const placed = frames.map((one, index) => {
      const rawLengthBytes = index === frames.length - 1 ? last : FRAME_RAW_BYTES;
      offset += one.lengthBytes;
      return { ...one, offset: offset - one.lengthBytes, rawLengthBytes };
    });
    const lengthBytes = (frames.length - 1) * FRAME_RAW_BYTES + last;
    const table = { raw: { lengthBytes, sha256 }, frames: placed };
    if (tree === undefined) return table;
    const { part, ...rest } = tree;
    return { ...table, verity: { ...rest, dataBlocks: Math.max(1, Math.floor(((lengthBytes / 4096) * part) / 8)) } };
  });

/** Every field of an encoded table: where it begins and its bytes. */
function fieldsOf(table: FrameTable): readonly (readonly [at: number, bytes: number])[] {
  const header = [8, 2, 2, 4, 8, 32, 4];
  const tree = table.verity === undefined ? [] : [1, 1, 2, 8, 16, 32];
  let at = 0;
  return [...header, ...table.frames.flatMap(() => [4, 32, 32]), ...tree].map((bytes) => {
    at += bytes;
    return [at - bytes, bytes];
  });
}

/** Changes to bytes: some overwritten, and perhaps cut or followed by more. */
const damage = fc.record({
  writes: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }),
  cutTo: fc.option(fc.nat(), { freq: 4 }),
  more: fc.uint8Array({ maxLength: 3 }),
});
type Damage = typeof damage extends fc.Arbitrary<infer D> ? D : never;

function damaged(bytes: Uint8Array, { writes, cutTo, more }: Damage): Buffer {
  const copy = Buffer.from(bytes);
  for (const [at, value] of writes) copy.writeUInt8(value, at % copy.length);
  return Buffer.concat([copy.subarray(0, cutTo === null ? copy.length : cutTo % copy.length), more]);
}

test('decodeFrameTable() gives back any table that encodeFrameTable() wrote', () => {
  fc.assert(
    fc.property(frameTable, (table) => {
      assert.deepEqual(decodeFrameTable(encodeFrameTable(table)), table);
    }),
  );
});

test('decodeFrameTable() gives a table that encodes to the same bytes, or a GantryError, whatever the bytes are', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.tuple(frameTable, damage).map(([table, change]) => damaged(encodeFrameTable(table), change)),
  );
  fc.assert(
    fc.property(bytes, (encoded) => {
      let table: FrameTable;
      try {
        table = decodeFrameTable(encoded);
      } catch (error) {
        assert.ok(error instanceof GantryError && error.code === 'image/bad-frame-table');
        return;
      }
      assert.deepEqual(Buffer.from(encodeFrameTable(table)), Buffer.from(encoded));
    }),
    { numRuns: 1000 },
  );
});

test('decodeFrameTable() gives a table that encodes to the same bytes, or image/bad-frame-table, whichever field lies', () => {
  const lie = fc.oneof(
    fc.constantFrom(0n, 1n, 2n, 0xffn, 0xffffn, 0xffff_ffffn, 2n ** 63n, 2n ** 64n - 1n),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.constant('one more' as const),
    fc.constant('one less' as const),
  );
  fc.assert(
    fc.property(frameTable, fc.array(fc.tuple(fc.nat(), lie), { minLength: 1, maxLength: 2 }), (table, lies) => {
      const encoded = Buffer.from(encodeFrameTable(table));
      const fields = fieldsOf(table);
      for (const [which, value] of lies) {
        const [at, bytes] = fields[which % fields.length] ?? assert.fail('there are fields');
        const width = Math.min(bytes, 6);
        const before = BigInt(encoded.readUIntBE(at + bytes - width, width));
        const next = value === 'one more' ? before + 1n : value === 'one less' ? before - 1n : value;
        encoded.writeUIntBE(Number(BigInt.asUintN(width * 8, next)), at + bytes - width, width);
      }
      let found: FrameTable;
      try {
        found = decodeFrameTable(encoded);
      } catch (error) {
        assert.ok(error instanceof GantryError && error.code === 'image/bad-frame-table', String(error));
        return;
      }
      assert.deepEqual(Buffer.from(encodeFrameTable(found)), encoded);
    }),
    { numRuns: 2000 },
  );
});

test('encodeFrameTable() throws a RangeError or writes what decodeFrameTable() gives back, whichever field lies', () => {
  const number = fc.oneof(fc.constantFrom(0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32, 2 ** 53, 2 ** 64), fc.nat());
  const text = fc.oneof(digest, fc.string(), fc.constantFrom('A'.repeat(64), 'g'.repeat(64), '0'.repeat(63)));
  fc.assert(
    fc.property(frameTable, fc.integer({ min: 0, max: 9 }), fc.nat(), number, text, (table, field, which, value, words) => {
      const tree = { rootHash: table.raw.sha256, salt: Uint8Array.of(1), uuid: '01234567-89ab-4def-8123-456789abcdef', dataBlocks: 1 };
      const frames = (change: Partial<Frame>): FrameTable => ({
        ...table,
        frames: table.frames.map((one, index) => (index === which % table.frames.length ? { ...one, ...change } : one)),
      });
      const lying: readonly FrameTable[] = [
        { ...table, raw: { ...table.raw, lengthBytes: value } },
        { ...table, raw: { ...table.raw, sha256: words } },
        frames({ offset: value }),
        frames({ lengthBytes: value }),
        frames({ rawLengthBytes: value }),
        frames({ sha256: words }),
        frames({ rawSha256: words }),
        { ...table, verity: { ...tree, dataBlocks: value } },
        { ...table, verity: { ...tree, rootHash: words, salt: new Uint8Array(which % 300) } },
        { ...table, verity: { ...tree, uuid: words } },
      ];
      const one = lying[field] ?? assert.fail('there are ten');
      let encoded: Uint8Array;
      try {
        encoded = encodeFrameTable(one);
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
        return;
      }
      assert.deepEqual(decodeFrameTable(encoded), one);
    }),
    { numRuns: 2000 },
  );
});

const FORMATS = [
  {
    name: 'Zstd',
    compress: (raw: Uint8Array, chunk: number) => compressFrames(inChunks(raw, chunk), { level: 3 }),
    decompress: (bytes: Uint8Array, chunk: number, maxBytes: number) => decompressZstd(inChunks(bytes, chunk), { maxBytes }),
  },
  {
    name: 'Lz4',
    compress: (raw: Uint8Array, chunk: number) => compressLz4(inChunks(raw, chunk), { contentSizeBytes: raw.length }),
    decompress: (bytes: Uint8Array, chunk: number, maxBytes: number) => decompressLz4(inChunks(bytes, chunk), { maxBytes }),
  },
];
const chunkBytes = fc.integer({ min: 100, max: 100_000 });
const raw = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 2000 }),
  fc.tuple(fc.integer({ min: 1, max: 300_000 }), fc.string()).map(([length, seed]) => imageBytes(length, seed)),
);
/** What the damaged files are made of. */
const IMAGE = imageBytes(150_000);

for (const { name, compress, decompress } of FORMATS) {
  test(`decompress${name}() gives back any bytes, in any chunks`, async () => {
    await fc.assert(
      fc.asyncProperty(raw, chunkBytes, chunkBytes, async (bytes, one, other) => {
        const compressed = await collect(compress(bytes, one));
        assert.ok(Buffer.from(bytes).equals(await collect(decompress(compressed, other, bytes.length))));
      }),
      { numRuns: 50 },
    );
  });

  test(`decompress${name}() gives bytes or a GantryError, and never more than maxBytes, whatever happened to the file`, async () => {
    const good = await collect(compress(IMAGE, 10_000));
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 300 }).map((rest) => Buffer.concat([good.subarray(0, 16), rest])),
      damage.map((change) => damaged(good, change)),
    );
    await fc.assert(
      fc.asyncProperty(bytes, fc.constantFrom(1000, IMAGE.length, 1 << 24), async (file, maxBytes) => {
        const { lengthBytes, error } = await drain(decompress(file, 5000, maxBytes));
        assert.ok(lengthBytes <= maxBytes);
        if (error !== undefined) assert.ok(error instanceof GantryError && error.code.startsWith('image/'), String(error));
      }),
      { numRuns: 200 },
    );
  });
}

test('decompressLz4() never gives other bytes than were compressed when a damaged frame keeps its checksums', async () => {
  const good = await collect(compressLz4(inChunks(IMAGE, 10_000), { contentSizeBytes: IMAGE.length }));
  const expected = hash('sha256', IMAGE);
  await fc.assert(
    fc.asyncProperty(damage, async (change) => {
      const file = damaged(good.subarray(0, good.length), { ...change, cutTo: null, more: new Uint8Array() });
      const whole = collect(decompressLz4(inChunks(file, 5000), { maxBytes: 1 << 24 }));
      const found = await whole.then(
        (bytes) => hash('sha256', bytes),
        () => undefined,
      );
      assert.ok(found === undefined || found === expected);
    }),
    { numRuns: 100 },
  );
});

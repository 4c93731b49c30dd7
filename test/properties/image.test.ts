import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { GantryError } from '../../lib/errors.ts';
import { decodeFrameTable, encodeFrameTable, FRAME_RAW_BYTES, type FrameTable } from '../../lib/image/frame-table.ts';
import { compressLz4, decompressLz4 } from '../../lib/image/lz4.ts';
import { compressFrames, decompressZstd } from '../../lib/image/zstd.ts';
import { collect, drain, imageBytes, inChunks } from '../support/bytes.ts';

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const frame = fc.record({ lengthBytes: fc.integer({ min: 1, max: FRAME_RAW_BYTES + (1 << 16) }), sha256: digest, rawSha256: digest });
const frameTable: fc.Arbitrary<FrameTable> = fc
  .tuple(fc.array(frame, { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: FRAME_RAW_BYTES }), digest)
  .map(([frames, last, sha256]) => {
    let offset = 0;
    const placed = frames.map((one, index) => {
      const rawLengthBytes = index === frames.length - 1 ? last : FRAME_RAW_BYTES;
      offset += one.lengthBytes;
      return { ...one, offset: offset - one.lengthBytes, rawLengthBytes };
    });
    return { raw: { lengthBytes: (frames.length - 1) * FRAME_RAW_BYTES + last, sha256 }, frames: placed };
  });

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

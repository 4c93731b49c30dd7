/** Framed zstd: whatever the image, its chunks and the number of threads. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeFrameTable, encodeFrameTable, FRAME_RAW_BYTES, type Frame } from '../../lib/image/frame-table.ts';
import { measuring } from '../../lib/image/measure.ts';
import type { WorkerPool } from '../../lib/image/worker-pool.ts';
import { compressFrames, decompressFrame, isMadeOf } from '../../lib/image/zstd.ts';
import { collect, imageBytes, inChunks } from '../support/bytes.ts';
import { poolOf } from '../support/pool.ts';

/** Parts of zeros and of other bytes, so that runs begin and end anywhere in a frame. */
const image = fc
  .array(
    fc.record({
      kind: fc.constantFrom('zeros', 'bytes'),
      length: fc.oneof(fc.integer({ min: 1, max: FRAME_RAW_BYTES * 2 }), fc.constantFrom(FRAME_RAW_BYTES, FRAME_RAW_BYTES - 1, 1)),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) =>
    Buffer.concat(parts.map(({ kind, length }, index) => (kind === 'zeros' ? Buffer.alloc(length) : imageBytes(length, `${index}`)))),
  );

test('compressFrames() gives the same frames with one thread and with three, and they give the image back', async (t) => {
  const pools = [poolOf(t, 1), poolOf(t, 3)];
  await fc.assert(
    fc.asyncProperty(image, fc.integer({ min: 50_000, max: 3_000_000 }), async (raw, chunkBytes) => {
      const made = await Promise.all(pools.map(async (pool) => compressAll(raw, chunkBytes, pool)));
      const [one, three] = made;
      assert.ok(one !== undefined && three !== undefined && one.bytes.equals(three.bytes));
      assert.deepEqual(three.table, one.table);
      const { frames } = decodeFrameTable(one.table);
      const [pool] = pools;
      assert.ok(pool !== undefined);
      assert.ok(await isMadeOf(inChunks(one.bytes, chunkBytes), frames));
      const back = await Promise.all(
        frames.map(async (frame, index) =>
          decompressFrame(one.bytes.subarray(frame.offset, frame.offset + frame.lengthBytes), frame, index, { pool }),
        ),
      );
      assert.ok(raw.equals(Buffer.concat(back)));
    }),
    { numRuns: 25 },
  );
});

async function compressAll(
  raw: Buffer,
  chunkBytes: number,
  pool: WorkerPool,
): Promise<{ readonly bytes: Buffer; readonly table: Uint8Array }> {
  const frames: Frame[] = [];
  const measured = measuring(inChunks(raw, chunkBytes));
  const bytes = await collect(compressFrames(measured.stream, { level: 1, pool, onFrame: (frame) => frames.push(frame) }));
  return { bytes, table: encodeFrameTable({ raw: measured.result(), frames }) };
}

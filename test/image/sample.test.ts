import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sampleCompression } from '../../lib/image/sample.ts';
import { compressFrames } from '../../lib/image/zstd.ts';
import { collect, imageBytes, inChunks } from '../support/bytes.ts';

const MIB = 1 << 20;

test('sampleCompression() tries all of a small image, and is off by less than a percent', async () => {
  const image = imageBytes(5 * MIB + 1000);
  const shipped = await collect(compressFrames(inChunks(image, 100_000), { level: 5 }));
  const { compressedBytes, ...tried } = await sampleCompression(inChunks(image, 100_000), { level: 5 });
  assert.deepEqual(tried, { level: 5, blocks: 6, ofBlocks: 6, rawBytes: image.length });
  assert.ok(Math.abs(compressedBytes / shipped.length - 1) < 0.01, `${compressedBytes} of ${shipped.length}`);
});

test('sampleCompression() tries every n-th block of a large image, and the same ones whatever the chunks are', async () => {
  /** Compresses well, but for every fourth block. */
  async function* image(chunkBytes: number): AsyncGenerator<Uint8Array> {
    const noise = imageBytes(3 * 65_536).subarray(65_536, 2 * 65_536);
    const blocks = [Buffer.alloc(MIB, noise), Buffer.alloc(MIB), Buffer.alloc(MIB), Buffer.alloc(MIB)];
    for (let index = 0; index < 100; index += 1) yield* inChunks(blocks[index % 4] ?? Buffer.alloc(0), chunkBytes);
  }
  const sample = await sampleCompression(image(65_536), { level: 3 });
  assert.deepEqual([sample.blocks, sample.ofBlocks, sample.rawBytes], [50, 100, 50 * MIB]);
  // Of blocks 0, 2, 4, …; every other one of them is noise.
  assert.ok(sample.compressedBytes > 25 * 60_000);
  assert.deepEqual(await sampleCompression(image(1_000_003), { level: 3 }), sample);
});

test('sampleCompression() stops with the code `aborted` when the signal fires', async () => {
  const work = sampleCompression(inChunks(imageBytes(3 * MIB), MIB), { level: 3, signal: AbortSignal.abort() });
  await assert.rejects(work, { code: 'aborted' });
});

/** An image of any size goes through in the same memory: blocks in flight, not the image. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Node with these modules takes 95 MB, and its garbage collector lets about 64 MiB of buffers gather. */
const LIMIT_BYTES = 240e6;
const IMAGE_BYTES = 256 << 20;
const at = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);

/** Runs in a process of its own, whose peak is then its own too. */
const script = (expression: string): string => `
  import { imageBytes } from ${at('../support/bytes.ts')};
  import { measuring } from ${at('../../lib/image/measure.ts')};
  import { compressFrames, decompressZstd } from ${at('../../lib/image/zstd.ts')};
  import { compressLz4, decompressLz4 } from ${at('../../lib/image/lz4.ts')};
  const maxBytes = ${IMAGE_BYTES};
  const sample = imageBytes(8 << 20);
  async function* generate() {
    for (let sent = 0; sent < maxBytes; sent += sample.length) yield sample;
  }
  const compressed = measuring((${expression}.compress)(generate()));
  const raw = measuring((${expression}.decompress)(compressed.stream));
  for await (const _ of raw.stream);
  console.log(JSON.stringify([raw.result().lengthBytes, compressed.result().lengthBytes, process.resourceUsage().maxRSS * 1024]));`;

const FORMATS: Readonly<Record<string, string>> = {
  zstd: '{ compress: (raw) => compressFrames(raw, { level: 3 }), decompress: (bytes) => decompressZstd(bytes, { maxBytes }) }',
  lz4: '{ compress: (raw) => compressLz4(raw, { contentSizeBytes: maxBytes }), decompress: (bytes) => decompressLz4(bytes, { maxBytes }) }',
};

for (const [name, expression] of Object.entries(FORMATS)) {
  test(`${name}: 256 MiB are compressed and decompressed again below ${LIMIT_BYTES / 1e6} MB`, async () => {
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script(expression)]);
    const [lengthBytes, compressedBytes, peakBytes] = JSON.parse(stdout) as [number, number, number];
    assert.equal(lengthBytes, IMAGE_BYTES);
    assert.ok(compressedBytes > IMAGE_BYTES / 10, `${compressedBytes} bytes after compression are too few to say anything`);
    assert.ok(peakBytes < LIMIT_BYTES, `the peak was ${(peakBytes / 1e6).toFixed(0)} MB`);
  });
}

test('lz4: 2 GiB of zeros that come out of one chunk of 8 MiB are decompressed below 300 MB', async () => {
  const bomb = `
    import { inChunks, collect } from ${at('../support/bytes.ts')};
    import { compressLz4, decompressLz4 } from ${at('../../lib/image/lz4.ts')};
    const zeros = Buffer.alloc(1 << 20);
    async function* generate() {
      for (let sent = 0; sent < 2048; sent += 1) yield zeros;
    }
    const file = await collect(compressLz4(generate(), { contentSizeBytes: 2 ** 31 }));
    let lengthBytes = 0;
    for await (const chunk of decompressLz4(inChunks(file, file.length), { maxBytes: 2 ** 31 })) lengthBytes += chunk.length;
    console.log(JSON.stringify([lengthBytes, file.length, process.resourceUsage().maxRSS * 1024]));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', bomb]);
  const [lengthBytes, fileBytes, peakBytes] = JSON.parse(stdout) as [number, number, number];
  assert.equal(lengthBytes, 2 ** 31);
  assert.ok(fileBytes < 9e6);
  assert.ok(peakBytes < 300e6, `the peak was ${(peakBytes / 1e6).toFixed(0)} MB`);
});

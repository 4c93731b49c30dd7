/** Where zstd frames end: what Node's decoder does not tell, against the machine's own zstd. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { constants, zstdCompressSync } from 'node:zlib';
import { isGantryError } from '../../lib/errors.ts';
import { isOneFrame, ZstdStructure } from '../../lib/image/zstd-structure.ts';
import { decompressFrame, decompressZstd } from '../../lib/image/zstd.ts';
import { collect, drain, imageBytes, inChunks } from '../support/bytes.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { requireTool } from '../support/tools.ts';

const run = promisify(execFile);
const RAW = imageBytes(300_000);
const FRAME = zstdCompressSync(RAW, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
const SKIPPABLE = Buffer.from('5f2a4d1803000000aabbcc', 'hex');

/** What follows a good frame and is none. */
const TAILS: Readonly<Record<string, Buffer>> = {
  'one byte': Buffer.of(1),
  'half a magic number': FRAME.subarray(0, 2),
  'a magic number alone': FRAME.subarray(0, 4),
  'a frame that is cut': FRAME.subarray(0, -1),
  'a skippable frame that is cut': SKIPPABLE.subarray(0, -1),
  zeros: Buffer.alloc(64),
  text: Buffer.from('more than an image'),
};

for (const [what, tail] of Object.entries(TAILS)) {
  test(`decompressZstd() says image/bad-zstd when ${what} follows the last frame, in whatever chunks it comes`, async () => {
    const bytes = Buffer.concat([FRAME, tail]);
    for (const chunkBytes of [10_007, FRAME.length, bytes.length]) {
      const { lengthBytes, error } = await drain(decompressZstd(inChunks(bytes, chunkBytes), { maxBytes: 2 * RAW.length }));
      assert.ok(isGantryError(error, 'image/bad-zstd'), `chunks of ${chunkBytes}: ${String(error)}`);
      assert.equal(error.details.offset, lengthBytes);
    }
  });

  test(`zstd refuses a file too when ${what} follows the last frame`, async (t) => {
    if (!requireTool(t, 'zstd')) return;
    const path = join(await temporaryDirectory(t), 'image.zst');
    await writeFile(path, Buffer.concat([FRAME, tail]));
    await assert.rejects(run('zstd', ['-t', '-q', path]));
  });
}

test('decompressFrame() says image/bad-frame when anything stands beside the frame', async () => {
  const frame = { rawLengthBytes: RAW.length, rawSha256: hash('sha256', RAW) };
  assert.ok(RAW.equals(await decompressFrame(FRAME, frame, 0)));
  const empty = zstdCompressSync(Buffer.alloc(0));
  for (const bytes of [
    ...Object.values(TAILS).map((tail) => Buffer.concat([FRAME, tail])),
    Buffer.concat([FRAME, SKIPPABLE]),
    Buffer.concat([SKIPPABLE, FRAME]),
    Buffer.concat([FRAME, empty]),
  ]) {
    await assert.rejects(decompressFrame(bytes, frame, 7), { code: 'image/bad-frame', details: { frame: 7 } });
  }
});

test('ZstdStructure finds the end of every kind of frame that zstd writes', async (t) => {
  if (!requireTool(t, 'zstd')) return;
  const path = join(await temporaryDirectory(t), 'image');
  const options = [['-3'], ['--long=27', '--no-check'], ['--no-content-size', '-T2']];
  // Content sizes of 1, 2, 4 bytes; blocks that are stored, repeated and compressed; no block content at all.
  for (const raw of [Buffer.alloc(0), Buffer.of(7), RAW.subarray(0, 1000), RAW, Buffer.alloc(1 << 20), imageBytes(2 << 20)]) {
    await writeFile(path, raw);
    for (const option of options) {
      await run('zstd', ['-q', '-f', ...option, path, '-o', `${path}.zst`]);
      const bytes = await readFile(`${path}.zst`);
      assert.ok(isOneFrame(bytes), `${raw.length} bytes, ${option.join(' ')}`);
      assert.ok(!isOneFrame(bytes.subarray(0, -1)) && !isOneFrame(Buffer.concat([bytes, Buffer.of(0)])));
      assert.ok(raw.equals(await collect(decompressZstd(inChunks(bytes, 65_537), { maxBytes: raw.length }))));
    }
  }
});

test('ZstdStructure counts the frames whatever the chunks are', () => {
  const bytes = Buffer.concat([SKIPPABLE, FRAME, FRAME, SKIPPABLE, FRAME]);
  for (const chunkBytes of [1, 2, 3, 5, 1000, bytes.length]) {
    const structure = new ZstdStructure();
    for (let at = 0; at < bytes.length; at += chunkBytes) structure.follow(bytes.subarray(at, at + chunkBytes));
    structure.end();
    assert.deepEqual([structure.frames, structure.skippableFrames], [3, 2]);
  }
});

test('ZstdStructure says where a file stops to be one', () => {
  const follow = (bytes: Uint8Array): void => {
    const structure = new ZstdStructure();
    structure.follow(bytes);
    structure.end();
  };
  assert.throws(() => follow(Buffer.alloc(0)), { name: 'ZstdStructureError', offset: 0, message: /empty/u });
  assert.throws(() => follow(FRAME.subarray(0, 9)), { name: 'ZstdStructureError', offset: 9, message: /cut short/u });
  assert.throws(() => follow(Buffer.concat([FRAME, Buffer.alloc(9)])), { offset: FRAME.length, message: /no zstd frame starts there/u });
  // A descriptor of a frame with one segment, its content size, and a block of type 3.
  assert.throws(() => follow(Buffer.from('28b52ffd2005070000', 'hex')), { offset: 6, message: /no known type/u });
});

test('ZstdStructure tells every frame with the raw length that its header says, in whatever chunks it comes', async () => {
  const withSize = (length: number): Buffer => zstdCompressSync(RAW.subarray(0, length), { pledgedSrcSize: length });
  const without = zstdCompressSync(RAW, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } });
  const frames: readonly (readonly [frame: Buffer, raw: bigint | undefined])[] = [
    [withSize(100), 100n],
    [withSize(255), 255n],
    [withSize(256), 256n],
    [withSize(65_791), 65_791n],
    [withSize(65_792), 65_792n],
    [without, undefined],
    [withSize(300_000), 300_000n],
  ];
  const bytes = Buffer.concat(frames.flatMap(([frame]) => [SKIPPABLE, frame]));
  for (const chunkBytes of [1, 7, 4096, bytes.length]) {
    const told: unknown[] = [];
    const structure = new ZstdStructure((frame) => told.push(frame));
    for await (const chunk of inChunks(bytes, chunkBytes)) structure.follow(chunk);
    structure.end();
    assert.deepEqual(
      told,
      frames.map(([{ length }, raw]) => ({ lengthBytes: length, rawLengthBytes: raw })),
    );
  }
});

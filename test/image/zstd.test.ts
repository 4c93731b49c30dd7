import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { constants, zstdCompressSync } from 'node:zlib';
import { isGantryError } from '../../lib/errors.ts';
import { FRAME_RAW_BYTES, type Frame } from '../../lib/image/frame-table.ts';
import type { WorkerPool } from '../../lib/image/worker-pool.ts';
import { compressFrames, decompressFrame, decompressZstd, isMadeOf } from '../../lib/image/zstd.ts';
import { collect, drain, imageBytes, inChunks } from '../support/bytes.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { poolOf } from '../support/pool.ts';
import { requireTool } from '../support/tools.ts';

const run = promisify(execFile);
/** Three whole frames and a part of one. */
const IMAGE = imageBytes(3 * FRAME_RAW_BYTES + 12_345);

interface Compressed {
  readonly bytes: Buffer;
  readonly frames: readonly Frame[];
  readonly chunks: number;
}

async function compress(image: Uint8Array, options: { readonly level?: number; readonly pool?: WorkerPool } = {}): Promise<Compressed> {
  const frames: Frame[] = [];
  const chunks: Uint8Array[] = [];
  const source = inChunks(image, 300_007);
  for await (const chunk of compressFrames(source, { level: 3, ...options, onFrame: (frame) => frames.push(frame) })) chunks.push(chunk);
  return { bytes: Buffer.concat(chunks), frames, chunks: chunks.length };
}

test('compressFrames() makes a file that zstd tests and decompresses', async (t) => {
  if (!requireTool(t, 'zstd')) return;
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'image.zst');
  await writeFile(path, (await compress(IMAGE)).bytes);
  await run('zstd', ['-t', '-q', path]);
  await run('zstd', ['-d', '-q', path, '-o', join(directory, 'image')]);
  assert.ok(IMAGE.equals(await readFile(join(directory, 'image'))));
  const { stdout } = await run('zstd', ['-l', '-v', path]);
  assert.match(stdout, /Frames: 4/u);
  assert.match(stdout, /Decompressed Size: [^\n]*\(3158073 B\)/u);
  assert.match(stdout, /Check: XXH64/u);
});

test('compressFrames() tells each frame in order, and each is a frame of its own', async () => {
  const { bytes, frames, chunks } = await compress(IMAGE);
  assert.equal(chunks, 4);
  let offset = 0;
  for (const [index, frame] of frames.entries()) {
    const raw = IMAGE.subarray(index * FRAME_RAW_BYTES, (index + 1) * FRAME_RAW_BYTES);
    const compressed = bytes.subarray(frame.offset, frame.offset + frame.lengthBytes);
    assert.deepEqual(frame, {
      offset,
      lengthBytes: compressed.length,
      sha256: hash('sha256', compressed),
      rawLengthBytes: raw.length,
      rawSha256: hash('sha256', raw),
    });
    assert.ok(raw.equals(await decompressFrame(compressed, frame, index)));
    offset += frame.lengthBytes;
  }
  assert.equal(offset, bytes.length);
  assert.equal(frames.length, 4);
});

test('compressFrames() makes the same bytes whatever the chunks and the number of threads are', async (t) => {
  const one = await compress(IMAGE, { pool: poolOf(t, 1) });
  const four = await compress(IMAGE, { pool: poolOf(t, 4) });
  assert.deepEqual(four, one);
  assert.ok(one.bytes.equals(await collect(compressFrames(inChunks(IMAGE, 4096), { level: 3 }))));
});

/** A pool that counts its jobs. */
function counting(pool: WorkerPool): { readonly pool: WorkerPool; readonly jobs: () => number } {
  let jobs = 0;
  const counted: WorkerPool['run'] = async (...job) => {
    jobs += 1;
    return pool.run(...job);
  };
  return {
    pool: { threads: pool.threads, started: pool.started, run: counted, close: async () => pool.close() },
    jobs: () => jobs,
  };
}

test('compressFrames() compresses a run of zeros once, and tells each of its frames', async (t) => {
  const { pool, jobs } = counting(poolOf(t, 2));
  const image = Buffer.concat([imageBytes(5000), Buffer.alloc(40 * FRAME_RAW_BYTES), imageBytes(FRAME_RAW_BYTES)]);
  const { bytes, frames } = await compress(image, { pool });
  assert.equal(frames.length, 42);
  assert.equal(jobs(), 4, 'the first frame, the last two, and one of the zeros between them');
  assert.ok(bytes.length < 2_000_000);
  for (const [index, frame] of frames.entries()) {
    const compressed = bytes.subarray(frame.offset, frame.offset + frame.lengthBytes);
    assert.equal(frame.sha256, hash('sha256', compressed));
    assert.equal(frame.rawSha256, hash('sha256', image.subarray(index * FRAME_RAW_BYTES, (index + 1) * FRAME_RAW_BYTES)));
  }
  assert.ok(image.equals(await collect(decompressZstd(inChunks(bytes, 100_000), { maxBytes: image.length }))));
});

test('compressFrames() says image/worker-died, and lets go of its source, when its threads are gone', async (t) => {
  const pool = poolOf(t, 2);
  const { source, closed } = observed(imageBytes(FRAME_RAW_BYTES));
  await assert.rejects(
    async () => {
      for await (const _ of compressFrames(source, { level: 19, pool })) void pool.close();
    },
    { code: 'image/worker-died' },
  );
  assert.ok(closed());
});

test('isMadeOf() is true for the frames of a file, and for nothing else', async (t) => {
  const pool = poolOf(t, 2);
  const { bytes, frames } = await compress(IMAGE, { pool });
  const flipped = Buffer.from(bytes);
  flipped.writeUInt8(flipped.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
  const is = async (data: Uint8Array, of: readonly Frame[]): Promise<boolean> => isMadeOf(inChunks(data, 300_007), of);
  assert.equal(await is(bytes, frames), true);
  for (const [data, of] of [
    [flipped, frames],
    [bytes.subarray(0, -1), frames],
    [Buffer.concat([bytes, Buffer.alloc(1)]), frames],
    [bytes, frames.slice(0, -1)],
    [bytes, frames.toReversed()],
    [Buffer.alloc(0), frames],
  ] as const) {
    assert.equal(await is(data, of), false);
  }
});

test('decompressFrame() stops with the code `aborted` when the signal has fired', async () => {
  const frame = { rawLengthBytes: 1, rawSha256: hash('sha256', '') };
  await assert.rejects(decompressFrame(Buffer.alloc(1), frame, 0, { signal: AbortSignal.abort() }), { code: 'aborted' });
});

for (const [what, length, count] of [
  ['one byte', 1, 1],
  ['exactly one frame', FRAME_RAW_BYTES, 1],
  ['one byte more than a frame', FRAME_RAW_BYTES + 1, 2],
] as const) {
  test(`compressFrames() makes ${count} of ${what}, and decompressZstd() undoes it`, async () => {
    const image = imageBytes(length);
    const { bytes, frames } = await compress(image);
    assert.equal(frames.length, count);
    assert.ok(image.equals(await collect(decompressZstd(inChunks(bytes, 1000), { maxBytes: length }))));
  });
}

test('compressFrames() makes frames that decompressFrame() reads at every level', async () => {
  const image = imageBytes(FRAME_RAW_BYTES);
  for (let level = 1; level <= 22; level += 3) {
    const { bytes, frames } = await compress(image, { level });
    const [frame] = frames;
    assert.ok(frame !== undefined && image.equals(await decompressFrame(bytes, frame, 0)));
  }
});

test('compressFrames() says image/empty when nothing comes in', async () => {
  await assert.rejects(collect(compressFrames(inChunks(Buffer.alloc(0), 1), { level: 3 })), { code: 'image/empty' });
});

test('compressFrames() throws a RangeError when the level does not exist', async () => {
  for (const options of [{ level: 0 }, { level: 23 }, { level: 1.5 }, { level: Number.NaN }]) {
    await assert.rejects(compress(IMAGE, options), RangeError);
  }
});

/** Counts what was asked of it, and whether it was told to stop. */
function observed(chunk: Uint8Array): {
  readonly source: AsyncIterable<Uint8Array>;
  readonly taken: () => number;
  readonly closed: () => boolean;
} {
  let taken = 0;
  let closed = false;
  async function* source(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (; taken < 1000; taken += 1) yield chunk;
    } finally {
      closed = true;
    }
  }
  return { source: source(), taken: () => taken, closed: () => closed };
}

test('compressFrames() stops with the code `aborted`, and lets go of its source, when the signal fires', async () => {
  const controller = new AbortController();
  const { source, taken, closed } = observed(imageBytes(FRAME_RAW_BYTES));
  await assert.rejects(
    async () => {
      for await (const _ of compressFrames(source, { level: 1, signal: controller.signal })) controller.abort();
    },
    { code: 'aborted' },
  );
  assert.ok(taken() < 8, `it took ${taken()} blocks`);
  assert.ok(closed());
});

test('compressFrames() reads no further than three blocks for a thread when nobody takes what it made', async (t) => {
  const { source, taken, closed } = observed(imageBytes(FRAME_RAW_BYTES));
  const frames = compressFrames(source, { level: 1, pool: poolOf(t, 1) });
  await frames.next();
  assert.ok(taken() <= 3, `it took ${taken()} blocks`);
  await frames.return();
  assert.ok(closed());
});

test('compressFrames() passes on what its source throws', async () => {
  const error = new Error('the disk is gone');
  async function* failing(): AsyncGenerator<Uint8Array, void, undefined> {
    yield imageBytes(FRAME_RAW_BYTES + 1);
    throw error;
  }
  assert.equal((await drain(compressFrames(failing(), { level: 1 }))).error, error);
});

test('decompressFrame() refuses what is not exactly one frame of that length and digest', async () => {
  const raw = imageBytes(1000);
  const bytes = zstdCompressSync(raw);
  const frame = { rawLengthBytes: raw.length, rawSha256: hash('sha256', raw) };
  assert.ok(raw.equals(await decompressFrame(bytes, frame, 0)));
  const wrong: readonly (readonly [Uint8Array, typeof frame])[] = [
    [bytes, { ...frame, rawLengthBytes: 999 }],
    [bytes, { ...frame, rawLengthBytes: 1001 }],
    [bytes, { ...frame, rawSha256: hash('sha256', bytes) }],
    [bytes.subarray(0, -1), frame],
    [bytes.subarray(1), frame],
    [Buffer.concat([bytes, bytes]), frame],
    [Buffer.alloc(0), frame],
    [Buffer.from('no zstd at all'), frame],
  ];
  for (const [data, expected] of wrong) {
    await assert.rejects(decompressFrame(data, expected, 7), { code: 'image/bad-frame', details: { frame: 7 }, message: /frame 7/u });
  }
});

test('decompressFrame() takes no memory for more than was signed when a frame holds a bomb', async () => {
  const bomb = zstdCompressSync(Buffer.alloc(64 << 20));
  const before = process.memoryUsage().arrayBuffers;
  await assert.rejects(decompressFrame(bomb, { rawLengthBytes: 1000, rawSha256: hash('sha256', '') }, 0), { code: 'image/bad-frame' });
  assert.ok(process.memoryUsage().arrayBuffers - before < 8 << 20);
});

test('decompressFrame() refuses a frame that wants a window beyond its raw bytes', async () => {
  const raw = imageBytes(4000);
  const bytes = zstdCompressSync(raw, { params: { [constants.ZSTD_c_windowLog]: 26, [constants.ZSTD_c_contentSizeFlag]: 0 } });
  // The window descriptor follows the magic number and the frame header descriptor (RFC 8878 §3.1.1.1.2).
  bytes.writeUInt8((26 - 10) << 3, 5);
  await assert.rejects(decompressFrame(bytes, { rawLengthBytes: raw.length, rawSha256: hash('sha256', raw) }, 0), {
    code: 'image/bad-frame',
  });
});

test('decompressZstd() reads what zstd writes', async (t) => {
  if (!requireTool(t, 'zstd')) return;
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'image');
  await writeFile(path, IMAGE);
  for (const options of [['-1'], ['-19'], ['--long=27'], ['--no-check'], ['--no-content-size', '-T2']]) {
    await run('zstd', ['-q', '-f', ...options, path, '-o', `${path}.zst`]);
    const compressed = await readFile(`${path}.zst`);
    assert.ok(IMAGE.equals(await collect(decompressZstd(inChunks(compressed, 65_537), { maxBytes: IMAGE.length }))), options.join(' '));
  }
});

test('decompressZstd() reads following and skippable frames, and chunks without bytes', async () => {
  const frame = zstdCompressSync(IMAGE.subarray(0, 5000));
  const skippable = Buffer.from('502a4d1803000000aabbcc', 'hex');
  const empty = Buffer.alloc(0);
  async function* source(): AsyncGenerator<Uint8Array, void, undefined> {
    yield* [empty, skippable, frame.subarray(0, 10), empty, frame.subarray(10), empty, skippable, frame];
  }
  const raw = await collect(decompressZstd(source(), { maxBytes: 10_000 }));
  assert.ok(raw.equals(Buffer.concat([IMAGE.subarray(0, 5000), IMAGE.subarray(0, 5000)])));
});

test('decompressZstd() says image/bad-zstd, after as many bytes as came out, when the data is cut or damaged', async () => {
  const bytes = zstdCompressSync(IMAGE, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  const flipped = Buffer.from(bytes);
  flipped.writeUInt8(flipped.readUInt8(flipped.length - 1) ^ 1, flipped.length - 1);
  for (const data of [
    Buffer.alloc(0),
    Buffer.from('PK\u0003\u0004 not zstd'),
    bytes.subarray(0, 3),
    bytes.subarray(0, 6),
    bytes.subarray(0, bytes.length / 2),
    bytes.subarray(0, -1),
    flipped,
  ]) {
    const { lengthBytes, error } = await drain(decompressZstd(inChunks(data, 100_000), { maxBytes: IMAGE.length }));
    assert.ok(isGantryError(error, 'image/bad-zstd'), `${data.length} bytes: ${String(error)}`);
    assert.equal(error.details.offset, lengthBytes);
  }
});

test('decompressZstd() hands out no more than maxBytes, and lets go of its source, when more would come', async () => {
  const bomb = zstdCompressSync(Buffer.alloc(64 << 20));
  const { source, closed } = observed(bomb);
  const { lengthBytes, error } = await drain(decompressZstd(source, { maxBytes: 3_000_000 }));
  assert.ok(isGantryError(error, 'image/too-long'));
  assert.deepEqual(error.details, { maxBytes: 3_000_000 });
  assert.ok(lengthBytes <= 3_000_000);
  await new Promise(setImmediate);
  assert.ok(closed());
});

test('decompressZstd() passes on what its source throws, and stops when the signal fires', async () => {
  const bytes = zstdCompressSync(IMAGE);
  const error = new Error('the network is gone');
  async function* failing(): AsyncGenerator<Uint8Array, void, undefined> {
    yield bytes.subarray(0, 200_000);
    throw error;
  }
  assert.equal((await drain(decompressZstd(failing(), { maxBytes: IMAGE.length }))).error, error);
  const options = { maxBytes: IMAGE.length, signal: AbortSignal.abort() };
  assert.ok(isGantryError((await drain(decompressZstd(inChunks(bytes, 1000), options))).error, 'aborted'));
});

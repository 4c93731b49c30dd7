/** LZ4 frames against the machine's own lz4, and damaged ones. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { isGantryError } from '../../lib/errors.ts';
import { compressLz4, decompressLz4 } from '../../lib/image/lz4.ts';
import { checksum32, streamChecksum32 } from '../../lib/image/xxh32.ts';
import { collect, drain, imageBytes, inChunks } from '../support/bytes.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { requireTool } from '../support/tools.ts';

const run = promisify(execFile);
/** Five whole blocks and a part of one. */
const IMAGE = imageBytes((5 << 20) + 12_345);
const EMPTY = Buffer.alloc(0);

async function compress(image: Uint8Array, chunkBytes = 300_007): Promise<Buffer> {
  return collect(compressLz4(inChunks(image, chunkBytes), { contentSizeBytes: image.length }));
}

async function decompress(bytes: Uint8Array, maxBytes = IMAGE.length): Promise<Buffer> {
  return collect(decompressLz4(inChunks(bytes, 65_537), { maxBytes }));
}

test('compressLz4() makes a file that lz4 tests and decompresses', async (t) => {
  if (!requireTool(t, 'lz4')) return;
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'image.lz4');
  await writeFile(path, await compress(IMAGE));
  await run('lz4', ['-t', '-q', path]);
  await run('lz4', ['-d', '-q', path, join(directory, 'image')]);
  assert.ok(IMAGE.equals(await readFile(join(directory, 'image'))));
});

test('compressLz4() writes independent 1 MiB blocks, the content size and a content checksum in the header', async () => {
  const bytes = await compress(IMAGE);
  assert.equal(bytes.toString('hex', 0, 4), '04224d18');
  // Version 01, independent blocks, no block checksum, content size, content checksum; blocks of 1 MiB.
  assert.equal(bytes.toString('hex', 4, 6), '6c60');
  assert.equal(bytes.readBigUInt64LE(6), BigInt(IMAGE.length));
});

test('compressLz4() makes the same bytes whatever the chunks are', async () => {
  assert.ok((await compress(IMAGE)).equals(await compress(IMAGE, IMAGE.length)));
});

test('compressLz4() stores a block as it is when it does not shrink, and decompressLz4() undoes it', async () => {
  for (const image of [Buffer.of(7), imageBytes(70_000).subarray(65_536), Buffer.alloc(5 << 20)]) {
    const bytes = await compress(image);
    assert.ok(bytes.length <= image.length + 15 + 4 + 8, `${image.length} bytes became ${bytes.length}`);
    assert.ok(image.equals(await decompress(bytes)));
  }
});

test('compressLz4() says image/empty when nothing comes in', async () => {
  await assert.rejects(collect(compressLz4(inChunks(EMPTY, 1), { contentSizeBytes: 0 })), { code: 'image/empty' });
});

test('compressLz4() stops with the code `aborted` when the signal fires', async () => {
  const controller = new AbortController();
  await assert.rejects(
    async () => {
      const options = { contentSizeBytes: IMAGE.length, signal: controller.signal };
      for await (const _ of compressLz4(inChunks(IMAGE, 1 << 20), options)) controller.abort();
    },
    { code: 'aborted' },
  );
});

test('decompressLz4() refuses a frame whose header was told another length than came', async () => {
  for (const contentSizeBytes of [IMAGE.length - 1, IMAGE.length + 1]) {
    const bytes = await collect(compressLz4(inChunks(IMAGE, 1 << 20), { contentSizeBytes }));
    await assert.rejects(decompress(bytes), { code: 'image/bad-lz4', message: /its header says/u });
  }
});

const OPTIONS: readonly (readonly string[])[] = [
  ['-1'],
  ['-9'],
  ['-1', '-B4'],
  ['-9', '-B4', '-BD'],
  ['-1', '-B5', '-BX'],
  ['-1', '-B6', '-BD', '-BX'],
  ['-9', '-B7', '-BD'],
  ['-1', '--no-frame-crc'],
  ['-1', '-B4', '-BD', '--no-frame-crc', '--content-size'],
  ['--fast=5', '--content-size'],
];
for (const options of OPTIONS) {
  test(`decompressLz4() reads what lz4 ${options.join(' ')} writes`, async (t) => {
    if (!requireTool(t, 'lz4')) return;
    const path = join(await temporaryDirectory(t), 'image');
    const image = IMAGE.subarray(0, 5 << 20);
    await writeFile(path, image);
    await run('lz4', ['-q', ...options, path, `${path}.lz4`]);
    assert.ok(image.equals(await decompress(await readFile(`${path}.lz4`))));
  });
}

test('decompressLz4() reads what lz4 writes of nothing', async (t) => {
  if (!requireTool(t, 'lz4')) return;
  const path = join(await temporaryDirectory(t), 'image');
  await writeFile(path, EMPTY);
  await run('lz4', ['-q', path, `${path}.lz4`]);
  assert.equal((await decompress(await readFile(`${path}.lz4`))).length, 0);
});

const SMALL = imageBytes(5000);
const FRAME = await compress(SMALL);
const SKIPPABLE = Buffer.from('5f2a4d1803000000aabbcc', 'hex');

test('decompressLz4() reads following and skippable frames', async () => {
  const bytes = Buffer.concat([SKIPPABLE, FRAME, SKIPPABLE, FRAME]);
  assert.ok(Buffer.concat([SMALL, SMALL]).equals(await collect(decompressLz4(inChunks(bytes, 1), { maxBytes: 10_000 }))));
  assert.equal((await decompress(SKIPPABLE)).length, 0);
});

test('decompressLz4() says image/bad-lz4 when the file is cut, wherever that is', async () => {
  const bytes = Buffer.concat([SKIPPABLE, FRAME]);
  for (let length = 0; length < bytes.length; length += 1) {
    // A whole skippable frame is a whole file.
    if (length === SKIPPABLE.length) continue;
    const { lengthBytes, error } = await drain(decompressLz4(inChunks(bytes.subarray(0, length), 64), { maxBytes: 10_000 }));
    assert.ok(isGantryError(error, 'image/bad-lz4'), `${length} bytes: ${String(error)}`);
    assert.ok(lengthBytes <= SMALL.length && error.details.offset <= length);
  }
});

/** A header with these flags and its right checksum, and what follows. */
async function frame(flags: number, sizes: number, rest: Uint8Array): Promise<Buffer> {
  const descriptor = Buffer.of(flags, sizes);
  const checksum = ((await checksum32(descriptor)) >>> 8) & 0xff;
  return Buffer.concat([Buffer.from('04224d18', 'hex'), descriptor, Buffer.of(checksum), rest]);
}

const END = Buffer.alloc(4);

test('decompressLz4() refuses headers that it does not know', async () => {
  assert.equal((await decompress(await frame(0b0110_0000, 0x40, END))).length, 0);
  for (const [flags, sizes, why] of [
    [0b1010_0000, 0x40, /version or flags/u],
    [0b0110_0010, 0x40, /version or flags/u],
    [0b0110_0000, 0x30, /version or flags/u],
    [0b0110_0000, 0xc0, /version or flags/u],
    [0b0110_0000, 0x41, /version or flags/u],
    [0b0110_0001, 0x40, /dictionary/u],
  ] as const) {
    await assert.rejects(decompress(await frame(flags, sizes, END)), { code: 'image/bad-lz4', message: why });
  }
  const wrong = await frame(0b0110_0000, 0x40, END);
  wrong.writeUInt8(wrong.readUInt8(6) ^ 1, 6);
  await assert.rejects(decompress(wrong), { code: 'image/bad-lz4', message: /checksum of its header/u });
  for (const [start, why] of [
    ['02214c18', /legacy format/u],
    ['28b52ffd', /magic number/u],
    ['00000000', /magic number/u],
  ] as const) {
    const bytes = Buffer.concat([Buffer.from(start, 'hex'), FRAME.subarray(4)]);
    await assert.rejects(decompress(bytes), { code: 'image/bad-lz4', details: { offset: 0 }, message: why });
  }
});

test('decompressLz4() refuses a block that is larger than the header says', async () => {
  const size = Buffer.alloc(4);
  size.writeUInt32LE((1 << 16) + 1);
  await assert.rejects(decompress(await frame(0b0110_0000, 0x40, Buffer.concat([size, IMAGE.subarray(0, (1 << 16) + 1), END]))), {
    code: 'image/bad-lz4',
    message: /65537 bytes; expected at most 65536/u,
  });
});

test('decompressLz4() refuses wrong checksums of a block and of the content', async () => {
  const block = Buffer.concat([Buffer.from('03000080', 'hex'), Buffer.from('abc')]);
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(await checksum32(Buffer.from('abc')));
  const bad = Buffer.alloc(4, 0xee);
  assert.equal((await decompress(await frame(0b0111_0100, 0x40, Buffer.concat([block, sum, END, sum])))).toString(), 'abc');
  await assert.rejects(decompress(await frame(0b0111_0100, 0x40, Buffer.concat([block, bad, END, sum]))), { message: /of a block/u });
  await assert.rejects(decompress(await frame(0b0111_0100, 0x40, Buffer.concat([block, sum, END, bad]))), { message: /of its content/u });
});

test('decompressLz4() hands out no more than maxBytes when more would come', async () => {
  const bomb = await compress(Buffer.alloc(20 << 20));
  assert.ok(bomb.length < 200_000);
  const { lengthBytes, error } = await drain(decompressLz4(inChunks(bomb, 1000), { maxBytes: 5_000_000 }));
  assert.ok(isGantryError(error, 'image/too-long'));
  assert.deepEqual(error.details, { maxBytes: 5_000_000 });
  assert.ok(lengthBytes <= 5_000_000);
});

test('decompressLz4() lets go of its source when its reader stops, and when the data is damaged', async () => {
  for (const bytes of [FRAME, Buffer.from('not lz4 at all')]) {
    let closed = false;
    const source = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      try {
        for (;;) yield bytes;
      } finally {
        closed = true;
      }
    };
    const raw = decompressLz4(source(), { maxBytes: 1 << 30 });
    await raw.next().catch(() => undefined);
    await raw.return();
    assert.ok(closed);
  }
});

test('checksum32() and streamChecksum32() compute xxHash32', async () => {
  assert.equal(await checksum32(EMPTY), 0x02cc5d05);
  assert.equal(await checksum32(Buffer.from('Nobody inspects the spammish repetition')), 0xe2293b2f);
  const [one, other] = [await streamChecksum32(), await streamChecksum32()];
  for await (const chunk of inChunks(IMAGE, 1_000_003)) {
    one.update(chunk);
    other.update(Buffer.from('x'));
  }
  assert.equal(one.digest(), await checksum32(IMAGE));
  assert.equal(other.digest(), await checksum32(Buffer.from('x'.repeat(Math.ceil(IMAGE.length / 1_000_003)))));
});

import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { blocksOf } from '../../lib/image/blocks.ts';
import { measure, measuring } from '../../lib/image/measure.ts';
import { collect, drain, imageBytes, inChunks } from '../support/bytes.ts';

const IMAGE = imageBytes(200_000);

test('measure() counts and hashes every byte', async () => {
  assert.deepEqual(await measure(inChunks(IMAGE, 777)), { lengthBytes: IMAGE.length, sha256: hash('sha256', IMAGE) });
  assert.deepEqual(await measure(inChunks(Buffer.alloc(0), 1)), { lengthBytes: 0, sha256: hash('sha256', '') });
});

test('measuring() passes the bytes on unchanged, and tells how many there were so far', async () => {
  const told: number[] = [];
  const measured = measuring(inChunks(IMAGE, 64 << 10), (bytes) => told.push(bytes));
  assert.ok(IMAGE.equals(await collect(measured.stream)));
  assert.deepEqual(told, [65_536, 131_072, 196_608, 200_000]);
  assert.deepEqual(measured.result(), { lengthBytes: IMAGE.length, sha256: hash('sha256', IMAGE) });
});

test('measuring() has no result before the stream has ended, nor after it failed', async () => {
  const unfinished = measuring(inChunks(IMAGE, 1000));
  await unfinished.stream.next();
  assert.throws(() => unfinished.result(), TypeError);
  await unfinished.stream.return();
  assert.throws(() => unfinished.result(), TypeError);
  async function* failing(): AsyncGenerator<Uint8Array, void, undefined> {
    yield IMAGE;
    throw new Error('the disk is gone');
  }
  const failed = measuring(failing());
  assert.match(String((await drain(failed.stream)).error), /the disk is gone/u);
  assert.throws(() => failed.result(), TypeError);
});

test('blocksOf() gives blocks of one size that are never written to again', async () => {
  const source = Buffer.alloc(70, 1);
  async function* reused(): AsyncGenerator<Uint8Array, void, undefined> {
    for (let value = 1; value <= 5; value += 1) yield source.fill(value);
  }
  const blocks: Uint8Array[] = [];
  for await (const block of blocksOf(reused(), 100)) blocks.push(block);
  assert.deepEqual(
    blocks.map(({ length }) => length),
    [100, 100, 100, 50],
  );
  const expected = Buffer.concat([1, 2, 3, 4, 5].map((value) => Buffer.alloc(70, value)));
  assert.ok(Buffer.concat(blocks).equals(expected));
});

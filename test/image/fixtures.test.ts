/** What the tools of the field wrote, read and rebuilt by ours: needs nothing but Node. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { decompressLz4 } from '../../lib/image/lz4.ts';
import { decompressZstd } from '../../lib/image/zstd.ts';
import { treeOf } from '../support/verity.ts';

const FOLDER = join(import.meta.dirname, '..', '..', 'fixtures', 'images');
const fixture = async (name: string): Promise<Buffer> => readFile(join(FOLDER, name));

async function* chunksOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += 1000) yield bytes.subarray(start, start + 1000);
}

async function collected(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('decompressZstd() reads what zstd -19 wrote', async () => {
  const raw = await fixture('root.ext4');
  assert.deepEqual(await collected(decompressZstd(chunksOf(await fixture('root.ext4.zst')), { maxBytes: raw.length })), raw);
});

test('decompressLz4() reads what lz4 -9 wrote', async () => {
  const raw = await fixture('root.ext4');
  assert.deepEqual(await collected(decompressLz4(chunksOf(await fixture('root.ext4.lz4')), { maxBytes: raw.length })), raw);
});

test('buildVerityTree() builds the tree that veritysetup built', async () => {
  const { hashImage, rootHash } = await treeOf(await fixture('root.ext4'), {
    salt: Buffer.from('0011223344556677', 'hex'),
    uuid: '00000000-0000-4000-8000-000000000001',
  });
  assert.equal(rootHash, (await fixture('root.verity.hash')).toString().trim());
  assert.deepEqual(hashImage, await fixture('root.verity'));
});

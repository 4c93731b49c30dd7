/** The machine's own veritysetup: what we build is what it formats, bit by bit, and what it verifies. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { buildVerityTree } from '../../lib/image/verity.ts';
import { imageBytes, inChunks } from '../support/bytes.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { requireTool } from '../support/tools.ts';

const run = promisify(execFile);
const UUID = '6fd8bd60-7fd2-4fca-b0b5-c7a0ae9b2d6f';
const SALT = Buffer.from('00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff', 'hex');
const BLOCK = 4096;

/** At the edges of a level: 128 digests fill a block, 128 × 128 two levels. */
const CASES: readonly (readonly [blocks: number, salt: Uint8Array])[] = [
  [1, SALT],
  [2, SALT],
  [127, SALT],
  [128, SALT],
  [129, SALT],
  [300, Buffer.alloc(0)],
  [300, Buffer.alloc(32)],
  [300, Buffer.alloc(1, 7)],
  [300, Buffer.alloc(256, 7)],
  [16_384, SALT],
  [16_385, SALT],
];

for (const [blocks, salt] of CASES) {
  test(`buildVerityTree() builds what veritysetup formats when there are ${blocks} blocks and ${salt.length} bytes of salt`, async (t) => {
    if (!requireTool(t, 'veritysetup')) return;
    const directory = await temporaryDirectory(t);
    const [imagePath, theirs] = [join(directory, 'image'), join(directory, 'theirs')];
    const image = imageBytes(blocks * BLOCK);
    await writeFile(imagePath, image);
    const hex = salt.length === 0 ? '-' : Buffer.from(salt).toString('hex');
    const { stdout } = await run('veritysetup', ['format', imagePath, theirs, '--salt', hex, '--uuid', UUID]);
    const tree = await buildVerityTree(inChunks(image, 100_000), { salt, uuid: UUID });
    assert.equal(tree.rootHash, /Root hash:\s+([0-9a-f]{64})/u.exec(stdout)?.[1]);
    assert.equal(tree.dataBlocks, blocks);
    const ours = Buffer.concat(tree.image);
    assert.ok(ours.equals(await readFile(theirs)), 'the hash images differ');
    const path = join(directory, 'ours');
    await writeFile(path, ours);
    await run('veritysetup', ['verify', imagePath, path, tree.rootHash]);
  });
}

test('buildVerityTree() gives the same tree whatever the chunks are', async () => {
  const image = imageBytes(200 * BLOCK);
  const one = await buildVerityTree(inChunks(image, 1000), { salt: SALT, uuid: UUID });
  assert.deepEqual(await buildVerityTree(inChunks(image, image.length), { salt: SALT, uuid: UUID }), one);
});

test('buildVerityTree() says image/not-blocks or image/empty when the image is not whole blocks', async () => {
  for (const length of [1, BLOCK - 1, BLOCK + 1, 128 * BLOCK + 512]) {
    await assert.rejects(buildVerityTree(inChunks(Buffer.alloc(length), 5000), { salt: SALT, uuid: UUID }), {
      code: 'image/not-blocks',
      details: { blockBytes: BLOCK },
    });
  }
  await assert.rejects(buildVerityTree(inChunks(Buffer.alloc(0), 1), { salt: SALT, uuid: UUID }), { code: 'image/empty' });
});

test('buildVerityTree() throws a RangeError when the salt or the UUID cannot stand in a superblock', async () => {
  const image = Buffer.alloc(BLOCK);
  await assert.rejects(buildVerityTree(inChunks(image, BLOCK), { salt: Buffer.alloc(257), uuid: UUID }), RangeError);
  for (const uuid of ['', 'x', UUID.toUpperCase(), UUID.replaceAll('-', ''), `${UUID}0`]) {
    await assert.rejects(buildVerityTree(inChunks(image, BLOCK), { salt: SALT, uuid }), RangeError);
  }
});

/** The machine's own veritysetup: what we build is what it formats, bit by bit, and what it verifies. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { buildVerityTree, verityIdentityOf } from '../../lib/image/verity.ts';
import { imageBytes, inChunks } from '../support/bytes.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { requireTool } from '../support/tools.ts';
import { SALT, treeOf, UUID } from '../support/verity.ts';

const run = promisify(execFile);
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
    const tree = await treeOf(image, { salt });
    assert.equal(tree.rootHash, /Root hash:\s+([0-9a-f]{64})/u.exec(stdout)?.[1]);
    assert.equal(tree.superblock.dataBlocks, blocks);
    assert.ok(tree.hashImage.equals(await readFile(theirs)), 'the hash images differ');
    assert.equal(tree.treeBytes, tree.hashImage.length);
    const path = join(directory, 'ours');
    await writeFile(path, tree.hashImage);
    await run('veritysetup', ['verify', imagePath, path, tree.rootHash]);
  });
}

test('buildVerityTree() gives the same tree whatever the chunks are', async () => {
  const image = imageBytes(600 * BLOCK + 12 * BLOCK);
  const one = await treeOf(image, { chunkBytes: 1000 });
  assert.deepEqual(await treeOf(image, { chunkBytes: image.length }), one);
});

test('buildVerityTree() says image/not-blocks or image/empty before it reads an image that is not whole blocks', async () => {
  const options = (imageBytesThere: number): Parameters<typeof buildVerityTree>[1] => ({
    salt: SALT,
    uuid: UUID,
    imageBytes: imageBytesThere,
  });
  const nothing = async (): Promise<void> => assert.fail('it wrote something');
  for (const length of [1, BLOCK - 1, BLOCK + 1, 128 * BLOCK + 512]) {
    await assert.rejects(buildVerityTree(inChunks(Buffer.alloc(length), 5000), options(length), nothing), {
      code: 'image/not-blocks',
      details: { blockBytes: BLOCK },
    });
  }
  await assert.rejects(buildVerityTree(inChunks(Buffer.alloc(0), 1), options(0), nothing), { code: 'image/empty' });
});

test('buildVerityTree() says image/wrong-length when more or less comes than was announced', async () => {
  const options = { salt: SALT, uuid: UUID, imageBytes: 300 * BLOCK };
  for (const receivedBytes of [0, BLOCK, 300 * BLOCK - 1, 300 * BLOCK + 1, 301 * BLOCK]) {
    await assert.rejects(
      buildVerityTree(inChunks(Buffer.alloc(receivedBytes), 301 * BLOCK), options, async () => undefined),
      { code: 'image/wrong-length', details: { expectedBytes: 300 * BLOCK, receivedBytes } },
    );
  }
});

test('buildVerityTree() stops when it is told to', async () => {
  const controller = new AbortController();
  controller.abort();
  const options = { salt: SALT, uuid: UUID, imageBytes: 300 * BLOCK, signal: controller.signal };
  await assert.rejects(
    buildVerityTree(inChunks(Buffer.alloc(300 * BLOCK), BLOCK), options, async () => undefined),
    { code: 'aborted' },
  );
});

test('buildVerityTree() throws a RangeError when the salt or the UUID cannot stand in a superblock', async () => {
  const image = Buffer.alloc(BLOCK);
  await assert.rejects(treeOf(image, { salt: Buffer.alloc(257) }), RangeError);
  for (const uuid of ['', 'x', UUID.toUpperCase(), UUID.replaceAll('-', ''), `${UUID}0`]) {
    await assert.rejects(treeOf(image, { uuid }), RangeError);
  }
});

test('verityIdentityOf() gives a product the salt that its documentation computes, and each product another one', () => {
  const { salt, uuid } = verityIdentityOf('my-os/metal/x86_64');
  // printf 'gantry verity salt 1\nmy-os/metal/x86_64\n' | sha256sum
  assert.equal(Buffer.from(salt).toString('hex'), 'b64d84fd6b1dd8a85ec2b205745f247ae37de5dcb592d9c5f4e5a4297118ac3e');
  assert.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u);
  assert.deepEqual(verityIdentityOf('my-os/metal/x86_64'), { salt, uuid });
  assert.notDeepEqual(verityIdentityOf('my-os/metal/aarch64'), { salt, uuid });
});

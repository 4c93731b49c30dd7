/** Which part of an image and its hash image is wrong, and where. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { readVerityTree, VerityChecker, type CheckOptions } from '../../lib/image/verity-verify.ts';
import { imageBytes, inChunks } from '../support/bytes.ts';
import { SALT, treeOf, UUID } from '../support/verity.ts';

const BLOCK = 4096;
/** Three levels: 1 block, 3 blocks, 258 blocks. */
const BLOCKS = 33_000;

const big: Record<'image' | 'hashImage', Buffer> & { rootHash: string } = {
  image: Buffer.alloc(0),
  hashImage: Buffer.alloc(0),
  rootHash: '',
};
test.before(async () => {
  big.image = imageBytes(BLOCKS * BLOCK);
  Object.assign(big, await treeOf(big.image));
});

async function verify(image: Buffer, hashImage: Buffer, options: Partial<Pick<CheckOptions, 'rootHash' | 'stopAt'>> = {}): Promise<string> {
  const tree = await readVerityTree(inChunks(hashImage, 100_000), options.rootHash);
  const checker = new VerityChecker({ tree, hashImage: inChunks(hashImage, 5000), stopAt: 'end', ...options });
  for await (const chunk of inChunks(image, 1_000_000)) await checker.write(chunk);
  return checker.end();
}

function changed(bytes: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  change(copy);
  return copy;
}

const flip =
  (at: number) =>
  (bytes: Buffer): void => {
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  };

for (const blocks of [1, 2, 127, 128, 129, 300, 16_384, 16_385]) {
  test(`VerityChecker accepts the tree of ${blocks} blocks, and finds any that was changed`, async () => {
    const image = imageBytes(blocks * BLOCK);
    const { hashImage, rootHash } = await treeOf(image);
    assert.equal(await verify(image, hashImage), rootHash);
    assert.equal(await verify(image, Buffer.concat([hashImage, Buffer.alloc(BLOCK, 1)]), { rootHash }), rootHash);
    const block = Math.floor(blocks / 2);
    const wrong = verify(changed(image, flip(block * BLOCK + 17)), hashImage, { rootHash });
    // One block has no tree: only the root hash shows that it was changed.
    const details = blocks === 1 ? { part: 'root-hash' } : { part: 'data', block, wrong: 1 };
    await assert.rejects(wrong, { code: 'image/verity-mismatch', details });
  });
}

test('VerityChecker says how many blocks differ, or stops at the first one', async () => {
  const image = changed(big.image, (copy) => [400, 401, 32_999].forEach((block) => flip(block * BLOCK)(copy)));
  await assert.rejects(verify(image, big.hashImage), {
    message: /block 400 of the data, at byte 1638400, does not match its digest, nor do 2 others; expected/u,
    details: { part: 'data', block: 400, wrong: 3 },
  });
  await assert.rejects(verify(image, big.hashImage, { stopAt: 'first' }), { details: { part: 'data', block: 400 } });
  await assert.rejects(verify(randomBytes(300 * BLOCK), (await treeOf(imageBytes(300 * BLOCK))).hashImage), {
    message: /and none of 300 does/u,
  });
});

test('readVerityTree() names the block of the tree that does not fit, from the top down', async () => {
  const level = (number: number, block: number): number => (number === 2 ? 1 : number === 1 ? 2 + block : 5 + block) * BLOCK;
  for (const [number, block] of [
    [1, 2],
    [0, 0],
    [0, 257],
  ] as const) {
    const hashImage = changed(big.hashImage, flip(level(number, block) + 5));
    await assert.rejects(verify(big.image, hashImage), {
      code: 'image/verity-mismatch',
      message: new RegExp(`block ${block} of level ${number} of the tree does not match the level above it`, 'u'),
      details: { part: 'tree', level: number, block },
    });
  }
  // The top block is what the root hash is of: a change shows below it, or in the root hash that was asked for.
  const hashImage = changed(big.hashImage, flip(level(2, 0)));
  await assert.rejects(verify(big.image, hashImage), { details: { part: 'tree', level: 1, block: 0 } });
  await assert.rejects(verify(big.image, hashImage, { rootHash: big.rootHash }), { details: { part: 'root-hash' } });
});

test('readVerityTree() refuses what stands behind the last digest of a level, as the kernel’s own tool does', async () => {
  const { hashImage } = await treeOf(imageBytes(5 * BLOCK));
  await assert.rejects(readVerityTree(inChunks(changed(hashImage, flip(BLOCK + 5 * 32)), BLOCK)), {
    code: 'image/verity-mismatch',
    message: /block 0 of level 0 of the tree has something behind its last digest/u,
  });
});

test('readVerityTree() says image/bad-verity for a hash image that is cut anywhere', async () => {
  const { hashImage } = await treeOf(imageBytes(300 * BLOCK));
  for (const lengthBytes of [0, 1, 511, 512, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, hashImage.length - 1]) {
    await assert.rejects(readVerityTree(inChunks(hashImage.subarray(0, lengthBytes), BLOCK)), {
      code: 'image/bad-verity',
      details: { at: 'length' },
    });
  }
});

/** A lie about each member of the superblock, and what is said of it. */
const LIES: Readonly<Record<string, readonly [lie: (superblock: Buffer) => void, code: string, details: object]>> = {
  signature: [flip(0), 'image/bad-verity', { at: 'signature' }],
  'all of it, zeros': [(bytes) => bytes.fill(0, 0, BLOCK), 'image/bad-verity', { at: 'signature' }],
  version: [(bytes) => bytes.writeUInt32LE(2, 8), 'image/bad-verity', { at: 'version' }],
  'hash type': [(bytes) => bytes.writeUInt32LE(0, 12), 'image/bad-verity', { at: 'hash type' }],
  hash: [(bytes) => bytes.write('sha512', 32), 'image/bad-verity', { at: 'hash' }],
  'hash, behind its end': [(bytes) => bytes.write('x', 50), 'image/bad-verity', { at: 'hash' }],
  'data block size': [(bytes) => bytes.writeUInt32LE(1024, 64), 'image/bad-verity', { at: 'data block size' }],
  'hash block size': [(bytes) => bytes.writeUInt32LE(0, 68), 'image/bad-verity', { at: 'hash block size' }],
  'no data blocks': [(bytes) => bytes.writeBigUInt64LE(0n, 72), 'image/bad-verity', { at: 'data blocks' }],
  'data blocks beyond all measure': [(bytes) => bytes.writeBigUInt64LE(2n ** 63n, 72), 'image/bad-verity', { at: 'data blocks' }],
  'more data blocks': [(bytes) => bytes.writeBigUInt64LE(500n, 72), 'image/bad-verity', { at: 'length' }],
  'one more data block': [(bytes) => bytes.writeBigUInt64LE(301n, 72), 'image/verity-mismatch', { part: 'superblock' }],
  'one data block less': [
    (bytes) => bytes.writeBigUInt64LE(299n, 72),
    'image/verity-mismatch',
    // The digest of the block that it denies stands behind those that it admits.
    { part: 'tree', level: 0, block: 2 },
  ],
  'fewer data blocks': [(bytes) => bytes.writeBigUInt64LE(128n, 72), 'image/verity-mismatch', { part: 'superblock' }],
  'salt too long': [(bytes) => bytes.writeUInt16LE(257, 80), 'image/bad-verity', { at: 'salt' }],
  'salt too short': [(bytes) => bytes.writeUInt16LE(31, 80), 'image/bad-verity', { at: 'padding' }],
  'salt longer': [(bytes) => bytes.writeUInt16LE(33, 80), 'image/verity-mismatch', { part: 'tree', level: 0, block: 0 }],
  'another salt': [flip(88), 'image/verity-mismatch', { part: 'tree', level: 0, block: 0 }],
  'first padding': [flip(85), 'image/bad-verity', { at: 'padding' }],
  'last padding': [flip(511), 'image/bad-verity', { at: 'padding' }],
};

for (const [what, [lie, code, details]] of Object.entries(LIES)) {
  test(`a superblock that lies about its ${what} is refused with ${code}`, async () => {
    const image = imageBytes(300 * BLOCK);
    const { hashImage } = await treeOf(image);
    await assert.rejects(verify(image, changed(hashImage, lie), { stopAt: 'first' }), { code, details });
  });
}

test('a superblock that lies about what nothing depends on is accepted: the UUID, and the bytes behind it', async () => {
  const image = imageBytes(300 * BLOCK);
  const { hashImage, rootHash } = await treeOf(image);
  const other = changed(hashImage, (bytes) => [16, 600].forEach((at) => flip(at)(bytes)));
  assert.equal(await verify(image, other), rootHash);
  const { superblock } = await readVerityTree(inChunks(other, BLOCK));
  assert.notEqual(superblock.uuid, UUID);
  assert.deepEqual(superblock.salt, new Uint8Array(SALT));
});

test('VerityChecker refuses an image that is shorter or longer than its tree says, and one that is no whole blocks', async () => {
  const image = imageBytes(300 * BLOCK);
  const { hashImage } = await treeOf(image);
  const mismatch = { code: 'image/verity-mismatch', details: { part: 'superblock' } };
  await assert.rejects(verify(image.subarray(0, 299 * BLOCK), hashImage), mismatch);
  await assert.rejects(verify(Buffer.concat([image, image]), hashImage), mismatch);
  await assert.rejects(verify(image.subarray(0, 299 * BLOCK + 1), hashImage), { code: 'image/not-blocks' });
  await assert.rejects(verify(Buffer.alloc(0), hashImage), { code: 'image/empty' });
});

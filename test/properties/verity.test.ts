import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { GantryError } from '../../lib/errors.ts';
import { encodeSuperblock, MAX_DATA_BLOCKS, parseSuperblock } from '../../lib/image/verity-superblock.ts';
import { readVerityTree, VerityChecker } from '../../lib/image/verity-verify.ts';
import { imageBytes, inChunks } from '../support/bytes.ts';
import { treeOf, UUID } from '../support/verity.ts';

const BLOCK = 4096;
const superblock = fc.record({
  salt: fc.uint8Array({ maxLength: 256 }),
  uuid: fc.uuid({ version: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] }),
  dataBlocks: fc.integer({ min: 1, max: MAX_DATA_BLOCKS }),
});

test('parseSuperblock() gives back any superblock that encodeSuperblock() wrote', () => {
  fc.assert(fc.property(superblock, (one) => assert.deepEqual(parseSuperblock(encodeSuperblock(one)), { ...one })));
});

test('parseSuperblock() gives a description that writes the same bytes, or image/bad-verity, for any change to a superblock', () => {
  const change = fc.array(fc.tuple(fc.integer({ min: 0, max: 511 }), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(superblock, change, (one, writes) => {
      const bytes = Buffer.from(encodeSuperblock(one));
      for (const [at, value] of writes) bytes.writeUInt8(value, at);
      try {
        assert.deepEqual(Buffer.from(encodeSuperblock(parseSuperblock(bytes))), bytes);
      } catch (error) {
        assert.ok(error instanceof GantryError && error.code === 'image/bad-verity', String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

test('readVerityTree() describes or refuses any bytes with an error of ours', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 3 * BLOCK }), fc.boolean(), async (bytes, isLike) => {
      if (isLike) bytes.set(encodeSuperblock({ salt: new Uint8Array(8), uuid: UUID, dataBlocks: 3 }).subarray(0, bytes.length));
      await readVerityTree(inChunks(bytes, 1000)).catch((error: unknown) => assert.ok(error instanceof GantryError, String(error)));
    }),
  );
});

/** The definition, without streams, pieces or threads. */
function rootHashOf(image: Uint8Array, salt: Uint8Array): string {
  let digests: Buffer = Buffer.from(image);
  do {
    const blocks = Array.from({ length: Math.ceil(digests.length / BLOCK) }, (_, at) => digests.subarray(at * BLOCK, (at + 1) * BLOCK));
    digests = Buffer.concat(
      blocks.map((block) => hash('sha256', Buffer.concat([salt, block, Buffer.alloc(BLOCK - block.length)]), 'buffer')),
    );
  } while (digests.length > 32);
  return digests.toString('hex');
}

test('buildVerityTree() has the root hash of the definition, and VerityChecker accepts exactly what it was built from', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 700 }),
      fc.uint8Array({ maxLength: 256 }),
      fc.nat(),
      fc.nat(),
      async (blocks, salt, flippedByte, flippedTreeByte) => {
        const image = imageBytes(blocks * BLOCK, String(blocks));
        const { hashImage, rootHash } = await treeOf(image, { salt });
        assert.equal(rootHash, rootHashOf(image, salt));
        const verify = async (): Promise<string> => {
          const tree = await readVerityTree(inChunks(hashImage, 3000), rootHash);
          const checker = new VerityChecker({ tree, hashImage: inChunks(hashImage, 9000), rootHash, stopAt: 'first' });
          await checker.write(image);
          return checker.end();
        };
        assert.equal(await verify(), rootHash);
        const at = flippedByte % image.length;
        image.writeUInt8(image.readUInt8(at) ^ 0x80, at);
        await assert.rejects(verify(), { code: 'image/verity-mismatch' });
        image.writeUInt8(image.readUInt8(at) ^ 0x80, at);
        if (hashImage.length === BLOCK) return;
        const treeAt = BLOCK + (flippedTreeByte % (hashImage.length - BLOCK));
        hashImage.writeUInt8(hashImage.readUInt8(treeAt) ^ 0x80, treeAt);
        await assert.rejects(verify(), { code: 'image/verity-mismatch' });
      },
    ),
    { numRuns: 40 },
  );
});

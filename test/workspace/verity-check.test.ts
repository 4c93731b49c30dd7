/** `gantry release add` finds what a host would find by not booting: each image of a release, made for another one. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { decodeFrameTable } from '../../lib/image/frame-table.ts';
import { compressLz4 } from '../../lib/image/lz4.ts';
import { addRelease, checkRelease } from '../../lib/publish/release.ts';
import { compressImage } from '../../lib/workspace/compress-image.ts';
import type { VerityMark } from '../../lib/workspace/image-cache.ts';
import { objectPath } from '../../lib/workspace/objects.ts';
import type { ReleaseInput } from '../../lib/workspace/prepare-release.ts';
import type { Workspace } from '../../lib/workspace/workspace.ts';
import { collect, inChunks } from '../support/bytes.ts';
import { drafts } from '../support/desk.ts';
import { engineerWithRoot, METAL, writeImages } from '../support/engineer.ts';
import { SALT, treeOf, type TreeInMemory } from '../support/verity.ts';

const BLOCK = 4096;
const FIXTURES = join(import.meta.dirname, '..', '..', 'fixtures', 'images');

interface Scene {
  readonly workspace: Workspace;
  readonly images: Readonly<Record<'boot' | 'root' | 'hash', string>>;
  readonly tree: TreeInMemory;
  readonly add: (more?: Partial<ReleaseInput>) => ReturnType<typeof addRelease>;
  /** Fails unless it is refused, before the root image is read or afterwards, and nothing is drafted. */
  readonly refused: (expected: object, when: 'at once' | 'afterwards', more?: Partial<ReleaseInput>) => Promise<void>;
}

async function scene(t: TestContext): Promise<Scene> {
  const engineer = await engineerWithRoot(t);
  const { workspace, store } = engineer;
  const images = await writeImages(engineer.directory);
  const input = (more: Partial<ReleaseInput> = {}): ReleaseInput & { readonly now: Date } => ({
    repository: METAL,
    version: '1.0.0',
    images,
    compression: 'zstd',
    level: 1,
    now: engineer.now,
    ...more,
  });
  return {
    workspace,
    images,
    tree: await treeOf(await readFile(images.root)),
    add: async (more) => addRelease(workspace, store, input(more)),
    async refused(expected, when, more) {
      const before = await drafts(workspace.directory);
      if (when === 'at once') await assert.rejects(checkRelease(workspace, store, input(more)), expected);
      else await checkRelease(workspace, store, input(more));
      await assert.rejects(addRelease(workspace, store, input(more)), expected);
      assert.deepEqual(await drafts(workspace.directory), before);
    },
  };
}

/** As Bottlerocket's build writes it into grub.cfg. */
function grub({ rootHash, superblock: { salt, dataBlocks } }: TreeInMemory, change: (text: string) => string = (text) => text): Buffer {
  const target = `verity 1 PARTUUID=$boot_uuid/PARTNROFF=1 PARTUUID=$boot_uuid/PARTNROFF=2 4096 4096 ${dataBlocks} 1 sha256 ${rootHash} ${Buffer.from(salt).toString('hex')} 2 restart_on_corruption ignore_zero_blocks`;
  return Buffer.concat([
    randomBytes(5000),
    Buffer.from(change(`dm-mod.create="root,,,ro,0 ${dataBlocks * 8} ${target}"`)),
    randomBytes(5000),
  ]);
}

test('addRelease() accepts images that belong together, whatever they come as, and says the root hash', async (t) => {
  const { workspace, images, tree, add } = await scene(t);
  const [boot, root, hash] = await Promise.all([images.boot, images.root, images.hash].map(async (path) => readFile(path)));
  assert.ok(boot !== undefined && root !== undefined && hash !== undefined);
  await writeFile(`${images.root}.lz4`, await collect(compressLz4(inChunks(root, 1 << 16), { contentSizeBytes: root.length })));
  await writeFile(`${images.hash}.zst`, zstdCompressSync(hash));
  await writeFile(`${images.boot}.zst`, zstdCompressSync(boot));
  const compressed = { boot: `${images.boot}.zst`, root: `${images.root}.lz4`, hash: `${images.hash}.zst` };
  for (const [version, given, compression] of [
    ['1.0.0', images, 'both'],
    ['1.1.0', compressed, 'zstd'],
    ['1.2.0', compressed, 'lz4'],
  ] as const) {
    const { release, warnings } = await add({ version, images: given, compression });
    assert.equal(release.rootHash, tree.rootHash);
    const table = release.targets.find(({ path }) => path.endsWith('root.ext4.zst.frames'));
    assert.equal(table === undefined, compression === 'lz4');
    if (table !== undefined) {
      const { verity } = decodeFrameTable(await readFile(objectPath(workspace, table.object.sha256)));
      assert.deepEqual(verity, { ...tree.superblock, salt: new Uint8Array(SALT), rootHash: tree.rootHash });
    }
    assert.deepEqual(
      warnings.filter(({ rule }) => rule === 'boot-root-hash'),
      [],
    );
  }
});

test('addRelease() accepts the tree and the ext4 image that the tools of the field made', async (t) => {
  const { images, add } = await scene(t);
  const rootHash = (await readFile(join(FIXTURES, 'root.verity.hash'), 'utf8')).trim();
  await writeFile(images.boot, `linux /vmlinuz roothash=${rootHash}`);
  const { release } = await add({ images: { ...images, root: join(FIXTURES, 'root.ext4.zst'), hash: join(FIXTURES, 'root.verity') } });
  assert.equal(release.rootHash, rootHash);
});

test('addRelease() refuses a root image with one block that is another one, in any form', async (t) => {
  const { images, refused } = await scene(t);
  const root = await readFile(images.root);
  root.writeUInt8(root.readUInt8(300 * BLOCK) ^ 1, 300 * BLOCK);
  const expected = { code: 'image/verity-mismatch', details: { part: 'data', block: 300 } };
  await writeFile(images.root, root);
  await refused(expected, 'afterwards');
  await refused(expected, 'afterwards', { compression: 'both' });
  await writeFile(images.root, await collect(compressLz4(inChunks(root, 1 << 16), { contentSizeBytes: root.length })));
  await refused(expected, 'afterwards', { compression: 'lz4' });
});

test('addRelease() refuses a root image of another size at once', async (t) => {
  const { images, refused } = await scene(t);
  const root = await readFile(images.root);
  await writeFile(images.root, root.subarray(0, -BLOCK));
  await refused({ code: 'image/verity-mismatch', message: /"[^"]*root\.img": the image has 512 blocks; expected the 513 /u }, 'at once');
  await writeFile(images.root, root.subarray(0, -1));
  await refused(
    { code: 'image/not-blocks', message: /^Cannot release "[^"]*root\.img" as the root image: it has 2101247 bytes/u },
    'at once',
  );
});

test('addRelease() refuses a hash image that is none, is cut, or is of another root image or salt', async (t) => {
  const { images, tree, refused } = await scene(t);
  const hash = async (bytes: Uint8Array): Promise<void> => writeFile(images.hash, bytes);
  for (const bytes of [new Uint8Array(1), new Uint8Array(16 << 10), randomBytes(16 << 10), tree.hashImage.subarray(0, -1)]) {
    await hash(bytes);
    await refused(
      { code: 'image/bad-verity', message: /^Cannot release "[^"]*hash\.img" as the hash image of "[^"]*root\.img": / },
      'at once',
    );
  }
  const otherSalt = Buffer.from(tree.hashImage);
  otherSalt.writeUInt8(SALT.readUInt8(0) ^ 1, 88);
  await hash(otherSalt);
  await refused({ code: 'image/verity-mismatch', details: { part: 'tree', level: 0, block: 0 } }, 'at once');
  const other = await treeOf(randomBytes(513 * BLOCK));
  await hash(other.hashImage);
  await refused({ code: 'image/root-hash', details: { path: images.boot, expected: other.rootHash, found: [tree.rootHash] } }, 'at once');
  await writeFile(images.boot, grub(other));
  await refused({ code: 'image/verity-mismatch', details: { part: 'data', block: 0 } }, 'afterwards');
});

test('addRelease() refuses a boot image that boots another root image, or another tree of it', async (t) => {
  const { images, tree, refused, add } = await scene(t);
  const { rootHash } = tree;
  const salt = SALT.toString('hex');
  for (const [wrong, problem] of [
    [(text: string) => text.replace(rootHash, 'ab'.repeat(32)), new RegExp(`the root hash (?:ab){32}; expected ${rootHash}$`, 'u')],
    [(text: string) => text.replace(salt, '00'), new RegExp(`the salt 00; expected ${salt}$`, 'u')],
    [(text: string) => text.replace(` ${salt}`, ' -'), /the salt -; expected/u],
    [(text: string) => text.replace(' 513 1 ', ' 512 1 '), /the parameters "4096 4096 512 1 sha256"; expected "4096 4096 513 1 sha256"$/u],
    [(text: string) => text.replace(' 513 1 ', ' 513 0 '), /the parameters "4096 4096 513 0 sha256"/u],
    [(text: string) => text.replace('sha256', 'sha512'), /the parameters "4096 4096 513 1 sha512"/u],
  ] as const) {
    await writeFile(images.boot, grub(tree, wrong));
    await refused({ code: 'image/root-hash', message: problem }, 'at once');
    await writeFile(images.boot, zstdCompressSync(grub(tree, wrong)));
    await refused({ code: 'image/root-hash', message: problem }, 'at once');
  }
  await writeFile(images.boot, grub(tree));
  await add();
});

test('addRelease() warns when it finds no root hash in the boot image, or more than one', async (t) => {
  const { images, tree, add } = await scene(t);
  const other = 'ab'.repeat(32);
  const warned = async (version: string, boot: Buffer): Promise<readonly string[]> => {
    await writeFile(images.boot, boot);
    const { warnings } = await add({ version });
    return warnings.flatMap(({ rule, message }) => (rule === 'boot-root-hash' ? [message] : []));
  };
  assert.deepEqual(await warned('1.0.0', randomBytes(1000)), [
    `no root hash is found in ${JSON.stringify(images.boot)}; expected ${tree.rootHash}`,
  ]);
  assert.match(
    (await warned('1.1.0', Buffer.concat([grub(tree, (text) => text.replace(tree.rootHash, other)), grub(tree)]))).join('\n'),
    new RegExp(`names the root hash ${tree.rootHash}, and elsewhere ${other}; expected one$`, 'u'),
  );
  assert.deepEqual(await warned('1.2.0', Buffer.from(`{"verity": "${tree.rootHash}"}`)), []);
});

test('addRelease() looks at nothing of this when it is told not to', async (t) => {
  const { images, add } = await scene(t);
  for (const path of Object.values(images)) await writeFile(path, randomBytes(5000));
  const { release, warnings } = await add({ verity: 'skip' });
  assert.equal(release.rootHash, undefined);
  assert.ok(!warnings.some(({ rule }) => rule === 'boot-root-hash'));
});

test('addRelease() takes a root image of one block, which has no tree', async (t) => {
  const { images, add, refused } = await scene(t);
  const root = randomBytes(BLOCK);
  const tree = await treeOf(root);
  await writeFile(images.root, root);
  await writeFile(images.hash, tree.hashImage);
  await writeFile(
    images.boot,
    grub(tree, (text) => text.replace(tree.rootHash, 'ab'.repeat(32))),
  );
  await refused({ code: 'image/root-hash' }, 'at once');
  await writeFile(images.boot, grub(tree));
  assert.equal((await add()).release.rootHash, tree.rootHash);
});

test('addRelease() compares a root image that is in the cache with another hash image, too', async (t) => {
  const { images, tree, add, refused } = await scene(t);
  await add();
  const other = await treeOf(randomBytes(513 * BLOCK));
  await writeFile(images.hash, other.hashImage);
  await writeFile(images.boot, grub(other));
  await refused({ code: 'image/verity-mismatch', details: { part: 'data', block: 0 } }, 'afterwards', { version: '1.1.0' });
  // Compressed, its length is not known before it was read; the last digest of the block more is zeros, as what follows the last one.
  const more = Buffer.from(tree.hashImage);
  more.writeBigUInt64LE(514n, 72);
  await writeFile(images.hash, more);
  await writeFile(images.boot, grub({ ...tree, superblock: { ...tree.superblock, dataBlocks: 514 } }));
  const root = `${images.root}.zst`;
  await writeFile(root, zstdCompressSync(await readFile(images.root)));
  const given = { version: '1.1.0', images: { ...images, root } };
  await refused({ code: 'image/verity-mismatch', details: { part: 'superblock' } }, 'afterwards', given);
});

test('compressImage() shows an image that is in the cache only to somebody who learns something new of it', async (t) => {
  const { workspace, directory } = await engineerWithRoot(t);
  const { root } = await writeImages(directory);
  const seen: number[] = [];
  const compress = async (mark: VerityMark): Promise<boolean> => {
    async function* inspect(raw: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
      let bytes = 0;
      for await (const chunk of raw) {
        bytes += chunk.length;
        yield chunk;
      }
      seen.push(bytes);
    }
    const options = { image: 'root', source: root, compression: 'zst', level: 1, inspection: { mark, inspect } } as const;
    return (await compressImage(workspace, options)).reused;
  };
  const one = { rootHash: 'ab'.repeat(32), salt: '', dataBlocks: 513 };
  assert.deepEqual([await compress(one), await compress(one)], [false, true]);
  assert.equal(seen.length, 1);
  assert.equal(await compress({ ...one, salt: '00' }), true);
  assert.equal(await compress({ ...one, dataBlocks: 514 }), true);
  assert.deepEqual(
    seen,
    [513, 513, 513].map((blocks) => blocks * BLOCK),
  );
});

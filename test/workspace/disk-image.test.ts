/** Images out of a disk image that real tools made: where they end, and what is refused. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { appendFile, copyFile, mkdir, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { zstdCompressSync } from 'node:zlib';
import { addRelease } from '../../lib/publish/release.ts';
import { findDiskImages, type DiskSet } from '../../lib/workspace/disk-image.ts';
import { extractImages, type ExtractOptions } from '../../lib/workspace/extract-images.ts';
import { engineerWithRoot, METAL, temporaryDirectory } from '../support/engineer.ts';
import { fillDisk, makeBottlerocketDisk, makeExt4, offsetsOf, partitionDisk, PLAN, requireDiskTools } from '../support/disk-image.ts';
import type { BottlerocketDisk, Planned } from '../support/disk-image.ts';
import { withSmallDisk } from '../support/full-disk.ts';
import { requireTool } from '../support/tools.ts';

const run = promisify(execFile);
const MIB = 1 << 20;
const cleanups: (() => Promise<void>)[] = [];
after(async () => {
  for (const cleanup of cleanups) await cleanup();
});
let making: Promise<BottlerocketDisk> | undefined;

/** A copy of a disk that is made once. */
async function scene(t: TestContext): Promise<(BottlerocketDisk & { readonly directory: string }) | undefined> {
  if (!requireDiskTools(t)) return undefined;
  making ??= temporaryDirectory({ after: (work) => void cleanups.push(work) }).then(makeBottlerocketDisk);
  const made = await making;
  const directory = await temporaryDirectory(t);
  const disk = join(directory, 'disk.img');
  await run('cp', ['--sparse=always', made.disk, disk]);
  return { ...made, disk, directory };
}

function pathsIn(directory: string): ExtractOptions['paths'] {
  return { boot: join(directory, 'boot.ext4'), root: join(directory, 'root.ext4'), hash: join(directory, 'root.verity') };
}

const extract = async (found: DiskSet, directory: string): ReturnType<typeof extractImages> =>
  extractImages(found, { paths: pathsIn(directory), overwrite: 'refuse' });

async function overwrite(path: string, position: number, bytes: Uint8Array | string): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.from(bytes), undefined, undefined, position);
  await file.close();
}

for (const set of ['A', 'B'] as const) {
  test(`extractImages() gives back the images of set ${set}, byte by byte, and veritysetup verifies them`, async (t) => {
    const at = await scene(t);
    if (at === undefined) return;
    const found = await findDiskImages(at.disk, set);
    assert.deepEqual(found.findings, []);
    const out = join(at.directory, 'out');
    const extracted = await extract(found, out);
    const images = set === 'A' ? at.a : at.b;
    for (const { image, path, lengthBytes, sha256 } of extracted) {
      const original = await readFile(images[image]);
      assert.ok(original.equals(await readFile(path)), image);
      assert.deepEqual([lengthBytes, sha256], [original.length, hash('sha256', original)]);
    }
    const { root, hash: tree } = pathsIn(out);
    await run('veritysetup', ['verify', root, tree, images.rootHash]);
    assert.deepEqual((await readdir(out)).toSorted(), ['boot.ext4', 'root.ext4', 'root.verity']);
  });
}

test('findDiskImages() cuts the root image where its tree ends, not where its file system does', async (t) => {
  const at = await scene(t);
  if (at === undefined) return;
  const directory = join(at.directory, 'padded');
  await mkdir(directory);
  const [root, tree] = [join(directory, 'root'), join(directory, 'tree')];
  await copyFile(at.a.root, root);
  await appendFile(root, Buffer.alloc(3 * 4096, 1));
  await run('veritysetup', ['format', root, tree]);
  await fillDisk(
    at.disk,
    new Map([
      [4, root],
      [5, tree],
    ]),
  );
  const { images } = await findDiskImages(at.disk, 'A');
  assert.deepEqual(
    [images.root.source.lengthBytes, images.root.cutBehind, images.root.cutBytes],
    [(await stat(root)).size, 'hashed data', 16 * MIB - (await stat(root)).size],
  );
  assert.equal(images.hash.source.lengthBytes, (await stat(tree)).size);
});

test('extractImages() leaves holes where an image has zeros', async (t) => {
  const at = await scene(t);
  if (at === undefined) return;
  const folder = join(at.directory, 'sparse');
  await mkdir(folder);
  const [root, tree] = [join(folder, 'root'), join(folder, 'tree')];
  await writeFile(root, 'a');
  await truncate(root, 16 * MIB);
  await run('veritysetup', ['format', root, tree]);
  await fillDisk(at.disk, new Map([[5, tree]]));
  await overwrite(at.disk, 8 * MIB, Buffer.alloc(16 * MIB));
  await overwrite(at.disk, 8 * MIB, 'a');
  const [, extracted] = await extract(await findDiskImages(at.disk, 'A'), join(at.directory, 'out'));
  const found = await stat(extracted?.path ?? '');
  assert.equal(found.size, 16 * MIB);
  assert.ok(found.blocks * 512 <= 512 << 10, `${found.blocks * 512} bytes are allocated`);
  assert.ok((await readFile(root)).equals(await readFile(extracted?.path ?? '')));
});

test('findDiskImages() says that what was cut off is not empty, and that a boot image is nothing that it knows', async (t) => {
  const at = await scene(t);
  if (at === undefined) return;
  await overwrite(at.disk, 25 * MIB - 1, 'x');
  await overwrite(at.disk, 4 * MIB, Buffer.alloc(4096));
  const { images, findings } = await findDiskImages(at.disk, 'A');
  assert.deepEqual(
    findings.map(({ rule, at: place, severity }) => [rule, place, severity]),
    [
      ['boot-not-cut', 'partition 3', 'warning'],
      ['cut-not-empty', 'partition 5', 'warning'],
    ],
  );
  assert.deepEqual([images.boot.cutBytes, images.boot.cutBehind], [0, 'partition']);
});

/** What is done to the disk, and what is said of it. */
const DAMAGE: readonly (readonly [
  what: string,
  damage: (at: BottlerocketDisk & { readonly directory: string }) => Promise<unknown>,
  code: string,
  message: RegExp,
])[] = [
  [
    'the primary table has a wrong CRC, although the backup is good',
    async ({ disk }) => overwrite(disk, 512 + 60, 'x'),
    'image/bad-gpt',
    /disk\.img": primary table: header CRC: it is [0-9a-f]{8}; expected [0-9a-f]{8}, which the header says; the backup table is whole$/u,
  ],
  [
    'the backup table has a wrong CRC',
    async ({ disk }) => overwrite(disk, 52 * MIB - 512 + 60, 'x'),
    'image/bad-gpt',
    /backup table: header CRC: .*; the primary table is whole$/u,
  ],
  [
    'both tables have',
    async ({ disk }) => Promise.all([overwrite(disk, 512 + 60, 'x'), overwrite(disk, 52 * MIB - 512 + 60, 'x')]),
    'image/bad-gpt',
    /header CRC/u,
  ],
  [
    'it is cut short',
    async ({ disk }) => truncate(disk, 20 * MIB),
    'image/bad-gpt',
    /backup table: length: sector \d+ is not there.*and 9 more/u,
  ],
  ['it is empty', async ({ disk }) => truncate(disk, 0), 'image/bad-gpt', /length: sector 1 is not there/u],
  ['it is a file system', async ({ disk, a }) => copyFile(a.root, disk), 'image/bad-gpt', /it is ext4; expected the image of a disk$/u],
  [
    'it is compressed',
    async ({ disk }) => writeFile(disk, zstdCompressSync(await readFile(disk))),
    'image/bad-gpt',
    /it is compressed \(zst\); expected it decompressed$/u,
  ],
  ['it is text', async ({ disk }) => writeFile(disk, 'text\n'.repeat(1000)), 'image/bad-gpt', /signature: sector 1 begins with/u],
  [
    'the tree is no tree',
    async ({ disk }) => overwrite(disk, 24 * MIB, 'Verity'),
    'image/bad-verity',
    /^Cannot take set A out of ".*": partition 5: signature: it begins with/u,
  ],
  [
    'the tree is of another, larger image than the partition',
    async ({ disk }) => overwrite(disk, 24 * MIB + 72, Buffer.from([1, 16])),
    'image/bad-partitions',
    /partition 4: its hashed data has 16781312 bytes; expected at most 16777216/u,
  ],
  [
    'the tree covers less than the file system',
    async ({ disk }) => overwrite(disk, 24 * MIB + 72, Buffer.from([1, 0])),
    'image/bad-partitions',
    /partition 4: its ext4 has \d+ bytes, and the hash tree covers 4096; expected a tree of the whole file system$/u,
  ],
  [
    'the boot file system is larger than its partition',
    async ({ disk, directory }) => {
      await mkdir(join(directory, 'none'));
      const large = join(directory, 'large');
      await makeExt4(join(directory, 'none'), large, { label: 'x', mib: 5, shrink: false });
      await overwrite(disk, 4 * MIB, (await readFile(large)).subarray(0, 4 * MIB));
    },
    'image/bad-partitions',
    /partition 3: its file system has 5242880 bytes; expected at most 4194304, what the partition has$/u,
  ],
];

for (const [what, damage, code, message] of DAMAGE) {
  test(`findDiskImages() refuses a disk with ${code} when ${what}`, async (t) => {
    const at = await scene(t);
    if (at === undefined) return;
    await damage(at);
    await assert.rejects(findDiskImages(at.disk, 'A'), { code, message });
  });
}

const named = (type: Planned['type'], name = ''): Planned => ({ type, name, mib: 1 });

for (const [what, plan, message] of [
  ['there is no root', [named('boot'), named('hash')], /it has 1 boot, 0 root and 1 hash; expected/u],
  ['root A is missing', PLAN.filter((_, index) => index !== 3), /it has 2 boot, 1 root and 2 hash;/u],
  ['there is a third hash', [...PLAN, named('hash')], /it has 2 boot, 2 root and 3 hash;/u],
  [
    'there are three of each',
    (['boot', 'root', 'hash'] as const).flatMap((type) => [1, 2, 3].map(() => named(type))),
    /it has 3 boot, 3 root/u,
  ],
  ['there are others only', [named('bios'), named('efi')], /it has 0 boot, 0 root and 0 hash/u],
] as const) {
  test(`findDiskImages() refuses a disk when ${what}`, async (t) => {
    if (!requireTool(t, 'sgdisk')) return;
    const disk = join(await temporaryDirectory(t), 'disk.img');
    await partitionDisk(disk, plan);
    await assert.rejects(findDiskImages(disk, 'A'), { code: 'image/bad-partitions', details: { at: 'partitions' }, message });
  });
}

test('findDiskImages() takes a disk with one set, and says that there is no other', async (t) => {
  const at = await scene(t);
  if (at === undefined) return;
  const disk = join(at.directory, 'single.img');
  const plan = PLAN.slice(2, 6);
  await partitionDisk(disk, plan);
  await fillDisk(
    disk,
    new Map([
      [1, at.a.boot],
      [2, at.a.root],
      [3, at.a.hash],
    ]),
    plan,
  );
  assert.deepEqual((await findDiskImages(disk, 'A')).findings, []);
  await assert.rejects(findDiskImages(disk, 'B'), { code: 'image/bad-partitions', message: /there is no set B/u });
});

test('findDiskImages() says that partitions are called or ordered otherwise than a host finds them', async (t) => {
  const at = await scene(t);
  if (at === undefined) return;
  const disk = join(at.directory, 'other.img');
  const [boot, root, tree] = PLAN.slice(2, 5);
  assert.ok(boot !== undefined && root !== undefined && tree !== undefined);
  const plan = [boot, tree, { ...root, name: 'BOTTLEROCKET-ROOT-B' }];
  await partitionDisk(disk, plan);
  await fillDisk(
    disk,
    new Map([
      [1, at.a.boot],
      [2, at.a.hash],
      [3, at.a.root],
    ]),
    plan,
  );
  const { findings } = await findDiskImages(disk, 'A');
  assert.deepEqual(
    findings.map(({ rule }) => rule),
    ['set-order', 'set-name'],
  );
});

test('extractImages() leaves nothing when the disk image changes meanwhile', async (t) => {
  const at = await scene(t);
  if (at === undefined) return;
  const out = join(at.directory, 'out');
  const found = await findDiskImages(at.disk, 'A');
  await appendFile(at.disk, 'grows');
  await assert.rejects(extract(found, out), { code: 'files/changed', details: { path: at.disk } });
  await assert.rejects(stat(out), { code: 'ENOENT' });
  const again = await findDiskImages(at.disk, 'A').catch(() => undefined);
  assert.ok(again !== undefined, 'a backup table that is not last is a warning');
  const total = Object.values(again.images).reduce((sum, { source }) => sum + source.lengthBytes, 0);
  // At the very end, when every byte has been read.
  const onProgress = (bytes: number): void => {
    if (bytes === total) appendFileSync(at.disk, 'grows');
  };
  await assert.rejects(extractImages(again, { paths: pathsIn(out), overwrite: 'refuse', onProgress }), { code: 'files/changed' });
  await assert.rejects(stat(out), { code: 'ENOENT' });
});

test('extractImages() leaves nothing when it is told to stop, and replaces nothing that it was not told to', async (t) => {
  const at = await scene(t);
  if (at === undefined) return;
  const out = join(at.directory, 'out');
  await mkdir(out);
  const found = await findDiskImages(at.disk, 'A');
  const controller = new AbortController();
  const options = { paths: pathsIn(out), overwrite: 'replace', signal: controller.signal, onProgress: () => controller.abort() } as const;
  await assert.rejects(extractImages(found, options), { code: 'aborted' });
  assert.deepEqual(await readdir(out), []);
  await writeFile(join(out, 'root.verity'), 'mine');
  await assert.rejects(extract(found, out), { code: 'files/exists', details: { path: join(out, 'root.verity') } });
  assert.deepEqual(await readdir(out), ['root.verity']);
  assert.equal(await readFile(join(out, 'root.verity'), 'utf8'), 'mine');
  await extractImages(found, { paths: pathsIn(out), overwrite: 'replace' });
  assert.ok((await readFile(at.a.hash)).equals(await readFile(join(out, 'root.verity'))));
});

test('extractImages() leaves nothing on a disk that gets full', async (t) => {
  const at = await scene(t);
  if (at === undefined) return;
  const folder = join(at.directory, 'full');
  const found = await findDiskImages(at.disk, 'A');
  await withSmallDisk(t, { folder, sizeBytes: 2 << 20 }, async () => {
    await assert.rejects(extract(found, join(folder, 'out')), { code: 'files/disk-full' });
    assert.deepEqual(await readdir(folder), []);
  });
});

test('addRelease() releases the images of a set straight out of a disk image', async (t) => {
  const at = await scene(t);
  if (at === undefined) return;
  const engineer = await engineerWithRoot(t);
  const { images } = await findDiskImages(at.disk, 'B');
  const sources = { boot: images.boot.source, root: images.root.source, hash: images.hash.source };
  const input = { repository: METAL, version: '1.0.0', compression: 'both', level: 3, now: engineer.now } as const;
  const { release } = await addRelease(engineer.workspace, engineer.store, { ...input, images: sources });
  assert.equal(release.rootHash, at.b.rootHash);
  const fromFiles = await addRelease(engineer.workspace, engineer.store, { ...input, version: '1.0.1', images: at.b });
  assert.deepEqual(
    release.targets.map(({ object }) => object),
    fromFiles.release.targets.map(({ object }) => object),
  );
});

test('addRelease() refuses a disk whose root image is not that of its tree, and one that changed since it was looked at', async (t) => {
  const at = await scene(t);
  if (at === undefined) return;
  const engineer = await engineerWithRoot(t);
  const input = { repository: METAL, version: '1.0.0', compression: 'zstd', level: 3, now: engineer.now } as const;
  const add = async ({ images }: DiskSet): Promise<unknown> =>
    addRelease(engineer.workspace, engineer.store, {
      ...input,
      images: { boot: images.boot.source, root: images.root.source, hash: images.hash.source },
    });
  const before = await findDiskImages(at.disk, 'A');
  await overwrite(at.disk, (offsetsOf(PLAN)[3] ?? 0) * MIB + 5000, 'other');
  await assert.rejects(add(before), { code: 'files/changed' });
  await assert.rejects(add(await findDiskImages(at.disk, 'A')), {
    code: 'image/verity-mismatch',
    message: /^Cannot release partition 5 of ".*disk\.img" as the hash image of partition 4 of ".*disk\.img": /u,
  });
  await rm(at.disk);
});

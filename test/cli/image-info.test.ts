/** `gantry image info` and `gantry image extract`, as a user runs them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { open, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { zstdCompressSync } from 'node:zlib';
import { compressFrames } from '../../lib/image/zstd.ts';
import { collect, imageBytes, inChunks } from '../support/bytes.ts';
import { cliWorkspace, gantry } from '../support/cli.ts';
import { makeBottlerocketDisk, requireDiskTools } from '../support/disk-image.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { encodeDisk } from '../support/gpt.ts';
import { requireTool } from '../support/tools.ts';
import { SALT, treeOf, UUID } from '../support/verity.ts';

const run = promisify(execFile);
const MIB = 1 << 20;

interface Info {
  readonly format: string;
  readonly lengthBytes: number;
  readonly allocatedBytes: number;
  readonly sha256: string;
  readonly compressed?: object;
  readonly raw: Readonly<Record<string, unknown>> & {
    readonly disk?: { readonly partitions: readonly Readonly<Record<string, unknown>>[] };
  };
  readonly sample: { readonly rawBytes: number; readonly compressedBytes: number };
  readonly shipping: { readonly estimatedBytes: number };
  readonly findings: readonly { readonly rule: string; readonly severity: string; readonly at: string }[];
}

async function infoOf(file: string, cwd: string, code = 0): Promise<Info> {
  const result = await gantry(['image', 'info', file, '--json'], { cwd });
  assert.equal(result.code, code, result.stderr || result.stdout);
  return JSON.parse(result.stdout) as Info;
}

test('gantry image info tells what a disk image holds, and extract takes a set out of it', async (t) => {
  if (!requireDiskTools(t)) return;
  const cwd = await temporaryDirectory(t);
  const { disk, a, b } = await makeBottlerocketDisk(cwd);
  const info = await infoOf('disk.img', cwd);
  assert.deepEqual([info.format, info.sha256, info.findings], ['disk', hash('sha256', await readFile(disk)), []]);
  assert.ok(info.allocatedBytes < info.lengthBytes);
  const shown = info.raw.disk?.partitions.map(({ number, name, role, set, format }) => [number, name, role, set, format]);
  assert.deepEqual(shown?.slice(1, 5), [
    [2, 'EFI-SYSTEM', 'efi', undefined, undefined],
    [3, 'BOTTLEROCKET-BOOT-A', 'boot', 'A', 'ext4'],
    [4, 'BOTTLEROCKET-ROOT-A', 'root', 'A', 'ext4'],
    [5, 'BOTTLEROCKET-HASH-A', 'hash', 'A', 'verity'],
  ]);
  assert.deepEqual(shown.slice(8, 12), [
    [9, 'BOTTLEROCKET-ROOT-B', 'root', 'B', 'erofs'],
    [10, 'BOTTLEROCKET-HASH-B', 'hash', 'B', 'verity'],
    [11, 'BOTTLEROCKET-RESERVED-B', 'reserved', 'B', undefined],
    [12, 'BOTTLEROCKET-PRIVATE', 'private', undefined, undefined],
  ]);
  const boot = info.raw.disk?.partitions[2];
  assert.deepEqual([boot?.['attributes'], boot?.['flags']], ['0x0101000000000000', { priority: 1, triesLeft: 0, isSuccessful: true }]);
  const { stdout } = await gantry(['image', 'info', 'disk.img'], { cwd });
  assert.ok(
    stdout.split('\n').every((line) => line.length <= 80),
    stdout,
  );
  assert.match(stdout, /^ {2}4 {2}BOTTLEROCKET-ROOT-A +8\.0 MiB +16\.0 MiB +root A +ext4 /mu);
  assert.match(stdout, /^ {2}set A: priority 1, tries left 0, successful$/mu);

  const rehearsed = await gantry(['image', 'extract', 'disk.img', '-o', 'out', '--dry-run'], { cwd });
  assert.match(rehearsed.stdout, /^Would write the images of set A to .*out:$/mu);
  assert.deepEqual((await readdir(cwd)).includes('out'), false);
  const done = await gantry(['image', 'extract', 'disk.img', '-o', 'out'], { cwd });
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /^Next: gantry release add VERSION --boot out\/boot\.ext4 --root out\/root\.ext4 --hash out\/root\.verity$/mu);
  assert.ok((await readFile(a.root)).equals(await readFile(join(cwd, 'out', 'root.ext4'))));
  const again = await gantry(['image', 'extract', 'disk.img', '-o', 'out'], { cwd });
  assert.deepEqual([again.code, /it is there already; expected another directory, or --force$/mu.test(again.stderr)], [6, true]);
  const other = await gantry(['image', 'extract', 'disk.img', '-o', 'out', '--set', 'B', '--variant', 'metal', '--json'], { cwd });
  const { images } = JSON.parse(other.stdout) as { readonly images: readonly { readonly file: string; readonly sha256: string }[] };
  assert.deepEqual(
    images.map(({ file, sha256 }) => [file, sha256]),
    await Promise.all(
      (
        [
          ['metal-boot.ext4', b.boot],
          ['metal-root.ext4', b.root],
          ['metal-root.verity', b.hash],
        ] as const
      ).map(async ([name, original]) => [join(cwd, 'out', name), hash('sha256', await readFile(original))]),
    ),
  );
  await writeFile(join(cwd, 'disk.zst'), zstdCompressSync(await readFile(disk)));
  const packed = await gantry(['image', 'extract', 'disk.zst', '-o', 'new'], { cwd });
  assert.match(packed.stderr, /it is compressed \(zst\); expected it decompressed\nhint: decompress it first: /u);
  const wrong = await gantry(['image', 'extract', 'disk.img', '-o', 'new', '--variant', '../x'], { cwd });
  assert.deepEqual([wrong.code, (await readdir(cwd)).includes('new')], [3, false]);
});

test('gantry release add --disk drafts a release straight out of a disk image', async (t) => {
  if (!requireDiskTools(t)) return;
  const { workspace } = await cliWorkspace(t);
  const { disk, a } = await makeBottlerocketDisk(join(workspace, 'build'));
  const rehearsed = await gantry(['release', 'add', '1.0.0', '--disk', 'build/disk.img', '--dry-run'], { cwd: workspace });
  assert.equal(rehearsed.code, 0, rehearsed.stderr);
  assert.match(rehearsed.stderr, /^Taking set A out of .*disk\.img: boot 1016\.0 KiB, root \d\.\d MiB, hash 68\.0 KiB\.$/mu);
  const file = await open(disk, 'r+');
  await file.write('x', 25 * MIB - 1);
  await file.close();
  const { code, stdout, stderr } = await gantry(['release', 'add', '1.0.0', '--disk', 'build/disk.img', '--json'], { cwd: workspace });
  assert.equal(code, 0, stderr);
  const [release] = (
    JSON.parse(stdout) as {
      readonly releases: readonly { readonly rootHash: string; readonly warnings: readonly { readonly rule: string }[] }[];
    }
  ).releases;
  assert.equal(release?.rootHash, a.rootHash);
  assert.deepEqual(release.warnings.filter(({ rule }) => rule === 'cut-not-empty').length, 1);
  await truncate(disk, 40 * MIB);
  const cut = await gantry(['release', 'add', '1.1.0', '--disk', 'build/disk.img'], { cwd: workspace });
  assert.equal(cut.code, 3);
  assert.match(
    cut.stderr,
    /^error: Cannot take set A out of ".*disk\.img": backup table: length: sector \d+ is not there: .*\nhint: gantry image info /mu,
  );
});

test('gantry release add refuses a disk image together with partition images, half of them, and a set of none', async (t) => {
  const { workspace } = await cliWorkspace(t);
  for (const [args, message] of [
    [['--disk', 'a', '--root', 'b'], 'Cannot use --disk together with --root: expected one disk image, or three partition images'],
    [
      ['--boot', 'boot.img'],
      'Cannot run gantry release add: the option --root <file> is missing; expected --boot, --root and --hash, or --disk',
    ],
    [['--boot', 'a', '--root', 'a', '--hash', 'a', '--set', 'B'], 'Cannot use --set without --disk: it chooses partitions of a disk image'],
  ] as const) {
    const { code, stderr } = await gantry(['release', 'add', '1.0.0', ...args], { cwd: workspace });
    assert.deepEqual([code, stderr.split('\n')[0]], [2, `error: ${message}`]);
  }
});

test('gantry image info tells of framed zstd and lz4 what they are, and what is in them', async (t) => {
  if (!['mke2fs', 'lz4', 'zstd'].every((tool) => requireTool(t, tool))) return;
  const cwd = await temporaryDirectory(t);
  const path = join(cwd, 'root.ext4');
  await run('mke2fs', ['-q', '-t', 'ext4', '-L', 'my root', '-U', UUID, path, '20M']);
  const raw = await readFile(path);
  const plain = await infoOf('root.ext4', cwd);
  assert.deepEqual([plain.format, plain.sha256, plain.raw['format']], ['ext4', hash('sha256', raw), 'ext4']);
  assert.equal((plain.raw['fileSystem'] as { readonly label: string }).label, 'my root');
  const framed = await collect(compressFrames(inChunks(raw, MIB), { level: 3 }));
  assert.ok(Math.abs(plain.shipping.estimatedBytes / framed.length - 1) < 0.05);
  await writeFile(`${path}.zst`, framed);
  await run('lz4', ['-q', '-BD', '--content-size', path, `${path}.lz4`]);
  await run('zstd', ['-q', path, '-o', join(cwd, 'solid.zst')]);
  const [zst, lz4, solid] = [await infoOf('root.ext4.zst', cwd), await infoOf('root.ext4.lz4', cwd), await infoOf('solid.zst', cwd)];
  for (const one of [zst, lz4, solid]) {
    assert.deepEqual([one.raw, one.sample], [plain.raw, plain.sample]);
    assert.notEqual(one.sha256, plain.sha256);
  }
  const { largestFrameBytes, ...frames } = zst.compressed as { readonly largestFrameBytes: number };
  assert.deepEqual(frames, { format: 'zst', frames: 20, skippableFrames: 0, frameRawBytes: MIB });
  assert.ok(largestFrameBytes < framed.length);
  assert.deepEqual(solid.compressed, {
    format: 'zst',
    frames: 1,
    skippableFrames: 0,
    frameRawBytes: 20 * MIB,
    largestFrameBytes: solid.lengthBytes,
  });
  assert.deepEqual(lz4.compressed, {
    format: 'lz4',
    blockBytes: 4 * MIB,
    blocks: 'linked',
    contentBytes: raw.length,
    contentChecksum: true,
    blockChecksums: false,
  });
  await writeFile(`${path}.zst`, framed.subarray(0, -1));
  const broken = await gantry(['image', 'info', 'root.ext4.zst'], { cwd });
  assert.equal(broken.code, 3);
  assert.match(broken.stderr, /^error: Cannot read ".*root\.ext4\.zst": its zstd data is damaged or cut short/mu);
});

test('gantry image info tells of a hash image, of what it does not know, and of an empty file', async (t) => {
  const cwd = await temporaryDirectory(t);
  const { hashImage } = await treeOf(imageBytes(600 * 4096));
  await writeFile(join(cwd, 'hash.img'), hashImage);
  const info = await infoOf('hash.img', cwd);
  assert.equal(info.format, 'verity');
  assert.deepEqual(info.raw['verity'], { salt: SALT.toString('hex'), uuid: UUID, dataBytes: 600 * 4096, treeBytes: hashImage.length });
  await truncate(join(cwd, 'hash.img'), 8192);
  const cut = await infoOf('hash.img', cwd, 3);
  assert.deepEqual(
    cut.findings.map(({ rule, severity }) => [rule, severity]),
    [['cut-short', 'error']],
  );
  await writeFile(join(cwd, 'text'), 'some text');
  assert.equal((await infoOf('text', cwd)).format, 'unknown');
  await writeFile(join(cwd, 'empty'), '');
  const empty = await gantry(['image', 'info', 'empty'], { cwd });
  assert.deepEqual([empty.code, /it is empty; expected some bytes/u.test(empty.stderr)], [3, true]);
});

test('gantry image info exits with 3, and shows what it can, when a partition table is wrong', async (t) => {
  const cwd = await temporaryDirectory(t);
  const path = join(cwd, 'disk.img');
  const disk = encodeDisk({
    entries: [
      { first: 40, last: 100, name: 'a\u001b[2J' },
      { first: 90, last: 120 },
    ],
  });
  disk[600] = 1;
  await writeFile(path, disk);
  const info = await infoOf('disk.img', cwd, 3);
  assert.deepEqual(
    info.findings.map(({ rule }) => rule),
    ['gpt-primary-damaged', 'gpt-overlap', 'set-incomplete'],
  );
  assert.equal(info.raw.disk?.partitions.length, 2);
  const { code, stdout } = await gantry(['image', 'info', 'disk.img'], { cwd });
  assert.equal(code, 3);
  assert.ok(!stdout.includes('\u001b'));
  assert.match(stdout, /gpt-overlap: partition 2: it begins in sector 90; expected it behind partition 1, which ends in 100/u);
  disk.fill(0, disk.length - 512);
  await writeFile(path, disk);
  assert.deepEqual(
    (await infoOf('disk.img', cwd, 3)).findings.map(({ rule }) => rule),
    ['gpt-unreadable'],
  );
});

test('gantry image info reads a large file of holes in little time, and calls it that', async (t) => {
  const cwd = await temporaryDirectory(t);
  const path = join(cwd, 'holes.img');
  await writeFile(path, '');
  await truncate(path, 300 * MIB);
  const info = await infoOf('holes.img', cwd);
  assert.equal(info.allocatedBytes, 0);
  assert.ok(info.shipping.estimatedBytes < 300 * 200);
});

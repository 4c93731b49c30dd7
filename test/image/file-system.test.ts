/** File systems made by the tools of the machine, and superblocks that are not possible. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { crc32c } from '../../lib/image/crc32c.ts';
import { FILE_SYSTEM_HEAD_BYTES, findFileSystem, type FileSystem } from '../../lib/image/file-system.ts';
import { imageBytes } from '../support/bytes.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { requireTool } from '../support/tools.ts';

const run = promisify(execFile);
const UUID = '6fd8bd60-7fd2-4fca-b0b5-c7a0ae9b2d6f';

interface Made {
  readonly image: Buffer;
  readonly found: FileSystem | undefined;
}

/** @param make writes the image at the path, out of the files in the folder */
async function made(t: TestContext, tool: string, make: (path: string, folder: string) => readonly string[]): Promise<Made | undefined> {
  if (!requireTool(t, tool)) return undefined;
  const directory = await temporaryDirectory(t);
  const folder = join(directory, 'files');
  await mkdir(folder);
  await writeFile(join(folder, 'program'), imageBytes(600_000));
  const path = join(directory, 'image');
  await run(tool, [...make(path, folder)]);
  const image = await readFile(path);
  return { image, found: findFileSystem(image.subarray(0, FILE_SYSTEM_HEAD_BYTES)) };
}

test('crc32c() is CRC-32C without the last inversion', () => {
  assert.equal((crc32c(Buffer.from('123456789')) ^ 0xffff_ffff) >>> 0, 0xe306_9283);
});

for (const [format, blockBytes, options] of [
  ['ext2', 1024, []],
  ['ext3', 1024, []],
  ['ext4', 1024, []],
  ['ext4', 4096, ['-O', '64bit,metadata_csum,^has_journal']],
  ['ext4', 4096, ['-O', '^64bit,^metadata_csum']],
] as const) {
  test(`findFileSystem() reads the superblock of ${[format, ...options].join(' ')} with blocks of ${blockBytes}`, async (t) => {
    const one = await made(t, 'mke2fs', (path, folder) => {
      const fixed = ['-q', '-t', format, '-b', String(blockBytes), '-L', 'a label', '-U', UUID, '-d', folder];
      return [...fixed, ...options, path, '32M'];
    });
    if (one === undefined) return;
    const superblock = one.image.subarray(1024);
    assert.deepEqual(one.found, {
      format,
      lengthBytes: 32 << 20,
      blockBytes,
      label: 'a label',
      uuid: UUID,
      freeBytes: superblock.readUInt32LE(0xc) * blockBytes,
      problems: [],
    });
  });
}

test('findFileSystem() says what dumpe2fs says of the free blocks', async (t) => {
  if (!requireTool(t, 'mke2fs') || !requireTool(t, 'dumpe2fs')) return;
  const path = join(await temporaryDirectory(t), 'image');
  await run('mke2fs', ['-q', '-t', 'ext4', path, '16M']);
  const { stdout } = await run('dumpe2fs', ['-h', path]);
  const of = (what: string): number => Number(new RegExp(String.raw`^${what}:\s+(\d+)$`, 'mu').exec(stdout)?.[1]);
  const found = findFileSystem((await readFile(path)).subarray(0, FILE_SYSTEM_HEAD_BYTES));
  assert.deepEqual([found?.lengthBytes, found?.freeBytes], [of('Block count') * of('Block size'), of('Free blocks') * of('Block size')]);
});

test('findFileSystem() says that a superblock is damaged, or was in use', async (t) => {
  const one = await made(t, 'mke2fs', (path) => ['-q', '-t', 'ext4', path, '32M']);
  if (one === undefined) return;
  const damaged = Buffer.from(one.image);
  damaged.write('other', 1024 + 0x78);
  assert.deepEqual(findFileSystem(damaged)?.problems, ['the checksum of its superblock does not match']);
  const used = Buffer.from(one.image);
  used.writeUInt16LE(0, 1024 + 0x3a);
  assert.ok(findFileSystem(used)?.problems.includes('it was not unmounted cleanly'));
});

for (const [what, options, compression] of [
  ['without compression', [], []],
  ['with lz4', ['-zlz4hc'], ['lz4']],
] as const) {
  test(`findFileSystem() reads the superblock of EROFS ${what}`, async (t) => {
    const one = await made(t, 'mkfs.erofs', (path, folder) => ['-U', UUID, ...options, path, folder]);
    if (one === undefined) return;
    const { image, found } = one;
    const expected = { format: 'erofs', lengthBytes: image.length, blockBytes: 4096, label: '', uuid: UUID, compression, problems: [] };
    assert.deepEqual(found, expected);
    image.write('a label', 1024 + 64);
    const problems = ['the checksum of its superblock does not match'];
    assert.deepEqual(findFileSystem(image.subarray(0, FILE_SYSTEM_HEAD_BYTES)), { ...expected, label: 'a label', problems });
  });
}

for (const compressor of ['gzip', 'xz', 'zstd', 'lz4', 'lzo']) {
  test(`findFileSystem() reads the superblock of squashfs with ${compressor}`, async (t) => {
    const one = await made(t, 'mksquashfs', (path, folder) => [
      folder,
      path,
      '-comp',
      compressor,
      '-b',
      '65536',
      '-nopad',
      '-quiet',
      '-no-progress',
    ]);
    if (one === undefined) return;
    const { image, found } = one;
    assert.deepEqual(found, { format: 'squashfs', lengthBytes: image.length, blockBytes: 65_536, compression: [compressor], problems: [] });
  });
}

test('findFileSystem() does not believe a magic number with impossible sizes beside it', async (t) => {
  const ext = await made(t, 'mke2fs', (path) => ['-q', '-t', 'ext4', path, '32M']);
  const erofs = await made(t, 'mkfs.erofs', (path, folder) => [path, folder]);
  const squashfs = await made(t, 'mksquashfs', (path, folder) => [folder, path, '-quiet', '-no-progress']);
  if (ext === undefined || erofs === undefined || squashfs === undefined) return;
  for (const [{ image }, at, hex] of [
    [ext, 1024 + 0x18, 'ff'],
    [ext, 1024 + 0x4, '00000000'],
    [ext, 1024 + 0x150, 'ffffffff'],
    [ext, 1024 + 0xc, 'ffffffff'],
    [ext, 1024 + 0x20, '00000000'],
    [ext, 1024, '00000000'],
    [ext, 1024 + 0x4c, '07'],
    [erofs, 1024 + 12, '05'],
    [erofs, 1024 + 12, '40'],
    [erofs, 1024 + 36, '00000000'],
    [erofs, 1024 + 40, 'ffffffff'],
    [squashfs, 20, '0700'],
    [squashfs, 20, '0000'],
    [squashfs, 12, '01000000'],
    [squashfs, 22, '1f00'],
    [squashfs, 28, '0300'],
    [squashfs, 40, '0000000000000000'],
    [squashfs, 64, 'ffffffffffffffff'],
  ] as const) {
    const wrong = Buffer.from(image);
    wrong.write(hex, at, 'hex');
    assert.equal(findFileSystem(wrong.subarray(0, FILE_SYSTEM_HEAD_BYTES)), undefined, `${hex} at ${at}`);
  }
  for (const { image } of [ext, erofs, squashfs]) {
    for (const length of [0, 1, 95, 1023, 1024, 1100]) {
      const found = findFileSystem(image.subarray(0, length));
      assert.ok(found === undefined || (found.format === 'squashfs' && length >= 96), `${found?.format} of ${length} bytes`);
    }
  }
});

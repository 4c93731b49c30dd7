import assert from 'node:assert/strict';
import { chmod, lstat, mkdir, readFile, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { createAtomicWriter, ensurePrivateDirectory, makeFolders, writeFileAtomic, writeNewFile } from '../../lib/files/atomic.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { withFullDisk } from '../support/full-disk.ts';

test('createAtomicWriter() shows nothing under the name when it is not committed yet', async (t) => {
  const folder = await temporaryDirectory(t);
  const path = join(folder, 'image');
  const writer = await createAtomicWriter(path, { overwrite: 'refuse' });
  await writer.write(Buffer.from('half '));
  await writer.write(Buffer.from('done'));
  const [hidden = '', ...others] = await readdir(folder);
  assert.match(hidden, /^\.image\..*\.tmp$/u);
  assert.deepEqual(others, []);
  await writer.commit();
  assert.deepEqual(await readdir(folder), ['image']);
  assert.equal(await readFile(path, 'utf8'), 'half done');
});

test('createAtomicWriter() keeps the old file when the new one is discarded', async (t) => {
  const folder = await temporaryDirectory(t);
  const path = join(folder, 'image');
  await writeFile(path, 'old');
  const writer = await createAtomicWriter(path, { overwrite: 'replace' });
  await writer.write(Buffer.from('new'));
  await writer.discard();
  await writer.discard();
  assert.deepEqual(await readdir(folder), ['image']);
  assert.equal(await readFile(path, 'utf8'), 'old');
  await assert.rejects(writer.write(Buffer.from('more')), TypeError);
});

test('createAtomicWriter() leaves nothing when its scope ends before a commit', async (t) => {
  const folder = await temporaryDirectory(t);
  {
    await using writer = await createAtomicWriter(join(folder, 'image'), { overwrite: 'refuse' });
    await writer.write(Buffer.from('half'));
    assert.equal((await readdir(folder)).length, 1);
  }
  assert.deepEqual(await readdir(folder), []);
});

test('makeFolders() makes the folder and its parents, and minds none that are there', async (t) => {
  const path = join(await temporaryDirectory(t), 'a', 'b', 'c');
  await makeFolders(path);
  await makeFolders(path);
  assert.ok((await stat(path)).isDirectory());
  await writeFile(join(path, 'file'), '');
  await assert.rejects(makeFolders(join(path, 'file', 'd')), { code: 'files/missing' });
});

test('writeFileAtomic() replaces the file when one is there', async (t) => {
  const folder = await temporaryDirectory(t);
  const path = join(folder, 'x'.repeat(255));
  await writeFileAtomic(path, 'one');
  await writeFileAtomic(path, Buffer.from('two'));
  assert.equal(await readFile(path, 'utf8'), 'two');
  assert.deepEqual(await readdir(folder), [basename(path)]);
});

test('writeNewFile() throws files/exists when the name is taken', async (t) => {
  const folder = await temporaryDirectory(t);
  const path = join(folder, 'key.pem');
  await writeNewFile(path, 'one', { mode: 0o600 });
  await assert.rejects(writeNewFile(path, 'two'), {
    code: 'files/exists',
    details: { path },
    message: `Cannot write ${JSON.stringify(path)}: it exists already`,
  });
  assert.equal(await readFile(path, 'utf8'), 'one');
  assert.deepEqual(await readdir(folder), ['key.pem']);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test('writeNewFile() lets exactly one win when several write the same name', async (t) => {
  const folder = await temporaryDirectory(t);
  const path = join(folder, 'key.pem');
  const tries = await Promise.allSettled(Array.from({ length: 8 }, async (_, index) => writeNewFile(path, String(index))));
  const winners = tries.flatMap(({ status }, index) => (status === 'fulfilled' ? [String(index)] : []));
  assert.deepEqual(winners, [await readFile(path, 'utf8')]);
  assert.deepEqual(await readdir(folder), ['key.pem']);
});

test('writeFileAtomic() throws files/missing when the folder is not there', async (t) => {
  const path = join(await temporaryDirectory(t), 'nowhere', 'file');
  await assert.rejects(writeFileAtomic(path, 'x'), {
    code: 'files/missing',
    details: { path },
    message: `Cannot write ${JSON.stringify(path)}: its directory does not exist`,
  });
});

test('writeFileAtomic() throws files/not-writable when a directory has the name', async (t) => {
  const folder = await temporaryDirectory(t);
  const path = join(folder, 'taken');
  await mkdir(path);
  await assert.rejects(writeFileAtomic(path, 'x'), {
    code: 'files/not-writable',
    details: { path },
    message: /it is a directory; expected a file/u,
  });
  assert.deepEqual(await readdir(folder), ['taken']);
});

test('createAtomicWriter() refuses to replace when the name is a device', async (t) => {
  const folder = await temporaryDirectory(t);
  const path = join(folder, 'null');
  // A link: were the device itself replaced, this machine would have to be repaired.
  await symlink('/dev/null', path);
  await assert.rejects(createAtomicWriter(path, { overwrite: 'replace' }), {
    code: 'files/not-writable',
    details: { path },
    message: `Cannot write ${JSON.stringify(path)}: it is a device or a pipe; expected a file or a free name`,
  });
  assert.ok((await lstat(path)).isSymbolicLink());
});

test('createAtomicWriter() throws files/disk-full and leaves nothing when the disk is full', async (t) => {
  await withFullDisk(t, async (folder) => {
    const path = join(folder, 'image');
    const writer = await createAtomicWriter(path, { overwrite: 'replace' });
    const fill = async (): Promise<void> => {
      for (let index = 0; index < 64; index += 1) await writer.write(Buffer.alloc(1 << 20));
    };
    await assert.rejects(fill(), { code: 'files/disk-full', details: { path } });
    await writer.discard();
    assert.deepEqual(await readdir(folder), []);
    await assert.rejects(writeFileAtomic(path, Buffer.alloc(64 << 20)), { code: 'files/disk-full' });
    assert.deepEqual(await readdir(folder), []);
  });
});

test('ensurePrivateDirectory() makes the folder and its parents for the owner alone when they are missing', async (t) => {
  const folder = await temporaryDirectory(t);
  const path = join(folder, 'a', 'b');
  await ensurePrivateDirectory(path);
  assert.equal((await stat(join(folder, 'a'))).mode & 0o777, 0o700);
  assert.equal((await stat(path)).mode & 0o777, 0o700);
  await chmod(path, 0o750);
  await ensurePrivateDirectory(path);
  assert.equal((await stat(path)).mode & 0o777, 0o750);
});

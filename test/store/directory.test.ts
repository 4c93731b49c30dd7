import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import { fileSource } from '../../lib/files/read.ts';
import { createDirectoryStore } from '../../lib/store/directory.ts';
import { parseStorePath } from '../../lib/store/path.ts';
import { bytesSource } from '../../lib/store/source.ts';
import type { ByteSource, Expect, Store, StoreVersion, WriteOptions } from '../../lib/store/store.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { withFullDisk } from '../support/full-disk.ts';
import { collect } from '../support/bytes.ts';

const PATH = parseStorePath('metal/x86_64/timestamp.json');

async function newStore(t: TestContext): Promise<{ readonly root: string; readonly store: Store }> {
  const root = join(await temporaryDirectory(t), 'public');
  return { root, store: createDirectoryStore(root) };
}

function options(expect: Expect): WriteOptions {
  return { expect, cacheClass: 'revalidate', contentType: 'application/json' };
}

async function put(store: Store, text: string, expect: Expect = 'absent'): Promise<StoreVersion> {
  return store.write(PATH, bytesSource(Buffer.from(text)), options(expect));
}

async function textOf(store: Store): Promise<string> {
  return (await collect((await store.read(PATH)).body)).toString();
}

/** Every file below, the locks of the store apart. */
async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory() && !entry.parentPath.endsWith('/.gantry')).map(({ name }) => name);
}

test('write() makes the object when nothing is there and nothing is expected', async (t) => {
  const { root, store } = await newStore(t);
  assert.equal(await store.head(PATH), undefined);
  const version = await put(store, 'one');
  const { mtime: modified } = await stat(join(root, ...PATH.split('/')), { bigint: true });
  const info = { path: PATH, lengthBytes: 3, version, modified };
  assert.deepEqual(await store.head(PATH), info);
  assert.deepEqual((await store.read(PATH)).info, info);
  assert.equal(await textOf(store), 'one');
  assert.deepEqual(await filesIn(root), ['timestamp.json']);
});

test('write() throws store/conflict and changes nothing when the object is there', async (t) => {
  const { root, store } = await newStore(t);
  const version = await put(store, 'one');
  await assert.rejects(put(store, 'two'), {
    code: 'store/conflict',
    details: { path: PATH, expected: 'nothing', found: `version ${version}` },
    message: `Cannot write "${PATH}": found version ${version}; expected nothing`,
  });
  assert.equal(await textOf(store), 'one');
  assert.deepEqual(await filesIn(root), ['timestamp.json']);
});

test('write() replaces the object when its version is the expected one', async (t) => {
  const { store } = await newStore(t);
  const first = await put(store, 'one');
  const second = await put(store, 'two', { version: first });
  assert.notEqual(second, first);
  assert.equal(await textOf(store), 'two');
  await assert.rejects(put(store, 'three', { version: first }), {
    code: 'store/conflict',
    details: { path: PATH, expected: `version ${first}`, found: `version ${second}` },
  });
  assert.equal(await textOf(store), 'two');
});

test('write() throws store/conflict when the expected version is gone', async (t) => {
  const { store } = await newStore(t);
  const first = await put(store, 'one');
  await store.remove(PATH);
  await store.remove(PATH);
  await assert.rejects(put(store, 'two', { version: first }), {
    code: 'store/conflict',
    details: { path: PATH, expected: `version ${first}`, found: 'nothing' },
  });
  assert.equal(await store.head(PATH), undefined);
});

test('write() throws store/source-changed and leaves nothing when the source is not what it says', async (t) => {
  const { root, store } = await newStore(t);
  const source = bytesSource(Buffer.from('honest'));
  const lies: readonly (readonly [lie: Partial<ByteSource>, problem: string])[] = [
    [{ lengthBytes: 5 }, 'more than 5 bytes; expected 5'],
    [{ lengthBytes: 7 }, `6 bytes, SHA-256 ${source.sha256}; expected 7`],
    [{ sha256: '0'.repeat(64) }, `6 bytes, SHA-256 ${source.sha256}; expected 6`],
  ];
  for (const [lie, problem] of lies) {
    await assert.rejects(store.write(PATH, { ...source, ...lie }, options('absent')), {
      code: 'store/source-changed',
      details: { path: PATH },
      message: `Cannot write "${PATH}": its source gave ${problem} bytes, SHA-256 "${lie.sha256 ?? source.sha256}"`,
    });
  }
  assert.deepEqual(await filesIn(root), []);
});

test('write() leaves nothing when its source fails or it is cancelled', async (t) => {
  const { root, store } = await newStore(t);
  const controller = new AbortController();
  const source = {
    ...bytesSource(Buffer.alloc(8)),
    async *open() {
      yield Buffer.alloc(4);
      controller.abort();
      yield Buffer.alloc(4);
    },
  };
  await assert.rejects(store.write(PATH, source, { ...options('absent'), signal: controller.signal }), {
    name: 'GantryError',
    code: 'aborted',
  });
  const broken = {
    ...source,
    async *open() {
      yield Buffer.alloc(4);
      throw new RangeError('the disk of the image is gone');
    },
  };
  await assert.rejects(store.write(PATH, broken, options('absent')), RangeError);
  assert.deepEqual(await filesIn(root), []);
});

test('read() throws store/missing when there is no such object', async (t) => {
  const { root, store } = await newStore(t);
  const expected = { code: 'store/missing', details: { path: PATH }, message: `Cannot read "${PATH}": it is not in the store` };
  await assert.rejects(store.read(PATH), expected);
  await mkdir(join(root, PATH), { recursive: true });
  assert.equal(await store.head(PATH), undefined);
  await assert.rejects(store.read(PATH), expected);
  await rm(join(root, PATH), { recursive: true });
  execFileSync('mkfifo', [join(root, PATH)]);
  await assert.rejects(store.read(PATH), expected);
});

test('read() goes on with the old bytes when the object is replaced meanwhile', async (t) => {
  const { store } = await newStore(t);
  const version = await put(store, 'one');
  const { body } = await store.read(PATH);
  await put(store, 'two', { version });
  assert.equal((await collect(body)).toString(), 'one');
});

test('read() keeps no file open when nobody reads the body', async (t) => {
  const { store } = await newStore(t);
  await put(store, 'x'.repeat(3 << 20));
  const openFiles = async (): Promise<number> => (await readdir('/dev/fd')).length;
  const before = await openFiles();
  const { body } = await store.read(PATH);
  await store.read(PATH);
  assert.equal(await openFiles(), before);
  for await (const chunk of body) {
    assert.equal(chunk.length, 1 << 20);
    break;
  }
  assert.equal(await openFiles(), before);
});

test('read() throws store/failed when a large object is replaced before its bytes are read', async (t) => {
  const { store } = await newStore(t);
  const version = await put(store, 'x'.repeat(3 << 20));
  const { body } = await store.read(PATH);
  await put(store, 'y'.repeat(3 << 20), { version });
  await assert.rejects(collect(body), { code: 'store/failed', details: { path: PATH, call: 'read' } });
});

test('a symbolic link is no object when it stands in the place of one', async (t) => {
  const { root, store } = await newStore(t);
  const outside = join(root, '..', 'secret');
  await writeFile(outside, 'secret');
  await mkdir(join(root, 'metal', 'x86_64'), { recursive: true });
  await symlink(outside, join(root, PATH));
  assert.equal(await store.head(PATH), undefined);
  await assert.rejects(store.read(PATH), { code: 'store/denied', details: { path: PATH }, message: /symbolic link/u });
  assert.deepEqual(await namesIn(store), []);
  await put(store, 'ours');
  assert.equal(await readFile(outside, 'utf8'), 'secret');
  assert.equal(await textOf(store), 'ours');
});

test('every call throws store/denied when a folder on the way is a symbolic link', async (t) => {
  const { root, store } = await newStore(t);
  const outside = join(root, '..', 'outside');
  await mkdir(join(outside, 'x86_64'), { recursive: true });
  await writeFile(join(outside, 'x86_64', 'timestamp.json'), 'theirs');
  await mkdir(root);
  await symlink(outside, join(root, 'metal'));
  const denied = { code: 'store/denied', details: { path: PATH }, message: /metal" is a symbolic link; expected none inside a store$/u };
  for (const attempt of [store.head(PATH), store.read(PATH), put(store, 'ours'), store.remove(PATH)]) await assert.rejects(attempt, denied);
  assert.deepEqual(await namesIn(store), []);
  assert.equal(await readFile(join(outside, 'x86_64', 'timestamp.json'), 'utf8'), 'theirs');
});

async function namesIn(store: Store, prefix = ''): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { path } of store.list(prefix)) names.push(path);
  return names.toSorted();
}

test('list() names what is served and nothing else when the folder holds more', async (t) => {
  const { root, store } = await newStore(t);
  assert.deepEqual(await namesIn(store), []);
  await put(store, 'one');
  await mkdir(join(root, '.git'));
  await mkdir(join(root, 'targets'));
  for (const name of ['.git/config', '.hidden', 'targets/.part', 'targets/a name with spaces', 'targets/root.img', 'index.html']) {
    await writeFile(join(root, name), '');
  }
  assert.deepEqual(await namesIn(store), ['index.html', PATH, 'targets/root.img']);
  assert.deepEqual(await namesIn(store, 'metal/'), [PATH]);
});

test('write() and remove() throw store/denied and touch nothing when what the store keeps for itself is a symbolic link', async (t) => {
  const { root, store } = await newStore(t);
  const outside = join(root, '..', 'outside');
  await mkdir(join(outside, 'uploads', 'precious'), { recursive: true });
  await writeFile(join(outside, 'precious'), '');
  for (const name of ['.gantry', '.gantry/uploads', '.gantry/lock.sqlite', '.gantry/claims.sqlite']) {
    await rm(root, { recursive: true, force: true });
    await mkdir(join(root, name, '..'), { recursive: true });
    await symlink(name.endsWith('.sqlite') ? join(outside, 'new') : outside, join(root, name));
    const denied = { code: 'store/denied', details: { path: PATH }, message: /is a symbolic link; expected none inside a store$/u };
    await assert.rejects(put(store, 'one'), denied, name);
    await assert.rejects(store.remove(PATH), denied, name);
    assert.equal(await store.head(PATH), undefined);
    assert.deepEqual((await readdir(outside, { recursive: true })).toSorted(), ['precious', 'uploads', 'uploads/precious']);
  }
});

test('write() throws what its source throws when the source cannot be read', async (t) => {
  const { root, store } = await newStore(t);
  const gone = join(root, '..', 'root.img');
  await assert.rejects(store.write(PATH, fileSource(gone, bytesSource(Buffer.from('x'))), options('absent')), {
    code: 'files/missing',
    details: { path: gone },
  });
  assert.deepEqual(await filesIn(root), []);
});

test('write() stops reading when its source gives more than it says', async (t) => {
  const { root, store } = await newStore(t);
  let taken = 0;
  let cancelled = false;
  const endless = {
    ...bytesSource(Buffer.alloc(4)),
    async *open() {
      try {
        for (; ; taken += 1) yield Buffer.alloc(4);
      } finally {
        cancelled = true;
      }
    },
  };
  await assert.rejects(store.write(PATH, endless, options('absent')), { code: 'store/source-changed', message: /gave more than 4 bytes/u });
  assert.deepEqual([taken, cancelled], [1, true]);
  assert.deepEqual(await filesIn(root), []);
});

test('write() keeps the uploads of others when they are under way', async (t) => {
  const { root, store } = await newStore(t);
  const other = parseStorePath('targets/0a.root.img');
  const content = Buffer.from('a large image');
  const slow = {
    ...bytesSource(content),
    async *open() {
      yield content.subarray(0, 4);
      // The lock of the store is free and its uploads are tidied up meanwhile.
      await put(store, 'one');
      yield content.subarray(4);
    },
  };
  await store.write(other, slow, options('absent'));
  assert.equal(await textOf(store), 'one');
  assert.deepEqual(await readFile(join(root, other)), content);
  assert.deepEqual(await readdir(join(root, '.gantry', 'uploads')), []);
});

test('read() and list() throw aborted when the signal has fired', async (t) => {
  const { store } = await newStore(t);
  await put(store, 'x'.repeat(3 << 20));
  const controller = new AbortController();
  const { signal } = controller;
  const { body } = await store.read(PATH, { signal });
  const listed = store.list('', { signal });
  controller.abort();
  await assert.rejects(collect(body), { code: 'aborted' });
  await assert.rejects(store.read(PATH, { signal }), { code: 'aborted' });
  await assert.rejects(
    (async () => {
      for await (const { path } of listed) assert.fail(`${path} is listed`);
    })(),
    { code: 'aborted' },
  );
});

test('write() and remove() throw store/denied and change nothing when the file system is read-only', async (t) => {
  await withFullDisk(t, async (folder) => {
    const store = createDirectoryStore(folder);
    const version = await put(store, 'one');
    execFileSync('mount', ['-o', 'remount,ro', folder]);
    const denied = { code: 'store/denied', details: { path: PATH }, message: /the file system is read-only/u };
    await assert.rejects(put(store, 'two', { version }), denied);
    await assert.rejects(store.remove(PATH), denied);
    assert.equal(await textOf(store), 'one');
    assert.deepEqual(await filesIn(folder), ['timestamp.json']);
  });
});

test('write() throws store/denied and says why when the place cannot be written', async (t) => {
  const { root, store } = await newStore(t);
  await writeFile(root, 'a file, where the store should be');
  await assert.rejects(put(store, 'one'), {
    code: 'store/denied',
    details: { path: PATH },
    message: new RegExp(`^Cannot write "${PATH}" in the store: Cannot write`, 'u'),
  });
  await rm(root);
  await mkdir(root);
  await writeFile(join(root, 'metal'), 'a file, where a folder should be');
  await assert.rejects(put(store, 'one'), { code: 'store/denied', details: { path: PATH } });
  assert.deepEqual(await filesIn(root), ['metal']);
  await rm(join(root, 'metal'));
  await mkdir(join(root, PATH), { recursive: true });
  await assert.rejects(put(store, 'one'), { code: 'store/denied', message: /it is a directory; expected a file/u });
  assert.deepEqual(await filesIn(root), []);
});

test('write() throws files/disk-full and leaves nothing when the disk is full', async (t) => {
  await withFullDisk(t, async (folder) => {
    const store = createDirectoryStore(folder);
    const error = await store.write(PATH, bytesSource(Buffer.alloc(16 << 20)), options('absent')).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(isGantryError(error, 'files/disk-full'), String(error));
    assert.deepEqual(error.details, { path: join(folder, PATH) });
    assert.deepEqual(await filesIn(folder), []);
    await put(store, 'one');
    assert.equal(await textOf(store), 'one');
  });
});

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFile, mkdir, rename, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileSource, fromSystemError, openStableFile, readWholeFile } from '../../lib/files/read.ts';
import { GantryError } from '../../lib/errors.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { collect } from '../support/bytes.ts';

test('openStableFile() reads the content in chunks of its own when the file is large', async (t) => {
  const path = join(await temporaryDirectory(t), 'image');
  const content = Buffer.alloc((2 << 20) + 17, 'gantry');
  await writeFile(path, content);
  const file = await openStableFile(path);
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.read()) chunks.push(chunk);
  await file.assertUnchanged();
  await file.close();
  assert.equal(file.lengthBytes, content.length);
  assert.deepEqual(
    chunks.map(({ length }) => length),
    [1 << 20, 1 << 20, 17],
  );
  assert.deepEqual(Buffer.concat(chunks), content);
});

const changes: Readonly<Record<string, (path: string) => Promise<void>>> = {
  'it grew': async (path) => appendFile(path, 'x'),
  'it was cut': async (path) => truncate(path, 10),
  'it was overwritten with as many bytes': async (path) => writeFile(path, 'y'.repeat(100)),
  'it was overwritten and its date set back': async (path) => {
    await writeFile(path, 'z'.repeat(100));
    await utimes(path, 1, 1);
  },
};

for (const [name, change] of Object.entries(changes)) {
  test(`assertUnchanged() throws files/changed when ${name}`, async (t) => {
    const path = join(await temporaryDirectory(t), 'image');
    await writeFile(path, 'x'.repeat(100));
    await utimes(path, 1, 1);
    const file = await openStableFile(path);
    await change(path);
    await collect(file.read());
    await assert.rejects(file.assertUnchanged(), {
      code: 'files/changed',
      details: { path },
      message: `Cannot use ${JSON.stringify(path)}: it changed while it was read; expected it to hold still`,
    });
    await file.close();
  });
}

test('read() uses two pieces of memory in turn when it is shared, and each chunk holds still until the next is asked for', async (t) => {
  const path = join(await temporaryDirectory(t), 'image');
  const content = Buffer.concat(['a', 'b', 'c', 'd', 'e'].map((letter) => Buffer.alloc(1 << 20, letter)));
  await writeFile(path, content);
  const file = await openStableFile(path);
  t.after(async () => file.close());
  const seen: Buffer[] = [];
  const memory = new Set<ArrayBufferLike>();
  for await (const chunk of file.read('shared')) {
    memory.add(chunk.buffer);
    // Long enough for the reading ahead.
    await new Promise((resolve) => void setTimeout(resolve, 5));
    seen.push(Buffer.from(chunk));
  }
  assert.deepEqual([Buffer.concat(seen).equals(content), memory.size], [true, 2]);
});

test('read() can be left after any chunk, and the file closed', async (t) => {
  const path = join(await temporaryDirectory(t), 'image');
  await writeFile(path, Buffer.alloc(3 << 20));
  const file = await openStableFile(path);
  for await (const chunk of file.read('shared')) {
    assert.equal(chunk.length, 1 << 20);
    break;
  }
  await file.close();
});

test('assertUnchanged() throws files/changed when the content does not end where the size says', async () => {
  const path = '/proc/self/mounts';
  const file = await openStableFile(path);
  assert.equal(file.lengthBytes, 0);
  await file.assertUnchanged();
  assert.notEqual((await collect(file.read())).length, 0);
  await assert.rejects(file.assertUnchanged(), { code: 'files/changed', details: { path } });
  await file.close();
});

test('openStableFile() goes on with the file that it opened when another one takes its name', async (t) => {
  const path = join(await temporaryDirectory(t), 'image');
  await writeFile(path, 'first');
  const file = await openStableFile(path);
  await writeFile(`${path}.new`, 'second');
  await rename(`${path}.new`, path);
  assert.equal((await collect(file.read())).toString(), 'first');
  await file.close();
});

test('openStableFile() throws files/missing when there is no such file', async (t) => {
  const path = join(await temporaryDirectory(t), 'image');
  await assert.rejects(openStableFile(path), {
    code: 'files/missing',
    details: { path },
    message: `Cannot read ${JSON.stringify(path)}: it does not exist`,
  });
});

test('openStableFile() throws files/not-readable when it is a directory', async (t) => {
  const path = await temporaryDirectory(t);
  await mkdir(join(path, 'sub'));
  await assert.rejects(openStableFile(path), {
    code: 'files/not-readable',
    details: { path },
    message: /it is a directory; expected a file/u,
  });
});

test('openStableFile() throws files/not-readable and does not wait when it is a pipe that nobody writes to', async (t) => {
  const path = join(await temporaryDirectory(t), 'pipe');
  execFileSync('mkfifo', [path]);
  await assert.rejects(openStableFile(path), { code: 'files/not-readable', message: /it is a device or a pipe; expected a file/u });
});

test('readWholeFile() throws files/not-readable when there are more bytes than allowed', async (t) => {
  const path = join(await temporaryDirectory(t), 'key.pem');
  await writeFile(path, 'x'.repeat(11));
  await assert.rejects(readWholeFile(path, { maxBytes: 10 }), {
    code: 'files/not-readable',
    details: { path },
    message: /more than 10 bytes/u,
  });
  assert.equal((await readWholeFile(path, { maxBytes: 11 })).length, 11);
});

test('fileSource() can be opened twice when it is a file', async (t) => {
  const path = join(await temporaryDirectory(t), 'object');
  await writeFile(path, 'content');
  const source = fileSource(path, { lengthBytes: 7, sha256: 'a'.repeat(64) });
  assert.equal((await collect(source.open())).toString(), 'content');
  assert.equal((await collect(source.open())).toString(), 'content');
});

test('fromSystemError() gives one of our codes when the system refuses', () => {
  const table: readonly (readonly [string, string, string])[] = [
    ['ENOENT', 'files/missing', 'files/missing'],
    ['ENOTDIR', 'files/missing', 'files/missing'],
    ['EISDIR', 'files/not-readable', 'files/not-writable'],
    ['EACCES', 'files/not-readable', 'files/not-writable'],
    ['EPERM', 'files/not-readable', 'files/not-writable'],
    ['EROFS', 'files/not-readable', 'files/not-writable'],
    ['ENOSPC', 'files/disk-full', 'files/disk-full'],
    ['EDQUOT', 'files/disk-full', 'files/disk-full'],
    ['EFBIG', 'files/disk-full', 'files/disk-full'],
    ['EEXIST', 'files/exists', 'files/exists'],
    ['EIO', 'files/not-readable', 'files/not-writable'],
    ['EMFILE', 'files/not-readable', 'files/not-writable'],
  ];
  for (const [systemCode, reading, writing] of table) {
    const cause = Object.assign(new Error(`${systemCode}: some words, open '/tmp/\u001b[2J'`), { code: systemCode, syscall: 'open' });
    for (const [what, code] of [
      ['read', reading],
      ['write', writing],
    ] as const) {
      const error = fromSystemError(cause, '/srv/\u001b[2Jx', what);
      assert.ok(error instanceof GantryError, systemCode);
      assert.equal(error.code, code, `${what} ${systemCode}`);
      assert.deepEqual(error.details, { path: '/srv/\u001b[2Jx' });
      assert.equal(error.cause, cause);
      assert.ok(error.message.startsWith(`Cannot ${what} "/srv/\\u001b[2Jx": `), error.message);
      assert.ok(!error.message.includes('\u001b'), error.message);
    }
  }
});

test('fromSystemError() gives back what it got when no system call failed', () => {
  const own = new GantryError('files/missing', 'Cannot read', { path: 'x' });
  const ours = Object.assign(new TypeError('wrong argument'), { code: 'ERR_INVALID_ARG_TYPE' });
  const abort = new DOMException('stopped', 'AbortError');
  for (const error of [own, ours, abort, 'text', undefined]) assert.equal(fromSystemError(error, 'x', 'read'), error);
});

test('openStableFile() reads a part of a file as if it were one', async (t) => {
  const path = join(await temporaryDirectory(t), 'image');
  const content = Buffer.concat([Buffer.alloc(1000, 'a'), Buffer.alloc((1 << 20) + 5, 'b'), Buffer.alloc(3000, 'c')]);
  await writeFile(path, content);
  const whole = await openStableFile(path);
  const { identity } = whole;
  await whole.close();
  const lengthBytes = (1 << 20) + 5;
  const part = await openStableFile({ path, offset: 1000, lengthBytes, identity });
  assert.equal(part.lengthBytes, lengthBytes);
  assert.deepEqual(await collect(part.read()), Buffer.alloc(lengthBytes, 'b'));
  assert.deepEqual(await collect(part.read('shared')), Buffer.alloc(lengthBytes, 'b'));
  assert.equal(Buffer.from(await part.readAt(lengthBytes - 3, 100)).toString(), 'bbb');
  assert.equal((await part.readAt(lengthBytes + 1, 100)).length, 0);
  await part.assertUnchanged();
  await part.close();
});

test('openStableFile() says files/changed of a part that ends behind its file, or of a file that is another one', async (t) => {
  const path = join(await temporaryDirectory(t), 'image');
  await writeFile(path, 'a'.repeat(1000));
  const whole = await openStableFile(path);
  const { identity } = whole;
  await whole.close();
  const part = await openStableFile({ path, offset: 900, lengthBytes: 101, identity });
  assert.equal((await collect(part.read())).length, 100);
  await assert.rejects(part.assertUnchanged(), { code: 'files/changed' });
  await part.close();
  await appendFile(path, 'a');
  await assert.rejects(openStableFile({ path, offset: 900, lengthBytes: 100, identity }), { code: 'files/changed', details: { path } });
});

test('openStableFile() says how much a file with holes takes on the disk', async (t) => {
  const path = join(await temporaryDirectory(t), 'image');
  await writeFile(path, 'a');
  await truncate(path, 10 << 20);
  const file = await openStableFile(path);
  assert.ok(file.allocatedBytes > 0 && file.allocatedBytes < 1 << 20, String(file.allocatedBytes));
  await file.close();
});

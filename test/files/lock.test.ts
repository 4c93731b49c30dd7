import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { appendFile, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { withLock } from '../../lib/files/lock.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { withFullDisk } from '../support/full-disk.ts';

const LOCK_MODULE = JSON.stringify(new URL('../../lib/files/lock.ts', import.meta.url).href);

/** Another process; what it prints comes out of `output`, all of it. */
function run(t: TestContext, code: string): ChildProcess & { readonly output: () => Promise<readonly [stdout: string, stderr: string]> } {
  const child = spawn(process.execPath, ['--input-type=module', '-e', `import { withLock } from ${LOCK_MODULE}; ${code}`], {
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  t.after(() => child.kill('SIGKILL'));
  const texts = Promise.all([textOf(child.stdout), textOf(child.stderr)]);
  return Object.assign(child, { output: async () => texts });
}

async function textOf(stream: AsyncIterable<unknown>): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

/** A process that holds the lock until it is killed. */
async function holder(t: TestContext, path: string): Promise<ChildProcess> {
  const ready = `${path}.ready`;
  const child = run(
    t,
    `import { writeFileSync } from 'node:fs';
     await withLock(${JSON.stringify(path)}, { waitMs: 0 }, async () => {
       writeFileSync(${JSON.stringify(ready)}, '');
       await new Promise((resolve) => setTimeout(resolve, 60_000));
     });`,
  );
  for (;;) {
    if (await readFile(ready).catch(() => undefined)) return child;
    assert.equal(child.exitCode, null, 'the holder ended before it held anything');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('withLock() lets one at a time in when several processes want it', async (t) => {
  const folder = await temporaryDirectory(t);
  const [path, log] = [join(folder, 'lock.sqlite'), join(folder, 'log')];
  const code = `import { appendFile } from 'node:fs/promises';
    for (let i = 0; i < 5; i += 1) await withLock(${JSON.stringify(path)}, { waitMs: 30_000 }, async () => {
      await appendFile(${JSON.stringify(log)}, process.pid + ' in\\n');
      await new Promise((resolve) => setTimeout(resolve, 2));
      await appendFile(${JSON.stringify(log)}, process.pid + ' out\\n');
    });`;
  const children = Array.from({ length: 3 }, () => run(t, code));
  const outputs = await Promise.all(children.map(async (child) => child.output()));
  // Loading SQLite warns on some of the Nodes that are supported; a clean stderr is part of the promise.
  assert.deepEqual(outputs, [
    ['', ''],
    ['', ''],
    ['', ''],
  ]);
  const lines = (await readFile(log, 'utf8')).trim().split('\n');
  assert.equal(lines.length, 30);
  for (let index = 0; index < lines.length; index += 2) {
    assert.equal(lines[index + 1], lines[index]?.replace(' in', ' out'));
  }
});

test('withLock() throws files/locked when another process keeps it', async (t) => {
  const path = join(await temporaryDirectory(t), 'lock.sqlite');
  await holder(t, path);
  let entered = false;
  const attempt = withLock(path, { waitMs: 60 }, async () => {
    entered = true;
  });
  await assert.rejects(attempt, {
    code: 'files/locked',
    details: { path },
    message: `Cannot go on: somebody else holds ${JSON.stringify(path)}; expected it to be free within 60 ms`,
  });
  assert.equal(entered, false);
});

test('withLock() gets the lock when its holder is killed', async (t) => {
  const path = join(await temporaryDirectory(t), 'lock.sqlite');
  const child = await holder(t, path);
  const waiting = withLock(path, { waitMs: 30_000 }, async () => 'mine');
  child.kill('SIGKILL');
  assert.equal(await waiting, 'mine');
});

test('withLock() throws aborted when the signal fires while another process keeps it', async (t) => {
  const path = join(await temporaryDirectory(t), 'lock.sqlite');
  await holder(t, path);
  const controller = new AbortController();
  const waiting = withLock(path, { waitMs: 30_000, signal: controller.signal }, async () => 'mine');
  setTimeout(() => controller.abort(), 30);
  await assert.rejects(waiting, { name: 'GantryError', code: 'aborted' });
  const early = withLock(`${path}.other`, { waitMs: 0, signal: AbortSignal.abort() }, async () => 'mine');
  await assert.rejects(early, { name: 'GantryError', code: 'aborted' });
});

test('withLock() lets them in by turns when two of this process want it', async (t) => {
  const folder = await temporaryDirectory(t);
  const [path, log] = [join(folder, 'lock.sqlite'), join(folder, 'log')];
  const turn = async (name: string): Promise<string> =>
    withLock(path, { waitMs: 30_000 }, async () => {
      await appendFile(log, `${name} in,`);
      await new Promise((resolve) => setTimeout(resolve, 5));
      await appendFile(log, `${name} out,`);
      return name;
    });
  assert.deepEqual(await Promise.all(['a', 'b', 'c'].map(turn)), ['a', 'b', 'c']);
  assert.equal(await readFile(log, 'utf8'), 'a in,a out,b in,b out,c in,c out,');
});

test('withLock() throws files/locked or aborted when another of this process keeps it', async (t) => {
  const path = join(await temporaryDirectory(t), 'lock.sqlite');
  let release = (): void => undefined;
  const held = withLock(path, { waitMs: 0 }, async () => new Promise<void>((resolve) => (release = resolve)));
  await assert.rejects(
    withLock(path, { waitMs: 30 }, async () => 'mine'),
    { code: 'files/locked', details: { path } },
  );
  const controller = new AbortController();
  const waiting = withLock(path, { waitMs: 30_000, signal: controller.signal }, async () => 'mine');
  setTimeout(() => controller.abort(), 10);
  await assert.rejects(waiting, { code: 'aborted' });
  const last = withLock(path, { waitMs: 30_000 }, async () => 'mine');
  release();
  await held;
  assert.equal(await last, 'mine');
});

test('withLock() is free again when the work threw', async (t) => {
  const folder = await temporaryDirectory(t);
  const path = join(folder, 'lock.sqlite');
  await assert.rejects(
    withLock(path, { waitMs: 0 }, async () => Promise.reject(new RangeError('no'))),
    RangeError,
  );
  assert.equal(await withLock(path, { waitMs: 0 }, async () => 1), 1);
  assert.deepEqual(await readdir(folder), ['lock.sqlite']);
});

test('withLock() throws files/not-writable and lets nobody in when the lock file is read-only', async (t) => {
  await withFullDisk(t, async (folder) => {
    const path = join(folder, 'lock.sqlite');
    await withLock(path, { waitMs: 0 }, async () => undefined);
    execFileSync('mount', ['-o', 'remount,ro', folder]);
    let entered = false;
    const attempt = withLock(path, { waitMs: 0 }, async () => {
      entered = true;
    });
    await assert.rejects(attempt, { code: 'files/not-writable', details: { path }, message: /the file system is read-only$/u });
    assert.equal(entered, false);
  });
});

test('withLock() throws files/not-writable when the lock file cannot be one', async (t) => {
  const folder = await temporaryDirectory(t);
  await mkdir(join(folder, 'directory'));
  await writeFile(join(folder, 'other'), 'this is no database, and it is long enough to be looked at as one'.repeat(20));
  for (const name of ['directory', 'other']) {
    const path = join(folder, name);
    await assert.rejects(
      withLock(path, { waitMs: 0 }, async () => 1),
      { code: 'files/not-writable', details: { path }, message: /^Cannot lock "/u },
    );
  }
});

test('withLock() lets in one process at a time when each removes the file, and leaves none', async (t) => {
  const directory = await temporaryDirectory(t);
  const [path, counter] = [join(directory, 'lock'), join(directory, 'counter')];
  await writeFile(counter, '0');
  const code = `import { readFile, writeFile } from 'node:fs/promises';
    for (let round = 0; round < 30; round += 1) {
      await withLock(${JSON.stringify(path)}, { waitMs: 60_000, after: 'remove' }, async () => {
        const count = Number(await readFile(${JSON.stringify(counter)}, 'utf8'));
        await writeFile(${JSON.stringify(counter)}, String(count + 1));
      });
    }`;
  const outputs = await Promise.all(Array.from({ length: 4 }, async () => run(t, code).output()));
  for (const [, stderr] of outputs) assert.equal(stderr, '');
  assert.equal(await readFile(counter, 'utf8'), '120');
  assert.deepEqual(await readdir(directory), ['counter']);
});

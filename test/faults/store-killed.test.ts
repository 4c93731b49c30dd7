/** Writers that are killed: what they held is free at once, what they wrote is not visible, and nothing of them stays. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { withLock } from '../../lib/files/lock.ts';
import { createDirectoryStore } from '../../lib/store/directory.ts';
import { parseStorePath } from '../../lib/store/path.ts';
import { bytesSource } from '../../lib/store/source.ts';
import type { WriteOptions } from '../../lib/store/store.ts';
import { temporaryDirectory } from '../support/engineer.ts';

const PATH = parseStorePath('metal/x86_64/timestamp.json');
const OPTIONS: WriteOptions = { expect: 'absent', cacheClass: 'revalidate', contentType: 'application/json' };
const module = (path: string): string => JSON.stringify(new URL(`../../lib/${path}`, import.meta.url).href);

/** A process that is killed where its code prints something. */
async function stoppedAt(t: TestContext, code: string, root: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, '--', root], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

const UPLOADER = `
  import { createDirectoryStore } from ${module('store/directory.ts')};
  await createDirectoryStore(process.argv[1]).write(${JSON.stringify(PATH)}, { lengthBytes: 8, sha256: '0'.repeat(64), async *open() {
    yield Buffer.from('half');
    yield Buffer.from('h');
    process.stdout.write('half');
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  } }, ${JSON.stringify(OPTIONS)});`;

test('write() shows nothing of a writer that was killed in mid-upload and removes what it left', async (t) => {
  const root = join(await temporaryDirectory(t), 'public');
  const uploads = join(root, '.gantry', 'uploads');
  const killed = await stoppedAt(t, UPLOADER, root);
  const alive = await stoppedAt(t, UPLOADER, root);
  const [first = '', second = ''] = await readdir(uploads);
  await kill(killed);
  const store = createDirectoryStore(root);
  assert.equal(await store.head(PATH), undefined);
  for await (const { path } of store.list('')) assert.fail(`${path} is listed`);
  assert.deepEqual((await readdir(uploads)).toSorted(), [first, second].toSorted());

  await store.write(PATH, bytesSource(Buffer.from('whole')), OPTIONS);
  assert.equal(await readFile(join(root, PATH), 'utf8'), 'whole');
  const [left = '', ...more] = await readdir(uploads);
  assert.ok([first, second].includes(left));
  assert.deepEqual(more, []);

  await kill(alive);
  await store.write(parseStorePath('other'), bytesSource(Buffer.from('x')), OPTIONS);
  assert.deepEqual(await readdir(uploads), []);
});

test('write() goes on at once when the holder of the lock of the store was killed', async (t) => {
  const root = join(await temporaryDirectory(t), 'public');
  const lock = join(root, '.gantry', 'lock.sqlite');
  const holder = await stoppedAt(
    t,
    `import { withLock } from ${module('files/lock.ts')};
     await withLock(process.argv[1] + '/.gantry/lock.sqlite', { waitMs: 0 }, async () => {
       process.stdout.write('held');
       await new Promise((resolve) => setTimeout(resolve, 60_000));
     });`,
    root,
  );
  await assert.rejects(
    withLock(lock, { waitMs: 0 }, async () => 'mine'),
    { code: 'files/locked' },
  );
  const store = createDirectoryStore(root);
  const waiting = store.write(PATH, bytesSource(Buffer.from('one')), OPTIONS);
  await kill(holder);
  await waiting;
  // Not after a lease has run out: no wait at all.
  assert.equal(await withLock(lock, { waitMs: 0 }, async () => 'mine'), 'mine');
  assert.equal(await readFile(join(root, PATH), 'utf8'), 'one');
});

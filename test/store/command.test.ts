/** The store behind a program: the one that ships as an example, and programs that break the contract. */
import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import { createCommandStore } from '../../lib/store/command.ts';
import { parseStorePath } from '../../lib/store/path.ts';
import { bytesSource } from '../../lib/store/source.ts';
import type { Expect, Store, StorePath } from '../../lib/store/store.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { collect } from '../support/bytes.ts';

const EXAMPLE = join(import.meta.dirname, '..', '..', 'repo-layout', 'hosting', 'store-command.sh');
const PATH = parseStorePath('metal/x86_64/timestamp.json');

interface Example {
  readonly store: Store;
  readonly folder: string;
}

async function example(t: TestContext): Promise<Example> {
  const directory = await temporaryDirectory(t);
  const folder = join(directory, 'objects');
  await mkdir(folder);
  return { folder, store: createCommandStore({ program: [EXAMPLE, folder], directory, env: process.env }) };
}

/** A store behind a shell script of one line. */
async function scripted(t: TestContext, script: string, mode = 0o755): Promise<Store> {
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, 'store.sh'), `#!/bin/sh\n${script}\n`, { mode });
  return createCommandStore({ program: ['./store.sh'], directory, env: { PATH: process.env['PATH'], SECRET: 'known' } });
}

const write = async (store: Store, text: string, expect: Expect, path: StorePath = PATH): ReturnType<Store['write']> =>
  store.write(path, bytesSource(Buffer.from(text)), { expect, cacheClass: 'revalidate', contentType: 'application/json' });
const textOf = async (store: Store, path = PATH): Promise<string> => (await collect((await store.read(path)).body)).toString();

test('a command store reads back what it wrote, and its head says as much', async (t) => {
  const { store } = await example(t);
  assert.equal(await store.head(PATH), undefined);
  await assert.rejects(store.read(PATH), { code: 'store/missing' });
  const version = await write(store, 'one', 'absent');
  assert.equal(await textOf(store), 'one');
  const { modified, ...info } = (await store.head(PATH)) ?? {};
  assert.deepEqual(info, { path: PATH, lengthBytes: 3, version });
  assert.equal(modified, undefined);
});

test('a command store refuses what is not as expected, and replaces what is', async (t) => {
  const { store } = await example(t);
  const first = await write(store, 'one', 'absent');
  await assert.rejects(write(store, 'two', 'absent'), { code: 'store/conflict' });
  const second = await write(store, 'two', { version: first });
  await assert.rejects(write(store, 'three', { version: first }), { code: 'store/conflict' });
  assert.notEqual(second, first);
  assert.equal(await textOf(store), 'two');
});

test('a command store gives one of eight writers the object', async (t) => {
  const { store } = await example(t);
  const base = await write(store, 'base', 'absent');
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, async (_, index) => write(store, `${index}`, { version: base })));
  const won = outcomes.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []));
  assert.equal(won.length, 1);
  assert.equal(await textOf(store), String(won[0]));
});

test('a command store lists and removes', async (t) => {
  const { store, folder } = await example(t);
  const other = parseStorePath('targets/a.img');
  await write(store, 'one', 'absent');
  await write(store, 'two', 'absent', other);
  const names: string[] = [];
  for await (const { path, lengthBytes } of store.list('targets/')) names.push(`${path} ${lengthBytes}`);
  assert.deepEqual(names, ['targets/a.img 3']);
  await store.remove(other);
  assert.equal(await store.head(other), undefined);
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.startsWith('.upload')),
    [],
  );
});

test('a command store never ends the input of a program whose bytes turned out wrong', async (t) => {
  const directory = await temporaryDirectory(t);
  const store = await scripted(t, `cat > ${directory}/received && touch ${directory}/ended`);
  const lying = { ...bytesSource(Buffer.from('right')), open: () => bytesSource(Buffer.from('wrong')).open() };
  await assert.rejects(store.write(PATH, lying, { expect: 'absent', cacheClass: 'immutable', contentType: 'text/plain' }), {
    code: 'store/source-changed',
  });
  assert.ok(!(await readdir(directory)).includes('ended'));
});

test('a command store throws what the source of the bytes throws', async (t) => {
  const store = await scripted(t, 'cat >/dev/null');
  const torn = {
    ...bytesSource(Buffer.from('x')),
    // oxlint-disable-next-line require-yield -- it fails before its first byte
    async *open(): AsyncGenerator<Uint8Array, void, undefined> {
      throw new RangeError('torn');
    },
  };
  await assert.rejects(store.write(PATH, torn, { expect: 'absent', cacheClass: 'immutable', contentType: 'text/plain' }), RangeError);
});

test('a command store tells its program what is expected, the headers, and no secret', async (t) => {
  const directory = await temporaryDirectory(t);
  const store = await scripted(
    t,
    `[ "$1" = head ] && echo '{"version": "7", "length": 3}' && exit; env > ${directory}/env; cat >/dev/null`,
  );
  assert.equal(await write(store, 'one', { version: '6' as Awaited<ReturnType<typeof write>> }), '7');
  const lines = (await readFile(join(directory, 'env'), 'utf8')).split('\n').filter((line) => /^(?:GANTRY_|SECRET)/u.test(line));
  assert.deepEqual(lines.toSorted(), [
    'GANTRY_CACHE_CONTROL=public, max-age=60, must-revalidate',
    'GANTRY_CONTENT_TYPE=application/json',
    'GANTRY_EXPECT=6',
    'GANTRY_LENGTH=3',
    'GANTRY_SHA256=7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed',
    'SECRET=known',
  ]);
});

test('a command store says what its program did', async (t) => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['exit 11', 'store/conflict', /"\.\/store\.sh" found something else than expected/u],
    ['echo "no such zone" >&2; exit 12', 'store/denied', /may not; it says "no such zone"/u],
    ['echo torn; exit 3', 'store/failed', /it ended with exit code 3; expected exit code 0, 10, 11 or 12/u],
    ['kill -9 $$', 'store/failed', /it was stopped by SIGKILL/u],
    ['echo hello', 'store/failed', /the program wrote "hello"; expected a line such as/u],
    ['true', 'store/failed', /the program wrote ""; expected a line such as/u],
    [`head -c 40000 /dev/zero | tr '\\0' x`, 'store/failed', /a line of more than 16384 bytes/u],
  ];
  for (const [script, code, message] of cases) {
    const store = await scripted(t, script);
    await assert.rejects(store.head(PATH), (error) => isGantryError(error) && error.code === code && message.test(error.message), script);
  }
  const notExecutable = await scripted(t, 'true', 0o644);
  await assert.rejects(notExecutable.head(PATH), { code: 'store/failed', message: /it is not executable/u });
  const absent = createCommandStore({ program: ['./no-such-program'], directory: '/', env: {} });
  await assert.rejects(absent.head(PATH), { code: 'store/failed', message: /there is no such program/u });
});

test('a command store stops its program when it is cancelled', async (t) => {
  const store = await scripted(t, 'sleep 60');
  await assert.rejects(store.head(PATH, { signal: AbortSignal.timeout(100) }));
});

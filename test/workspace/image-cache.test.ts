import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { open, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { decodeFrameTable, type FrameTable, type TableVerity } from '../../lib/image/frame-table.ts';
import { compressImage, type CompressedImage, type CompressOptions, type PrepareProgress } from '../../lib/workspace/compress-image.ts';
import { createWorkspace } from '../../lib/workspace/create.ts';
import { listCache, removeEntries } from '../../lib/workspace/image-cache.ts';
import { objectPath, openObject } from '../../lib/workspace/objects.ts';
import type { Workspace } from '../../lib/workspace/workspace.ts';
import { imageBytes } from '../support/bytes.ts';
import { METAL, temporaryDirectory } from '../support/engineer.ts';

const run = promisify(execFile);
const MIB = 1 << 20;
const IMAGE = imageBytes(2 * MIB + 5000);

interface Scene {
  readonly workspace: Workspace;
  readonly path: string;
  readonly cache: string;
  compress(options?: Partial<CompressOptions>): Promise<CompressedImage>;
}

async function scene(t: TestContext, cacheMaxBytes?: number): Promise<Scene> {
  const directory = await temporaryDirectory(t);
  const made = await createWorkspace(join(directory, 'os'), { product: 'os', repositories: [METAL], store: '../public' });
  const workspace = { ...made, config: { ...made.config, ...(cacheMaxBytes === undefined ? {} : { cacheMaxBytes }) } };
  const path = join(directory, 'image');
  await writeFile(path, IMAGE);
  return {
    workspace,
    path,
    cache: join(workspace.directory, '.gantry', 'cache'),
    compress: async (options) => compressImage(workspace, { image: 'root', source: path, compression: 'zst', level: 1, ...options }),
  };
}

async function onlyEntry({ workspace, cache }: Scene): Promise<string> {
  const [entry, ...more] = await listCache(workspace);
  assert.ok(entry !== undefined && more.length === 0);
  return join(cache, entry.name);
}

/** What is among the objects is what its name says. */
async function assertObjects({ workspace }: Scene, { object, frames }: CompressedImage): Promise<void> {
  for (const one of [object, ...(frames === undefined ? [] : [frames])]) {
    await openObject(workspace, 'image', one);
    assert.equal(hash('sha256', await readFile(objectPath(workspace, one.sha256))), one.sha256);
  }
  const names = await readdir(objectPath(workspace, '.'));
  assert.deepEqual(
    names.filter((name) => !/^[0-9a-f]{64}$/u.test(name)),
    [],
    'nothing half-made stays',
  );
}

for (const compression of ['zst', 'lz4'] as const) {
  test(`compressImage() takes ${compression} out of the cache when the same image comes again`, async (t) => {
    const one = await scene(t);
    const first = await one.compress({ compression });
    assert.equal(first.reused, false);
    await rm(objectPath(one.workspace, '.'), { recursive: true });
    const steps = new Set<PrepareProgress['step']>();
    const second = await one.compress({ compression, onProgress: ({ step }) => steps.add(step) });
    assert.deepEqual(second, { ...first, reused: true });
    assert.deepEqual([...steps], ['check']);
    await assertObjects(one, second);
    const third = await one.compress({ compression });
    assert.equal(third.reused, true);
    await assertObjects(one, third);
  });
}

test('compressImage() puts the dm-verity tree that it is told into the frame table, whether the image comes out of the cache or not', async (t) => {
  const one = await scene(t);
  const tree = (digit: string): TableVerity => ({
    rootHash: digit.repeat(64),
    salt: Uint8Array.of(1, 2),
    uuid: '01234567-89ab-4def-8123-456789abcdef',
    dataBlocks: 512,
  });
  const tableOf = async (verity: TableVerity | undefined): Promise<FrameTable> => {
    const { frames } = await one.compress(verity === undefined ? {} : { verity });
    return decodeFrameTable(await readFile(objectPath(one.workspace, frames?.sha256 ?? assert.fail('it has frames'))));
  };
  for (const verity of [tree('a'), tree('b'), undefined, tree('a')]) assert.deepEqual((await tableOf(verity)).verity, verity);
  assert.equal((await one.compress({ compression: 'lz4', verity: tree('a') })).frames, undefined);
});

test('compressImage() compresses anew when the image, its end, the level or the format is another', async (t) => {
  const one = await scene(t);
  await one.compress();
  assert.equal((await one.compress({ level: 2 })).reused, false);
  assert.equal((await one.compress({ compression: 'lz4' })).reused, false);
  const other = Buffer.from(IMAGE);
  other[other.length - 1] = 1 ^ (other.at(-1) ?? 0);
  await writeFile(one.path, other);
  const changed = await one.compress();
  assert.deepEqual([changed.reused, changed.raw.sha256], [false, hash('sha256', other)]);
  assert.equal((await one.compress()).reused, true, 'with two candidates the right one is found');
  await writeFile(one.path, IMAGE);
  const back = await one.compress();
  assert.deepEqual([back.reused, back.raw.sha256], [true, hash('sha256', IMAGE)]);
  await writeFile(one.path, IMAGE.subarray(0, MIB));
  assert.equal((await one.compress()).raw.lengthBytes, MIB);
  assert.equal((await listCache(one.workspace)).length, 5);
});

async function flip(path: string): Promise<void> {
  const file = await open(path, 'r+');
  const { size } = await file.stat();
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, size >> 1);
  byte[0] = (byte[0] ?? 0) ^ 1;
  await file.write(byte, 0, 1, size >> 1);
  await file.close();
}

const DAMAGES: Readonly<Record<string, (entry: string) => Promise<void>>> = {
  'a flipped bit in the object': async (entry) => flip(join(entry, 'object')),
  'an object cut short': async (entry) => truncate(join(entry, 'object'), 1000),
  'an object that grew': async (entry) => writeFile(join(entry, 'object'), 'more', { flag: 'a' }),
  'no object': async (entry) => rm(join(entry, 'object')),
  'a flipped bit in the frame table': async (entry) => flip(join(entry, 'frames')),
  'a flipped bit in what it says': async (entry) => flip(join(entry, 'entry')),
  'nothing in what it says': async (entry) => truncate(join(entry, 'entry'), 0),
  'another image in what it says': async (entry) => {
    const text = JSON.stringify({ raw: { sha256: '0'.repeat(64), lengthBytes: 1 }, object: { sha256: '0'.repeat(64), lengthBytes: 1 } });
    await writeFile(join(entry, 'entry'), `${text}\n${hash('sha256', text)}\n`);
  },
};

for (const [what, damage] of Object.entries(DAMAGES)) {
  test(`compressImage() makes an image anew, and throws the entry away, when it has ${what}`, async (t) => {
    const one = await scene(t);
    const first = await one.compress();
    await damage(await onlyEntry(one));
    const second = await one.compress();
    assert.deepEqual(second, first);
    await assertObjects(one, second);
    assert.equal((await one.compress()).reused, true, 'the new entry is whole');
    assert.equal((await readdir(one.cache)).length, 1);
  });
}

test('compressImage() throws away lz4 that is damaged, and makes it anew', async (t) => {
  const one = await scene(t);
  const first = await one.compress({ compression: 'lz4' });
  await flip(join(await onlyEntry(one), 'object'));
  const second = await one.compress({ compression: 'lz4' });
  assert.deepEqual(second, first);
  await assertObjects(one, second);
});

test('the cache lets go of what was used longest ago when it is more than the limit', async (t) => {
  const one = await scene(t, 1_600_000);
  const shas: string[] = [];
  for (const seed of ['a', 'b', 'c']) {
    await writeFile(one.path, imageBytes(2 * MIB, seed));
    shas.push((await one.compress()).raw.sha256);
    for (const { name, rawSha256 } of await listCache(one.workspace)) {
      const used = new Date(Date.UTC(2026, 0, 1 + shas.indexOf(rawSha256)));
      await utimes(join(one.cache, name), used, used);
    }
    // The first one is used again, so the second one is the one to go.
    if (seed !== 'b') continue;
    await writeFile(one.path, imageBytes(2 * MIB, 'a'));
    assert.equal((await one.compress()).reused, true);
  }
  const entries = await listCache(one.workspace);
  assert.deepEqual(
    entries.map(({ rawSha256 }) => shas.indexOf(rawSha256)).toSorted((a, b) => a - b),
    [0, 2],
  );
  assert.ok(entries.reduce((sum, { bytes }) => sum + bytes, 0) <= 1_600_000);
});

test('the cache keeps nothing when its limit is 0 or smaller than the image', async (t) => {
  for (const limit of [0, 1000]) {
    const one = await scene(t, limit);
    await one.compress();
    assert.equal((await one.compress()).reused, false);
    assert.equal((await readdir(one.cache).catch(() => [])).length, 0);
  }
});

test('compressImage() succeeds when the cache cannot be written', async (t) => {
  const one = await scene(t);
  await one.compress();
  await rm(one.cache, { recursive: true });
  await writeFile(one.cache, 'a file in its place');
  const done = await one.compress();
  assert.equal(done.reused, false);
  await assertObjects(one, done);
});

test('compressImage() stops with the code `aborted`, and leaves nothing half-made, when the signal fires while it compares', async (t) => {
  const one = await scene(t);
  const first = await one.compress();
  const controller = new AbortController();
  await assert.rejects(one.compress({ signal: controller.signal, onProgress: () => controller.abort() }), { code: 'aborted' });
  await assertObjects(one, first);
  assert.equal((await one.compress()).reused, true);
});

test('the cache removes what a process died over after an hour, and not before', async (t) => {
  const one = await scene(t);
  await one.compress();
  const ago = new Date(Date.now() - 4_000_000);
  for (const name of ['.incoming-old', '.incoming-new']) await writeFile(join(one.cache, name), '');
  await utimes(join(one.cache, '.incoming-old'), ago, ago);
  await one.compress({ level: 2 });
  const names = (await readdir(one.cache)).filter((name) => name.startsWith('.'));
  assert.deepEqual(names, ['.incoming-new']);
});

test('removeEntries() removes entries, and those that are gone already are no error', async (t) => {
  const one = await scene(t);
  const { object } = await one.compress();
  const entries = await listCache(one.workspace);
  assert.equal(entries[0]?.bytes, (await sizeOf(join(one.cache, entries[0]?.name ?? ''))) || undefined);
  await removeEntries(one.workspace, entries);
  await removeEntries(one.workspace, entries);
  assert.deepEqual(await readdir(one.cache), []);
  assert.equal((await stat(objectPath(one.workspace, object.sha256))).size, object.lengthBytes, 'what waits for publication stays');
});

async function sizeOf(folder: string): Promise<number> {
  const sizes = await Promise.all((await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

const at = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);

/** Compresses one of four images, round after round, and clears the cache now and then. */
const busy = ({ workspace, path }: Scene, rounds: number): string => `
  import { hash } from 'node:crypto';
  import { readFile } from 'node:fs/promises';
  import { compressImage } from ${at('../../lib/workspace/compress-image.ts')};
  import { listCache, removeEntries } from ${at('../../lib/workspace/image-cache.ts')};
  import { objectPath } from ${at('../../lib/workspace/objects.ts')};
  const workspace = ${JSON.stringify(workspace)};
  let reused = 0;
  for (let round = 0; round < ${rounds}; round += 1) {
    const done = await compressImage(workspace, { image: 'root', source: ${JSON.stringify(path)}, compression: 'zst', level: 1 + (round % 2) });
    if (done.reused) reused += 1;
    for (const { sha256 } of [done.object, done.frames]) {
      if (hash('sha256', await readFile(objectPath(workspace, sha256))) !== sha256) throw new Error('a wrong object');
    }
    if (round % 5 === 4) await removeEntries(workspace, await listCache(workspace));
    if (round === 0) console.log('begun');
  }
  console.log(reused);`;

test('two processes use one cache, and clear it, without ever getting in each other’s way', async (t) => {
  const one = await scene(t);
  const both = await Promise.all([1, 2].map(async () => run(process.execPath, ['--input-type=module', '-e', busy(one, 20)])));
  const reused = both.map(({ stdout }) => Number(stdout.trim().split('\n').at(-1)));
  assert.ok(
    reused.every((count) => count > 0),
    `reused ${reused.join(' and ')} times`,
  );
  assert.deepEqual(
    (await readdir(one.cache)).filter((name) => name.startsWith('.')),
    [],
  );
});

test('a process that is killed in the middle leaves only whole entries', { timeout: 120_000 }, async (t) => {
  const one = await scene(t);
  for (let kill = 0; kill < 6; kill += 1) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', busy(one, 1000)], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => child.once('close', resolve));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await new Promise((resolve) => void setTimeout(resolve, 7 * kill));
    child.kill('SIGKILL');
    await ended;
    for (const entry of await listCache(one.workspace)) {
      assert.deepEqual((await readdir(join(one.cache, entry.name))).toSorted(), ['entry', 'frames', 'object']);
    }
    for (const level of [1, 2]) {
      const done = await one.compress({ level });
      for (const object of [done.object, done.frames]) {
        assert.equal(hash('sha256', await readFile(objectPath(one.workspace, object?.sha256 ?? ''))), object?.sha256);
      }
    }
  }
});

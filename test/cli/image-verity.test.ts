/** `gantry image verity`, and what is on disk afterwards. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { zstdCompressSync } from 'node:zlib';
import { imageBytes } from '../support/bytes.ts';
import { gantry, type CliResult } from '../support/cli.ts';
import { temporaryDirectory, type Cleanup } from '../support/engineer.ts';
import { SALT, treeOf, UUID } from '../support/verity.ts';

const BLOCK = 4096;
const IMAGE = imageBytes(600 * BLOCK);
const BUILD = ['build', 'root.img', '-o', 'hash.img'];
const SAME = ['--salt', SALT.toString('hex'), '--uuid', UUID.toUpperCase()];

interface Bench {
  readonly directory: string;
  run(...args: readonly string[]): Promise<CliResult>;
  json(...args: readonly string[]): Promise<Record<string, unknown>>;
}

async function bench(t: Cleanup): Promise<Bench> {
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, 'root.img'), IMAGE);
  const run = async (...args: readonly string[]): Promise<CliResult> => gantry(['image', 'verity', ...args], { cwd: directory });
  return {
    directory,
    run,
    async json(...args) {
      const { code, stdout, stderr } = await run(...args, '--json');
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout) as Record<string, unknown>;
    },
  };
}

test('gantry image verity build writes the tree, and verify and show read it', async (t) => {
  const at = await bench(t);
  const expected = await treeOf(IMAGE);
  const built = await at.json(...BUILD, ...SAME);
  const { rootHash } = expected;
  const described = {
    rootHash,
    salt: SALT.toString('hex'),
    uuid: UUID,
    dataBlocks: 600,
    dataBytes: 600 * BLOCK,
    treeBytes: expected.hashImage.length,
  };
  assert.deepEqual(built, { ok: true, file: join(at.directory, 'hash.img'), ...described });
  assert.deepEqual(await readFile(join(at.directory, 'hash.img')), expected.hashImage);
  assert.deepEqual(await at.json('verify', 'root.img', 'hash.img', '--root-hash', rootHash.toUpperCase()), { ok: true, ...described });
  assert.deepEqual(await at.json('show', 'hash.img'), { ok: true, ...described });
  // Compressed images have the tree of what is in them.
  await writeFile(join(at.directory, 'root.img.zst'), zstdCompressSync(IMAGE));
  assert.deepEqual(await at.json('verify', 'root.img.zst', 'hash.img'), { ok: true, ...described });
  await at.json('build', 'root.img.zst', '-o', 'again.img', ...SAME);
  assert.deepEqual(await readFile(join(at.directory, 'again.img')), expected.hashImage);
});

test('gantry image verity build has a random salt, none, or the one of a name', async (t) => {
  const at = await bench(t);
  const build = async (...options: readonly string[]): Promise<unknown> => at.json(...BUILD, '--force', ...options);
  const [one, other] = (await Promise.all([at.json('build', 'root.img', '-o', 'a'), at.json('build', 'root.img', '-o', 'b')])) as {
    salt: string;
  }[];
  assert.match(one?.salt ?? '', /^[0-9a-f]{64}$/u);
  assert.notEqual(one?.salt, other?.salt);
  assert.equal(((await build('--salt', '-')) as { salt: string }).salt, '');
  assert.deepEqual(await build('--salt-from', 'my-os/metal/x86_64'), await build('--salt-from', 'my-os/metal/x86_64'));
});

test('gantry image verity build replaces nothing unless it is told to, and never the image', async (t) => {
  const at = await bench(t);
  await writeFile(join(at.directory, 'hash.img'), 'mine');
  const refused = await at.run(...BUILD);
  assert.equal(refused.code, 6);
  assert.match(refused.stderr, /^error: Cannot write ".*hash\.img": it is there already; expected a new name, or --force$/mu);
  assert.equal(await readFile(join(at.directory, 'hash.img'), 'utf8'), 'mine');
  assert.equal((await at.run('build', 'root.img', '-o', './root.img', '--force')).code, 2);
  assert.deepEqual(await readFile(join(at.directory, 'root.img')), IMAGE);
  assert.equal((await at.run(...BUILD, '--force')).code, 0);
});

test('gantry image verity build leaves nothing of an image that is not whole blocks, empty, torn or not there', async (t) => {
  const at = await bench(t);
  const image = join(at.directory, 'root.img');
  const failed = async (code: number, message: RegExp): Promise<void> => {
    const result = await at.run(...BUILD);
    assert.equal(result.code, code, result.stderr);
    assert.match(result.stderr, message);
    assert.deepEqual(
      (await readdir(at.directory)).filter((name) => name.includes('hash.img')),
      [],
    );
  };
  await appendFile(image, 'x');
  await failed(3, /it has 2457601 bytes and ends with a part of a block; expected whole blocks of 4096 bytes$/mu);
  await truncate(image, 0);
  await failed(3, /^error: Cannot .*the image is empty$/mu);
  await writeFile(image, zstdCompressSync(IMAGE).subarray(0, -10));
  await failed(3, /^error: Cannot read ".*root\.img": /mu);
  await at.run('build', 'nope.img', '-o', 'hash.img');
  assert.match((await at.run('build', 'nope.img', '-o', 'hash.img')).stderr, /^error: Cannot .*nope\.img/mu);
});

test('gantry image verity build refuses options that cannot be', async (t) => {
  const at = await bench(t);
  for (const options of [
    ['--salt', 'xy'],
    ['--salt', 'abc'],
    ['--salt', '00'.repeat(257)],
    ['--salt', '00', '--salt-from', 'a'],
    ['--salt-from', ''],
    ['--salt-from', 'a b'],
    ['--uuid', '1'],
  ]) {
    const { code, stderr } = await at.run(...BUILD, ...options);
    assert.equal(code, 2, options.join(' '));
    assert.match(stderr, /^error: Cannot use --(?:salt|salt-from|uuid) /mu);
  }
  assert.equal((await at.run('verify', 'root.img', 'root.img', '--root-hash', 'ab')).code, 2);
});

test('gantry image verity verify says what is wrong, and exits with 3', async (t) => {
  const at = await bench(t);
  const { hashImage } = await treeOf(IMAGE);
  const hash = join(at.directory, 'hash.img');
  const says = async (message: RegExp, ...options: readonly string[]): Promise<void> => {
    const { code, stderr } = await at.run('verify', 'root.img', 'hash.img', ...options);
    assert.equal(code, 3, stderr);
    assert.match(stderr, message);
  };
  await writeFile(hash, hashImage);
  await says(/the root hash of the tree is [0-9a-f]{64}; expected 0{64}$/mu, '--root-hash', '0'.repeat(64));
  await writeFile(hash, hashImage.subarray(0, -1));
  await says(/length: it has 28671 bytes; expected 28672 for 600 blocks of data$/mu);
  await writeFile(hash, (await treeOf(imageBytes(600 * BLOCK, 'another'))).hashImage);
  await says(/block \d+ of the data, at byte \d+, does not match its digest, nor do \d+ others; expected/u);
  await writeFile(hash, new Uint8Array(9 * BLOCK));
  await says(/signature: it begins with .*; expected a dm-verity superblock$/mu);
});

test('gantry image verity build says that an image changes while it is read, and writes nothing', async (t) => {
  const at = await bench(t);
  const image = join(at.directory, 'root.img');
  await writeFile(image, imageBytes(64 << 20));
  // Grows all the while: at whatever moment gantry looks at its size, more comes.
  const result = await growing(image, async () => at.run(...BUILD));
  assert.equal(result.code, 3, result.stderr);
  assert.match(result.stderr, /it changed while it was read; expected it to hold still$/mu);
  assert.deepEqual(
    (await readdir(at.directory)).filter((name) => name.includes('hash.img')),
    [],
  );
});

/** Appends to a file while the work goes on. */
async function growing<T>(path: string, work: () => Promise<T>): Promise<T> {
  const done = new AbortController();
  const grow = async (): Promise<void> => {
    while (!done.signal.aborted) await appendFile(path, new Uint8Array(BLOCK));
  };
  const grown = grow();
  try {
    return await work();
  } finally {
    done.abort();
    await grown;
  }
}

test('gantry image verity build is interrupted without a trace', async (t) => {
  const at = await bench(t);
  await promisify(execFile)('truncate', ['-s', '8G', join(at.directory, 'root.img')]);
  const { code } = await gantry(['image', 'verity', ...BUILD], {
    cwd: at.directory,
    onStart: (child) => setTimeout(() => child.kill('SIGINT'), 1000),
  });
  assert.equal(code, 130);
  assert.deepEqual(
    (await readdir(at.directory)).filter((name) => name.includes('hash.img')),
    [],
  );
});

import assert from 'node:assert/strict';
import { appendFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { test } from 'node:test';
import { GantryError } from '../../lib/errors.ts';
import { passphraseFrom } from '../../lib/keys/passphrase.ts';
import { addObject, keepOnlyObjects, openObject } from '../../lib/workspace/objects.ts';
import { compressLz4 } from '../../lib/image/lz4.ts';
import { parseConfig } from '../../lib/workspace/config.ts';
import { createWorkspace } from '../../lib/workspace/create.ts';
import { readSeenVersions, saveSeenVersions } from '../../lib/workspace/draft-files.ts';
import { draftFirstRoot } from '../../lib/workspace/draft-root.ts';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import { openKeyRing } from '../../lib/workspace/key-ring.ts';
import { makeKeys } from '../../lib/workspace/make-keys.ts';
import { prepareRelease } from '../../lib/workspace/prepare-release.ts';
import { readRootChain } from '../../lib/workspace/root-files.ts';
import { chooseRepositories, chooseRepository, openWorkspace, withWorkspaceLock } from '../../lib/workspace/workspace.ts';
import { collect, inChunks } from '../support/bytes.ts';
import { METAL, engineerWithRoot, newEngineer, temporaryDirectory, writeImages } from '../support/engineer.ts';

const INPUT = { repository: METAL, version: '1.0.0', compression: 'zstd', level: 1 } as const;

async function* bytes(...parts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

test('createWorkspace() makes a workspace that opens from any folder below it', async (t) => {
  const directory = await temporaryDirectory(t);
  await createWorkspace(join(directory, 'os'), {
    product: 'os',
    repositories: [METAL, { variant: 'cloud', arch: 'aarch64' }],
    store: '../public',
  });
  await mkdir(join(directory, 'os', 'deep', 'er'), { recursive: true });
  const workspace = await openWorkspace(join(directory, 'os', 'deep', 'er'));
  assert.equal(workspace.directory, join(directory, 'os'));
  assert.deepEqual(workspace.config, { product: 'os', store: '../public', repositories: [METAL, { variant: 'cloud', arch: 'aarch64' }] });
  assert.equal(workspace.expiry.timestamp.lifeSeconds, 604_800);
  assert.ok((await readdir(workspace.directory)).includes('.gitignore'));
});

test('createWorkspace() leaves nothing behind when a name is not allowed', async (t) => {
  const directory = await temporaryDirectory(t);
  const badNames = [
    { product: 'a b' },
    { repositories: [{ ...METAL, variant: 'targets' }] },
    { repositories: [METAL, { ...METAL, arch: 'X86' }] },
  ];
  for (const bad of badNames) {
    await assert.rejects(createWorkspace(join(directory, 'os'), { product: 'os', repositories: [METAL], store: 'p', ...bad }), {
      code: 'release/bad-name',
    });
  }
  assert.deepEqual(await readdir(directory), []);
});

test('createWorkspace() refuses a store that would show the workspace to everybody, and makes nothing', async (t) => {
  const directory = await temporaryDirectory(t);
  for (const store of ['', '.', '..', '../..', '/', 'http://example.com/x', '../os']) {
    await assert.rejects(createWorkspace(join(directory, 'os'), { product: 'os', repositories: [METAL], store }), {
      code: 'workspace/bad-store',
    });
  }
  assert.deepEqual(await readdir(directory), []);
  await createWorkspace(join(directory, 'os'), { product: 'os', repositories: [METAL], store: 'public' });
});

test('parseConfig() names the line or the member that is wrong', () => {
  const good = 'product = "os"\nstore = "public"\n[[repository]]\nvariant = "metal"\narch = "x86_64"\n';
  assert.equal(parseConfig(good, 'gantry.toml').product, 'os');
  for (const [text, at] of [
    ['product = \n', /line 1, column 10/u],
    [good.replace('product', 'produkt'), /line 1, column 1: .*produkt|product/u],
    [`${good}[[repository]]\nvariant = "metal"\narch = "x86_64"\n`, /repository/u],
    [good.replace('"x86_64"', '"x86/64"'), /arch/u],
    [good.replace('"public"', '7'), /line 2, column 9 \(store\)/u],
    ['product = "os"\nstore = "public"\nrepository = []\n', /repository/u],
  ] as const) {
    assert.throws(
      () => parseConfig(text, 'gantry.toml'),
      (error) =>
        error instanceof GantryError && /^(?:workspace\/bad-config|release\/bad-toml)$/u.test(error.code) && at.test(error.message),
      text,
    );
  }
});

test('chooseRepository() wants to know which of several is meant', async (t) => {
  const { workspace } = await newEngineer(t);
  const both = { ...workspace, config: { ...workspace.config, repositories: [METAL, { variant: 'metal', arch: 'aarch64' }] } };
  assert.deepEqual(chooseRepository(both, { arch: 'aarch64' }), { variant: 'metal', arch: 'aarch64' });
  assert.throws(() => chooseRepository(both, {}), { code: 'workspace/no-repository' });
  assert.throws(() => chooseRepository(workspace, { variant: 'cloud' }), { code: 'workspace/no-repository' });
});

test('addObject() keeps bytes by digest, and nothing of a stream that fails', async (t) => {
  const { workspace } = await newEngineer(t);
  const ref = await addObject(workspace, bytes('ab', 'c'));
  assert.equal(ref.lengthBytes, 3);
  const source = await openObject(workspace, 'a.img', ref);
  let read = '';
  for await (const chunk of source.open()) read += Buffer.from(chunk).toString();
  assert.equal(read, 'abc');
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('x');
    throw new RangeError('broken');
  }
  await assert.rejects(addObject(workspace, failing()), RangeError);
  const folder = join(workspace.directory, '.gantry', 'objects');
  assert.deepEqual(await readdir(folder), [ref.sha256]);
  await writeFile(join(folder, ref.sha256), 'ab');
  await assert.rejects(openObject(workspace, 'a.img', ref), { code: 'workspace/object-missing' });
  await keepOnlyObjects(workspace, new Set());
  assert.deepEqual(await readdir(folder), []);
});

test('prepareRelease() names, measures and frames three images, in every form that is asked for', async (t) => {
  const { workspace, directory } = await engineerWithRoot(t);
  const images = await writeImages(directory);
  const counts = { zstd: 6, lz4: 3, both: 9 } as const;
  for (const compression of ['zstd', 'lz4', 'both'] as const) {
    const release = await prepareRelease(workspace, { ...INPUT, images, compression });
    assert.equal(release.targets.length, counts[compression]);
    assert.match(release.build, /^[0-9a-f]{8}$/u);
    const update = release.changes.find((change) => change.kind === 'add-update');
    assert.ok(update?.kind === 'add-update');
    assert.match(update.update.images.root, compression === 'zstd' ? /\.zst$/u : /\.lz4$/u);
    assert.equal(update.update.imagesZstd !== undefined, compression === 'both');
    for (const { path, object } of release.targets) await openObject(workspace, path, object);
  }
});

test('prepareRelease() publishes lz4 as it comes, frames zstd anew, and measures what is in them', async (t) => {
  const { workspace, directory } = await engineerWithRoot(t);
  const raw = await writeImages(directory);
  const root = await readFile(raw.root);
  const images = { ...raw, boot: `${raw.boot}.zst`, root: `${raw.root}.lz4` };
  await writeFile(images.boot, zstdCompressSync(await readFile(raw.boot)));
  await writeFile(images.root, await collect(compressLz4(inChunks(root, 1 << 16), { contentSizeBytes: root.length })));
  const [plain, given] = await Promise.all([
    prepareRelease(workspace, { ...INPUT, images: raw, compression: 'both' }),
    prepareRelease(workspace, { ...INPUT, images, compression: 'both' }),
  ]);
  assert.deepEqual(given.changes, plain.changes);
  assert.deepEqual([plain.asTheyAre, given.asTheyAre], [[], ['root']]);
});

test('prepareRelease() refuses a compressed image that is torn, and keeps nothing of it', async (t) => {
  const { workspace, directory } = await engineerWithRoot(t);
  const raw = await writeImages(directory);
  const torn = join(directory, 'torn');
  const root = await readFile(raw.root);
  const lz4 = await collect(compressLz4(inChunks(root, 1 << 16), { contentSizeBytes: root.length }));
  for (const [content, compression] of [
    [lz4.subarray(0, -100), 'lz4'],
    [lz4.subarray(0, -100), 'zstd'],
    [zstdCompressSync(root).subarray(0, -100), 'lz4'],
    [Buffer.concat([zstdCompressSync(root), Buffer.from('and more')]), 'zstd'],
  ] as const) {
    await writeFile(torn, content);
    await assert.rejects(prepareRelease(workspace, { ...INPUT, images: { ...raw, root: torn }, compression }), {
      code: 'image/bad-input',
      details: { path: torn },
    });
  }
});

test('chooseRepositories() picks by lists of names, and refuses a name that picks none', async (t) => {
  const { workspace } = await newEngineer(t);
  const repositories = ['metal', 'cloud'].flatMap((variant) => ['x86_64', 'aarch64'].map((arch) => ({ variant, arch })));
  const four = { ...workspace, config: { ...workspace.config, repositories } };
  const choose = (variants: readonly string[], arches: readonly string[]): readonly string[] =>
    chooseRepositories(four, { variants, arches }).map(({ variant, arch }) => `${variant}/${arch}`);
  assert.deepEqual(choose(['all'], []), ['metal/x86_64', 'metal/aarch64', 'cloud/x86_64', 'cloud/aarch64']);
  assert.deepEqual(choose([], ['aarch64']), ['metal/aarch64', 'cloud/aarch64']);
  assert.deepEqual(choose(['metal', 'cloud'], ['x86_64']), ['metal/x86_64', 'cloud/x86_64']);
  for (const [variants, arches] of [
    [[], []],
    [['metal', 'nope'], []],
    [['all'], ['nope']],
  ] as const) {
    assert.throws(() => choose(variants, arches), { code: 'workspace/no-repository' });
  }
  assert.deepEqual(chooseRepositories(workspace, { variants: [], arches: [] }), [METAL]);
});

test('prepareRelease() is deterministic', async (t) => {
  const { workspace, directory } = await engineerWithRoot(t);
  const images = await writeImages(directory);
  const prepare = async (): Promise<unknown> => (await prepareRelease(workspace, { ...INPUT, images, compression: 'both' })).changes;
  assert.deepEqual(await prepare(), await prepare());
});

test('prepareRelease() refuses an image that changes while it is read', async (t) => {
  const { workspace, directory } = await engineerWithRoot(t);
  const images = await writeImages(directory);
  let changed = false;
  const preparing = prepareRelease(workspace, {
    ...INPUT,
    images,
    onProgress: ({ image }) => {
      if (image !== 'root' || changed) return;
      changed = true;
      void appendFile(images.root, 'more');
    },
  });
  await assert.rejects(preparing, { code: 'files/changed', details: { path: images.root } });
});

test('readSeenVersions() does not take a torn record for none', async (t) => {
  const { workspace } = await newEngineer(t);
  assert.equal(await readSeenVersions(workspace, './public', METAL), undefined);
  const seen = { root: 1, timestamp: 4, snapshot: 3, targets: 2 };
  await saveSeenVersions(workspace, './public', METAL, seen);
  assert.deepEqual(await readSeenVersions(workspace, './public', METAL), seen);
  assert.equal(await readSeenVersions(workspace, './elsewhere', METAL), undefined);
  const published = join(workspace.directory, '.gantry', 'published');
  const [store = ''] = await readdir(published);
  await writeFile(join(published, store, 'metal', 'x86_64.json'), '{"root":');
  await assert.rejects(readSeenVersions(workspace, './public', METAL), { code: 'workspace/bad-config' });
});

test('readRootChain() refuses a chain with a link that was changed or lost', async (t) => {
  const { workspace } = await engineerWithRoot(t);
  const path = join(workspace.directory, '1.root.json');
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace('"threshold": 2', '"threshold": 1'));
  await assert.rejects(readRootChain(workspace), { code: 'tuf/threshold' });
  await rm(path);
  assert.equal(await readRootChain(workspace), undefined);
});

test('draftFirstRoot() refuses to start a second history', async (t) => {
  const engineer = await engineerWithRoot(t);
  const names = { root: ['root-a'], targets: ['targets'], snapshot: ['online'], timestamp: ['online'] };
  await assert.rejects(draftFirstRoot(engineer.workspace, { names, thresholds: {} }, engineer.now), { code: 'files/exists' });
});

test('makeKeys() makes all of a batch or none, and openKeyRing() finds them by id whatever they are called', async (t) => {
  const { workspace, keysDirectory } = await newEngineer(t);
  await assert.rejects(makeKeys(workspace, ['new', 'online'], { keysDirectory, type: 'ed25519', passphrase: 'p' }), {
    code: 'keys/exists',
  });
  await assert.rejects(stat(join(keysDirectory, 'new.pem')));
  const [made] = await makeKeys(workspace, ['new'], { keysDirectory, type: 'ecdsa', passphrase: 'p' });
  assert.ok(made !== undefined);
  const passphrases = passphraseFrom({ env: { GANTRY_PASSPHRASE: 'p' } });
  assert.equal((await (await openKeyRing({ keysDirectory, passphrases })).open(made.key)).keyId, made.keyId);
  const generated = publicKeyFromKeyObject(await generatePrivateKey('ed25519'));
  let asked = 0;
  const person = passphraseFrom({ env: {}, prompt: async () => (asked++ === 0 ? 'wrong' : 'p') });
  const ring = await openKeyRing({ keysDirectory, passphrases: person, only: ['new'] });
  assert.ok(ring.has(made.key) && !ring.has(generated));
  assert.equal(await ring.open(made.key), await ring.open(made.key));
  assert.equal(asked, 2);
});

test('withWorkspaceLock() lets one gantry change a workspace at a time', async (t) => {
  const { workspace } = await newEngineer(t);
  const order: string[] = [];
  const work = async (name: string): Promise<void> =>
    withWorkspaceLock(workspace, async () => {
      order.push(`${name} in`);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(`${name} out`);
    });
  await Promise.all([work('a'), work('b')]);
  assert.deepEqual(order, ['a in', 'a out', 'b in', 'b out']);
});

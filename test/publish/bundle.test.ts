/** Bundles as they are written: what goes in, in which order, and never half. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { extract } from 'tar-stream';
import { openRepository } from '../../lib/client/index.ts';
import { withBundlePlan, writeBundle, type BundleSource } from '../../lib/publish/bundle.ts';
import { imageBytes } from '../support/bytes.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { withSmallDisk } from '../support/full-disk.ts';
import { drain } from '../support/host.ts';
import { writeFolder } from '../support/local-folder.ts';
import { createSimulator, METADATA, type Simulator } from '../support/simulator.ts';
import { createWorld, type World } from '../support/tuf-world.ts';

const run = promisify(execFile);
const { signal } = new AbortController();

function imagesOf(version: string): Readonly<Record<'boot' | 'root' | 'hash', string>> {
  const name = (kind: string): string => `my-os-metal-x86_64-${version}-${kind}.img.zst`;
  return { boot: name('boot'), root: name('root'), hash: name('hash') };
}

/** Three releases, one of them reached by two migrations, and targets that nobody needs for it. */
async function releases(): Promise<Simulator> {
  const simulator = await createSimulator();
  const versions = ['1.0.0', '1.1.0', '1.2.0'];
  for (const version of versions) {
    for (const [kind, name] of Object.entries(imagesOf(version))) {
      await simulator.addImage(name, imageBytes(kind === 'root' ? 1_300_000 : 5000, `${version} ${kind}`), 'zstd-frames');
    }
  }
  for (const name of ['m1', 'm2', 'm3', 'back', 'unrelated']) simulator.targets.set(name, { bytes: Buffer.from(name) });
  const updates = versions.map((version) => ({
    variant: 'metal',
    arch: 'x86_64',
    version,
    max_version: '9.0.0',
    waves: {},
    images: imagesOf(version),
  }));
  const migrations = { '(1.0.0, 1.1.0)': ['m1'], '(1.1.0, 1.2.0)': ['m2'], '(1.2.0, 1.3.0)': ['m3'], '(0.9.0, 1.0.5)': ['back'] };
  simulator.targets.set('manifest.json', { bytes: Buffer.from(JSON.stringify({ updates, migrations })) });
  await simulator.publish();
  return simulator;
}

interface Scene {
  readonly directory: string;
  readonly source: BundleSource;
}

async function scene(t: TestContext, published: Simulator | World): Promise<Scene> {
  const directory = await temporaryDirectory(t);
  const folder = join(directory, 'served');
  await writeFolder(folder, published.files);
  return { directory, source: { root: published.metadata('1.root.json'), metadataUrl: join(folder, METADATA), signal } };
}

/** As another reader sees it. */
async function contents(file: string): Promise<readonly string[]> {
  const names: string[] = [];
  const reader = createReadStream(file).pipe(extract());
  for await (const entry of reader) {
    const { name, type, mode, mtime, uid, gid } = entry.header;
    assert.deepEqual([type, mode, mtime?.getTime(), uid, gid], ['file', 0o644, 0, 0, 0]);
    names.push(name.replace(/^targets\/[0-9a-f]{64}\./u, 'targets/'));
    entry.resume();
  }
  return names;
}

test('a bundle for a version holds what any older host needs, in order, and nothing else', async (t) => {
  const simulator = await releases();
  for (let round = 0; round < 9; round += 1) await simulator.publishRoot();
  await simulator.publish();
  const { directory, source } = await scene(t, simulator);
  const file = join(directory, 'update.tar');
  await withBundlePlan(source, { version: '1.2.0' }, async (plan) => {
    assert.deepEqual(plan.versions, ['1.2.0']);
    const { lengthBytes, sha256 } = await writeBundle(plan, file, { signal });
    const bytes = await readFile(file);
    assert.equal(bytes.length, lengthBytes);
    assert.match(sha256, /^[0-9a-f]{64}$/u);
  });
  const { boot, root, hash } = imagesOf('1.2.0');
  assert.deepEqual(await contents(file), [
    ...Array.from({ length: 10 }, (_, index) => `metadata/${index + 1}.root.json`),
    'metadata/timestamp.json',
    'metadata/2.snapshot.json',
    'metadata/2.targets.json',
    'targets/manifest.json',
    ...[boot, hash, root].map((name) => `targets/${name}.frames`),
    'targets/m1',
    'targets/m2',
    ...[boot, hash, root].map((name) => `targets/${name}`),
  ]);
  const client = await openRepository({ root: source.root, bundle: file, stateDirectory: join(directory, 'state') });
  await client.refresh();
  assert.deepEqual(await drain(client.verifiedImageStream(await client.target(root))), imageBytes(1_300_000, '1.2.0 root'));
  await assert.rejects(drain(client.verifiedStream(await client.target('unrelated'))), { code: 'http/missing' });
});

test('two bundles of the same publication have the same bytes', async (t) => {
  const { directory, source } = await scene(t, await releases());
  const [one, other] = [join(directory, 'one.tar'), join(directory, 'other.tar')];
  for (const file of [one, other]) {
    await withBundlePlan(source, 'all', async (plan) => {
      assert.deepEqual(plan.versions, ['1.0.0', '1.1.0', '1.2.0']);
      await writeBundle(plan, file, { signal });
    });
  }
  assert.deepEqual(await readFile(one), await readFile(other));
  assert.equal((await contents(one)).length, 4 + 1 + 18 + 5);
});

test('a bundle of everything holds delegated roles and their targets', async (t) => {
  const world = await createWorld();
  for (const [parent, name] of [
    ['targets', 'team'],
    ['team', 'a name/with ünusual text'],
  ] as const) {
    await world.delegate(parent, { name, terminating: false, paths: ['apps/*'] });
    world.role(name).targets.set(`apps/of-${name.length}.img`, Buffer.from(name));
  }
  await world.publish();
  const { directory, source } = await scene(t, world);
  const file = join(directory, 'all.tar');
  await withBundlePlan(source, 'all', async (plan) => writeBundle(plan, file, { signal }));
  const client = await openRepository({ root: source.root, bundle: file, stateDirectory: join(directory, 'state') });
  await client.refresh();
  const targets = await client.allTargets();
  assert.equal(targets.length, 3);
  await client.check(targets);
});

test('an unpacked bundle is a repository in folders', async (t) => {
  const { directory, source } = await scene(t, await releases());
  const file = join(directory, 'all.tar');
  await withBundlePlan(source, 'all', async (plan) => writeBundle(plan, file, { signal }));
  await run('tar', ['-xf', file, '-C', directory]);
  const client = await openRepository({
    root: source.root,
    metadataUrl: join(directory, 'metadata'),
    targetsUrl: join(directory, 'targets'),
    stateDirectory: join(directory, 'state'),
  });
  await client.refresh();
  await client.check(await client.allTargets());
});

test('withBundlePlan() throws release/unknown for a version that is not on offer', async (t) => {
  const { source } = await scene(t, await releases());
  await assert.rejects(
    withBundlePlan(source, { version: '3.0.0' }, async () => undefined),
    { code: 'release/unknown', details: { version: '3.0.0', known: ['1.0.0', '1.1.0', '1.2.0'] } },
  );
});

test('writeBundle() leaves what was there when a target is not what was signed, when it is stopped, and when the disk is full', async (t) => {
  const simulator = await releases();
  const { directory, source } = await scene(t, simulator);
  const file = join(directory, 'update.tar');
  await writeFile(file, 'before');
  const assertKept = async (): Promise<void> => {
    assert.equal(await readFile(file, 'utf8'), 'before');
    assert.deepEqual(
      (await readdir(directory)).filter((name) => name.endsWith('.tmp')),
      [],
    );
  };
  const stopping = new AbortController();
  await assert.rejects(
    withBundlePlan({ ...source, signal: stopping.signal }, 'all', async (plan) =>
      writeBundle(plan, file, { signal: stopping.signal, onProgress: (bytes) => (bytes > 300_000 ? stopping.abort() : undefined) }),
    ),
    { code: 'aborted' },
  );
  await assertKept();
  const image = join(directory, 'served', simulator.targetFile(imagesOf('1.1.0').root));
  const honest = await readFile(image);
  await writeFile(image, Buffer.alloc(honest.length));
  await assert.rejects(
    withBundlePlan(source, 'all', async (plan) => writeBundle(plan, file, { signal })),
    { code: 'client/target-altered' },
  );
  await assertKept();
  await writeFile(image, honest);
  const small = join(directory, 'small');
  await withSmallDisk(t, { folder: small, sizeBytes: 300_000 }, async () => {
    await assert.rejects(
      withBundlePlan(source, 'all', async (plan) => writeBundle(plan, join(small, 'update.tar'), { signal })),
      { code: 'files/disk-full' },
    );
    assert.deepEqual(await readdir(small), []);
  });
});

test('a writer that is killed leaves the old bundle, and the next one writes it whole', async (t) => {
  const { directory, source } = await scene(t, await releases());
  const file = join(directory, 'update.tar');
  await writeFile(file, 'before');
  await writeFile(join(directory, '1.root.json'), source.root);
  const code = `
    import { readFileSync } from 'node:fs';
    import { withBundlePlan, writeBundle } from ${JSON.stringify(new URL('../../lib/publish/bundle.ts', import.meta.url).href)};
    const [metadataUrl, root, file, at] = process.argv.slice(1);
    const { signal } = new AbortController();
    const onProgress = (bytes) => bytes >= Number(at) && process.kill(process.pid, 'SIGKILL');
    await withBundlePlan({ root: readFileSync(root), metadataUrl, signal }, 'all', (plan) => writeBundle(plan, file, { signal, onProgress }));`;
  for (const at of [1, 500_000, 1_000_000]) {
    const args = ['--input-type=module', '-e', code, '--', String(source.metadataUrl), join(directory, '1.root.json'), file, String(at)];
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    await once(child, 'exit');
    assert.equal(child.signalCode, 'SIGKILL');
    assert.equal(await readFile(file, 'utf8'), 'before');
  }
  await withBundlePlan(source, 'all', async (plan) => writeBundle(plan, file, { signal }));
  assert.ok((await contents(file)).length > 20);
});

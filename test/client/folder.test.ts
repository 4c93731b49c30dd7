/** A repository in folders: the same answers as from a server. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { openRepository, type OpenOptions, type RepositoryClient } from '../../lib/client/index.ts';
import { imageBytes } from '../support/bytes.ts';
import { drain } from '../support/host.ts';
import { writeFolder } from '../support/local-folder.ts';
import { createRepository, METADATA, type Simulator } from '../support/simulator.ts';
import { simulatedHost, type SimulatedHost } from '../support/simulated-host.ts';
import { createWorld } from '../support/tuf-world.ts';

const run = promisify(execFile);
const IMAGE = 'my-os-1.0.0-root.img.zst';
const RAW = imageBytes((2 << 20) + 99);

interface Scene {
  readonly simulator: Simulator;
  readonly host: SimulatedHost;
  readonly folder: string;
  readonly open: (options?: Partial<OpenOptions>) => Promise<RepositoryClient>;
}

async function scene(t: TestContext): Promise<Scene> {
  const simulator = await createRepository();
  await simulator.addImage(IMAGE, RAW, 'zstd-frames');
  await simulator.publish();
  const host = await simulatedHost(t, simulator);
  const folder = join(host.directory, 'disk with blanks %20');
  await writeFolder(folder, simulator.files);
  const open = async (options: Partial<OpenOptions> = {}): Promise<RepositoryClient> =>
    openRepository({
      root: simulator.metadata('1.root.json'),
      metadataUrl: join(folder, METADATA),
      stateDirectory: host.stateDirectory,
      ...options,
    });
  return { simulator, host, folder, open };
}

test('openRepository() reads folders when they are given as paths or as file: URLs', async (t) => {
  const { folder, open, simulator } = await scene(t);
  const url = pathToFileURL(join(folder, METADATA));
  const relative = join(folder, METADATA).slice(process.cwd().length + 1);
  const places: readonly Partial<OpenOptions>[] = [
    {},
    { metadataUrl: url },
    { metadataUrl: url.href },
    { metadataUrl: url, targetsUrl: join(folder, 'targets') },
    ...(join(folder, METADATA).startsWith(`${process.cwd()}/`) ? [{ metadataUrl: `./${relative}` }] : []),
  ];
  for (const place of places) {
    const client = await open(place);
    await client.refresh();
    const target = await client.target(IMAGE);
    assert.deepEqual(await drain(client.verifiedStream(target)), Buffer.from(simulator.targets.get(IMAGE)?.bytes ?? []));
    assert.deepEqual(await drain(client.verifiedImageStream(target)), RAW);
    assert.deepEqual((await client.manifest()).updates, []);
    assert.ok(client.traffic.bytesReceived > 0);
    client.close();
  }
});

test('openRepository() throws http/bad-url when a folder does not look like a path', async (t) => {
  const { open } = await scene(t);
  for (const metadataUrl of [
    'metal/x86_64',
    'localhost:8080/metal/x86_64',
    'file://server/metal',
    'file:///metal%2Fx86_64',
    'ftp://h/',
    '~/x',
  ]) {
    await assert.rejects(open({ metadataUrl }), { code: 'http/bad-url' }, metadataUrl);
  }
});

test('refresh() walks the roots of a folder to the last one, and to the next one when that appears', async (t) => {
  const { simulator, folder, open } = await scene(t);
  const client = await open();
  await client.refresh();
  assert.equal(client.roles().root.version, 1);
  await simulator.publishRoot();
  await simulator.publishRoot();
  await writeFolder(folder, simulator.files);
  await client.refresh();
  assert.equal(client.roles().root.version, 3);
});

test('refresh() says missing for a file and failed for a folder that is not there', async (t) => {
  const { folder, host, open } = await scene(t);
  const timestamp = join(folder, METADATA, 'timestamp.json');
  const kept = await readFile(timestamp);
  await rm(timestamp);
  await assert.rejects((await open()).refresh(), { code: 'http/missing' });
  await writeFile(timestamp, kept);
  await (await open()).refresh();
  await rename(folder, `${folder}.elsewhere`);
  await assert.rejects((await open()).refresh(), { code: 'files/missing' });
  // What cannot be read is no end of the root chain either.
  await writeFile(folder, 'no folder');
  await assert.rejects((await open()).refresh(), { code: 'files/missing' });
  assert.equal((await host.trusted())['timestamp'], 2);
});

test('a link within the folders is followed, and one that leads out of them is refused', async (t) => {
  const { folder, host, simulator, open } = await scene(t);
  const timestamp = join(folder, METADATA, 'timestamp.json');
  const outside = join(host.directory, 'timestamp.json');
  await rename(timestamp, join(folder, METADATA, 'kept.json'));
  await symlink('kept.json', timestamp);
  await (await open()).refresh();
  await rename(join(folder, METADATA, 'kept.json'), outside);
  await rm(timestamp);
  await symlink(outside, timestamp);
  await assert.rejects((await open()).refresh(), { code: 'files/not-readable', message: /leads to .*expected a file of the repository/u });
  await rm(timestamp);
  await rename(outside, timestamp);
  // The whole folder may lie behind a link, and a folder in it may not lead elsewhere.
  await symlink(folder, join(host.directory, 'link'));
  await (await open({ metadataUrl: join(host.directory, 'link', METADATA) })).refresh();
  await rename(join(folder, 'targets'), join(host.directory, 'targets'));
  await symlink(join(host.directory, 'targets'), join(folder, 'targets'));
  const client = await open();
  await client.refresh();
  // The folder that the caller names is the caller's to choose; what lies in it is not.
  assert.deepEqual((await client.manifest()).updates, []);
  const target = simulator.targetFile(IMAGE);
  await rename(join(host.directory, target), join(host.directory, 'image'));
  await symlink(join(host.directory, 'image'), join(host.directory, target));
  await assert.rejects(drain(client.verifiedStream(await client.target(IMAGE))), { code: 'files/not-readable' });
});

test('a pipe, a folder and a file without permission are failures, and none is waited for', async (t) => {
  const { folder, open } = await scene(t);
  const timestamp = join(folder, METADATA, 'timestamp.json');
  const kept = await readFile(timestamp);
  await rm(timestamp);
  await run('mkfifo', [timestamp]);
  await assert.rejects((await open()).refresh(), { code: 'files/not-readable' });
  await rm(timestamp);
  await mkdir(timestamp);
  await assert.rejects((await open()).refresh(), { code: 'files/not-readable' });
  await rm(timestamp, { recursive: true });
  await writeFile(timestamp, kept);
  if (process.getuid?.() === 0) return;
  await chmod(timestamp, 0);
  await assert.rejects((await open()).refresh(), { code: 'files/not-readable' });
});

test('files of another length than the signed one are refused before they are read', async (t) => {
  const { folder, simulator, open } = await scene(t);
  const client = await open();
  await client.refresh();
  const target = await client.target(IMAGE);
  const path = join(folder, simulator.targetFile(IMAGE));
  const bytes = await readFile(path);
  for (const [wrong, code] of [
    [Buffer.concat([bytes, Buffer.from('x')]), 'http/too-long'],
    [bytes.subarray(1), 'http/too-short'],
    [Buffer.alloc(bytes.length), 'client/target-altered'],
  ] as const) {
    await writeFile(path, wrong);
    await assert.rejects(drain(client.verifiedStream(target)), { code });
  }
  await writeFile(path, bytes);
  assert.deepEqual(await drain(client.verifiedStream(target)), bytes);
});

test('a folder and a server stand in for each other when one of them fails', async (t) => {
  const { folder, host, simulator, open } = await scene(t);
  const server = new URL(METADATA, host.server.url);
  const image = join(folder, simulator.targetFile(IMAGE));
  await rm(join(folder, METADATA), { recursive: true });
  await writeFile(image, 'damaged');
  const first = await open({ mirrors: [{ metadataUrl: server }] });
  await first.refresh();
  assert.deepEqual(await drain(first.verifiedImageStream(await first.target(IMAGE))), RAW);
  first.close();
  await writeFolder(folder, simulator.files);
  const second = await open({
    metadataUrl: 'http://127.0.0.1:1/metal/x86_64/',
    mirrors: [{ metadataUrl: join(folder, METADATA) }],
    patienceMs: 0,
  });
  await second.refresh();
  assert.deepEqual(await drain(second.verifiedImageStream(await second.target(IMAGE))), RAW);
  second.close();
});

test('a role whose name looks like a path reads no file outside of its folder', async (t) => {
  const world = await createWorld();
  const name = '/../../../outside/secret';
  await world.delegate('targets', { name, terminating: false, paths: ['app.img'] });
  world.role(name).targets.set('app.img', Buffer.from('app'));
  await world.publish();
  const host = await simulatedHost(t, world);
  const folder = join(host.directory, 'disk');
  await writeFolder(folder, new Map([...world.files].filter(([path]) => !path.includes('secret'))));
  const role = [...world.files].find(([path]) => path.includes('secret'))?.[1] ?? new Uint8Array();
  await mkdir(join(host.directory, 'outside'));
  await writeFile(join(host.directory, 'outside', 'secret.json'), role);
  const client = await openRepository({
    root: world.metadata('1.root.json'),
    metadataUrl: join(folder, METADATA),
    stateDirectory: host.stateDirectory,
  });
  await client.refresh();
  await assert.rejects(client.target('app.img'), { code: 'http/missing' });
});

/** kill -9 at every write to the state directory, disks that take no writes, and two clients on one directory. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { isGantryError } from '../../lib/errors.ts';
import { withSmallDisk } from '../support/full-disk.ts';
import { stateFiles } from '../support/host.ts';
import { METADATA } from '../support/simulator.ts';
import { simulatedHost, type SimulatedHost } from '../support/simulated-host.ts';
import { createWorld, type World } from '../support/tuf-world.ts';

const run = promisify(execFile);
const HOOK = new URL('../crash/hook.ts', import.meta.url).href;
const CLIENT = new URL('../../lib/client/index.ts', import.meta.url).href;
const HOST = `
  import { openRepository } from ${JSON.stringify(CLIENT)};
  const [root, metadataUrl, stateDirectory] = process.argv.slice(1);
  const client = await openRepository({ root, metadataUrl, stateDirectory });
  await client.refresh();
  await client.target('app.img');
  client.close();`;

interface Scene {
  readonly world: World;
  readonly host: SimulatedHost;
  /** The state directory as it was when the host last ran. */
  readonly before: string;
}

/** The host trusts the first publication; two roots, every role and a delegated one have been published since. */
async function scene(t: TestContext): Promise<Scene> {
  const world = await createWorld();
  await world.delegate('targets', { name: 'team', terminating: false, paths: ['app.img'] });
  world.role('team').targets.set('app.img', Buffer.from('app'));
  await world.publish();
  const host = await simulatedHost(t, world);
  await (await host.refreshed()).target('app.img');
  const before = join(host.directory, 'before');
  await cp(host.stateDirectory, before, { recursive: true });
  await writeFile(join(host.directory, '1.root.json'), world.metadata('1.root.json'));
  for (let round = 0; round < 2; round += 1) await world.publish({}, ['root']);
  await world.publish();
  return { world, host, before };
}

async function runHost({ host }: Scene, env: Readonly<Record<string, string>>, imports: readonly string[] = []): Promise<number | null> {
  const args = [...imports, '--input-type=module', '-e', HOST, '--', join(host.directory, '1.root.json')];
  const child = spawn(process.execPath, [...args, new URL(METADATA, host.server.url).href, host.stateDirectory], {
    stdio: 'ignore',
    env: { ...process.env, ...env },
  });
  await once(child, 'exit');
  return child.exitCode;
}

async function restart({ host, before }: Scene): Promise<void> {
  await rm(host.stateDirectory, { recursive: true });
  await cp(before, host.stateDirectory, { recursive: true });
}

test('a host that is killed at any write to its state goes on, and nothing is torn, lost or older than before', async (t) => {
  const all = await scene(t);
  const { host } = all;
  const log = join(host.directory, 'steps');
  const crash = async (at: number): Promise<number | null> => {
    const order = { at, how: 'killed', folders: [host.stateDirectory], ...(at === 0 ? { log } : {}) };
    return runHost(all, { GANTRY_CRASH: JSON.stringify(order) }, ['--import', HOOK]);
  };
  assert.equal(await crash(0), 0);
  const steps = (await readFile(log, 'utf8')).trimEnd().split('\n');
  for (const written of [
    '2.root.json',
    '3.root.json',
    'root.json',
    'timestamp.json',
    'snapshot.json',
    'targets.json',
    'trusted-time.json',
    'team.json',
  ]) {
    assert.ok(
      steps.some((step) => step.startsWith('after rename') && step.endsWith(`/${written}`)),
      written,
    );
  }
  for (const [index, step] of steps.entries()) {
    await restart(all);
    assert.equal(await crash(index + 1), null, `not killed ${step}`);
    const kept = await host.trusted();
    for (const [role, version] of Object.entries(kept)) assert.ok(version >= 1, `${role} at ${step}`);
    assert.equal(Object.keys(kept).length, 4, step);
    const client = await host.refreshed();
    await client.target('app.img');
    assert.deepEqual(client.notices, [], step);
    assert.deepEqual(await host.trusted(), { root: 3, timestamp: 3, snapshot: 3, targets: 3 });
    assert.deepEqual(await stateFiles(host.stateDirectory), [
      'delegated',
      'root.json',
      'roots',
      'snapshot.json',
      'targets.json',
      'timestamp.json',
    ]);
    for (const folder of ['delegated', 'roots']) {
      assert.deepEqual(
        (await readdir(join(host.stateDirectory, folder))).filter((name) => name.startsWith('.')),
        [],
      );
    }
  }
  t.diagnostic(`killed at ${steps.length} steps`);
});

test('refresh() throws files/not-writable on a disk that is read-only, and goes on when it is not any more', async (t) => {
  const { host, before } = await scene(t);
  const folder = join(host.directory, 'disk');
  await withSmallDisk(t, { folder, sizeBytes: 4 << 20 }, async () => {
    const stateDirectory = join(folder, 'state');
    await cp(before, stateDirectory, { recursive: true });
    await run('mount', ['-o', 'remount,ro', folder]);
    const client = await host.open({ stateDirectory });
    await assert.rejects(client.refresh(), (error) => isGantryError(error, 'files/not-writable'));
    await run('mount', ['-o', 'remount,rw', folder]);
    await client.refresh();
    assert.equal(client.roles().timestamp.version, 3);
    assert.deepEqual(client.notices, []);
  });
});

test('target() throws files/disk-full when a delegated role cannot be kept, and finds it when it can', async (t) => {
  const { host, before, world } = await scene(t);
  world.role('team').targets.set('more.img', Buffer.alloc(300_000));
  await world.publish({ team: { envelope: (envelope) => ({ ...envelope, padding: 'x'.repeat(900_000) }) } });
  const folder = join(host.directory, 'disk');
  await withSmallDisk(t, { folder, sizeBytes: 1 << 20 }, async () => {
    await cp(before, join(folder, 'state'), { recursive: true });
    const client = await host.refreshed({ stateDirectory: join(folder, 'state') });
    await writeFile(join(folder, 'filler'), Buffer.alloc(200_000));
    await assert.rejects(client.target('app.img'), { code: 'files/disk-full' });
    await rm(join(folder, 'filler'));
    const later = await host.refreshed({ stateDirectory: join(folder, 'state') });
    assert.equal((await later.target('app.img')).lengthBytes, 3);
    assert.deepEqual(later.notices, []);
  });
});

test('two processes on one state directory come to the same trust while the repository moves', async (t) => {
  const all = await scene(t);
  const { world, host } = all;
  const hosts = Array.from({ length: 4 }, async () => runHost(all, {}));
  for (let round = 0; round < 3; round += 1) await world.publish();
  assert.deepEqual(await Promise.all(hosts), [0, 0, 0, 0]);
  const client = await host.refreshed();
  assert.deepEqual(client.notices, []);
  assert.deepEqual(await host.trusted(), { root: 3, timestamp: 6, snapshot: 6, targets: 6 });
});

const HOSTILE: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  'an empty file': async (path) => writeFile(path, ''),
  'a cut file': async (path) => writeFile(path, (await readFile(path)).subarray(0, -20)),
  'a file of zeros': async (path) => writeFile(path, Buffer.alloc(4096)),
  'a file with one bit flipped': async (path) => {
    const bytes = await readFile(path);
    const at = bytes.length >> 1;
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    await writeFile(path, bytes);
  },
  null: async (path) => writeFile(path, 'null'),
  'a list': async (path) => writeFile(path, '[]'),
  'metadata without anything in it': async (path) => writeFile(path, '{"signed":{},"signatures":[]}'),
  'another role': async (path) =>
    writeFile(path, await readFile(join(path, '..', path.endsWith('root.json') ? 'targets.json' : 'root.json'))),
};
const FILES = [
  'root.json',
  'timestamp.json',
  'snapshot.json',
  'targets.json',
  'delegated/team.json',
  'roots/2.root.json',
  'trusted-time.json',
];

for (const [what, spoil] of Object.entries(HOSTILE)) {
  test(`refresh() goes on when any file of its state is ${what}`, async (t) => {
    const { host } = await scene(t);
    await (await host.refreshed()).target('app.img');
    for (const file of FILES) {
      const path = join(host.stateDirectory, file);
      const good = await readFile(path);
      await spoil(path).catch(async () => writeFile(path, '{}'));
      const client = await host.refreshed();
      await client.target('app.img');
      assert.deepEqual(await host.trusted(), { root: 3, timestamp: 3, snapshot: 3, targets: 3 }, file);
      // A time is written anew; metadata is what it was.
      if (file !== 'trusted-time.json') assert.deepEqual(await readFile(path), good, file);
      const again = await host.refreshed();
      assert.deepEqual(again.notices, [], file);
    }
  });
}

test('refresh() says so when a directory, or nothing that can be read, lies where its files belong', async (t) => {
  const { host } = await scene(t);
  await host.refreshed();
  await rm(join(host.stateDirectory, 'trusted-time.json'));
  await mkdir(join(host.stateDirectory, 'trusted-time.json'));
  const client = await host.open();
  await assert.rejects(client.refresh(), { code: 'files/not-writable' });
  assert.match(client.notices.join('\n'), /^Discarded the stored trusted-time\.json: Cannot read /mu);
});

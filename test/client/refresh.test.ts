/** What a host comes to trust, and what it keeps of it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import { openRepository } from '../../lib/client/index.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { send } from '../support/hostile-server.ts';
import { stateFiles } from '../support/host.ts';
import { createRepository, METADATA, newSigner } from '../support/simulator.ts';
import { simulatedHost } from '../support/simulated-host.ts';

const KEPT = ['root.json', 'snapshot.json', 'targets.json', 'timestamp.json'];

test('refresh() trusts the newest of everything when the host knows only the first root', async (t) => {
  const simulator = await createRepository();
  await simulator.publishRoot();
  await simulator.publishRoot();
  await simulator.publish();
  const host = await simulatedHost(t, simulator);
  const client = await host.refreshed();
  assert.deepEqual(client.roles().root, { version: 3, expires: '2100-01-01T00:00:00Z' });
  assert.deepEqual(await host.trusted(), { root: 3, timestamp: 2, snapshot: 2, targets: 2 });
  assert.deepEqual(await stateFiles(host.stateDirectory), [...KEPT, 'roots'].toSorted());
  assert.deepEqual((await readdir(join(host.stateDirectory, 'roots'))).toSorted(), ['2.root.json', '3.root.json']);
  assert.deepEqual(client.notices, []);
  for (const name of ['timestamp', '2.snapshot', '2.targets', '3.root']) {
    const stored = await readFile(join(host.stateDirectory, `${name.replace(/^\d+\./u, '')}.json`));
    assert.deepEqual(stored, Buffer.from(simulator.metadata(`${name}.json`)));
  }
  assert.equal((await stat(join(host.stateDirectory, 'root.json'))).mode & 0o777, 0o600);
  assert.deepEqual(client.traffic, { requests: host.server.requests.length, bytesReceived: client.traffic.bytesReceived });
});

test('refresh() asks for two files and writes nothing when nothing is new', async (t) => {
  const simulator = await createRepository();
  const host = await simulatedHost(t, simulator);
  await host.refreshed();
  const datesOf = async (): Promise<readonly bigint[]> =>
    Promise.all(KEPT.map(async (name) => (await stat(join(host.stateDirectory, name), { bigint: true })).mtimeNs));
  const before = await datesOf();
  host.server.requests.length = 0;
  const client = await host.refreshed();
  assert.deepEqual(host.server.requests, [`${METADATA}2.root.json`, `${METADATA}timestamp.json`]);
  assert.deepEqual(await datesOf(), before);
  assert.equal(client.roles().targets.version, 1);
});

test('refresh() goes on from a root that was accepted when what followed it was refused', async (t) => {
  const simulator = await createRepository();
  const host = await simulatedHost(t, simulator);
  await host.refreshed();
  const { online } = simulator.signers;
  simulator.signers = { ...simulator.signers, online: await newSigner() };
  await simulator.publishRoot();
  const client = await host.open();
  await assert.rejects(client.refresh(), {
    code: 'client/untrusted',
    details: { role: 'timestamp' },
    message: new RegExp(
      `^Cannot accept timestamp version 1: 0 of 1 needed signatures are valid; signed by key ${online.keyId.slice(0, 12)}…, which is not`,
      'u',
    ),
  });
  assert.deepEqual(await host.trusted(), { root: 2, timestamp: 1, snapshot: 1, targets: 1 });
  assert.throws(() => client.roles(), TypeError);
  await simulator.publish();
  await client.refresh();
  assert.deepEqual(await host.trusted(), { root: 2, timestamp: 2, snapshot: 2, targets: 2 });
});

test('refresh() recovers from a timestamp of a huge version when its key was removed', async (t) => {
  const simulator = await createRepository();
  const host = await simulatedHost(t, simulator);
  simulator.versions.timestamp = 1_000_000;
  simulator.versions.snapshot = 1_000_000;
  await simulator.publish();
  await host.refreshed();
  Object.assign(simulator.versions, { timestamp: 2, snapshot: 2 });
  simulator.signers = { ...simulator.signers, online: await newSigner() };
  await simulator.publishRoot();
  await simulator.publish();
  await host.refreshed();
  assert.deepEqual(await host.trusted(), { root: 2, timestamp: 3, snapshot: 3, targets: 3 });
});

test('refresh() starts from the root that the caller brings when it is newer than the stored one', async (t) => {
  const simulator = await createRepository();
  const host = await simulatedHost(t, simulator);
  await host.refreshed();
  const second = await simulator.publishRoot();
  simulator.files.delete(`${METADATA}2.root.json`);
  await host.refreshed({ root: second.bytes });
  assert.equal((await host.trusted())['root'], 2);
  host.server.requests.length = 0;
  await host.refreshed();
  assert.equal(host.server.requests[0], `${METADATA}3.root.json`);
});

test('refresh() cleans up after a process that died', async (t) => {
  const simulator = await createRepository();
  const host = await simulatedHost(t, simulator);
  for (const folder of ['.session-abc', '.spool-abc']) {
    await mkdir(join(host.stateDirectory, folder));
    await writeFile(join(host.stateDirectory, folder, 'left'), 'half');
  }
  await writeFile(join(host.stateDirectory, '.root.json.0f3a2c1e-1111-4222-8333-444455556666.tmp'), 'half');
  await host.refreshed();
  assert.deepEqual(await stateFiles(host.stateDirectory), KEPT);
});

test('refresh() throws aborted and keeps what was trusted when the signal fires', async (t) => {
  const simulator = await createRepository();
  const host = await simulatedHost(t, simulator);
  const client = await host.refreshed();
  await simulator.publish();
  const controller = new AbortController();
  host.server.lies.set('timestamp.json', () => controller.abort());
  await assert.rejects(client.refresh({ signal: controller.signal }), { name: 'GantryError', code: 'aborted' });
  assert.deepEqual(await host.trusted(), { root: 1, timestamp: 1, snapshot: 1, targets: 1 });
  assert.deepEqual(await stateFiles(host.stateDirectory), KEPT);
  await assert.rejects(client.refresh({ signal: AbortSignal.abort() }), { name: 'GantryError', code: 'aborted' });
});

test('refresh() gives every process the same trust when two share a state directory', async (t) => {
  const simulator = await createRepository();
  const host = await simulatedHost(t, simulator);
  await writeFile(join(host.directory, '1.root.json'), simulator.metadata('1.root.json'));
  const code = `
    import { openRepository } from ${JSON.stringify(new URL('../../lib/client/index.ts', import.meta.url).href)};
    const [root, metadataUrl, stateDirectory] = process.argv.slice(1);
    const client = await openRepository({ root, metadataUrl, stateDirectory });
    for (let round = 0; round < 5; round += 1) await client.refresh();
    console.log(JSON.stringify(client.roles().timestamp.version), client.notices.length);
    client.close();`;
  const args = [
    '--input-type=module',
    '-e',
    code,
    '--',
    join(host.directory, '1.root.json'),
    new URL(METADATA, host.server.url).href,
    host.stateDirectory,
  ];
  const outputs = ['a', 'b'].map(async () => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const text = async (stream: AsyncIterable<unknown>): Promise<string> => {
      let all = '';
      for await (const chunk of stream) all += String(chunk);
      return all;
    };
    return Promise.all([text(child.stdout), text(child.stderr)]);
  });
  assert.deepEqual(await Promise.all(outputs), [
    ['1 0\n', ''],
    ['1 0\n', ''],
  ]);
  assert.deepEqual(await stateFiles(host.stateDirectory), KEPT);
});

test('openRepository() throws client/bad-root when what it is given is no root, or is not signed by its own keys', async (t) => {
  const stateDirectory = join(await temporaryDirectory(t), 'state');
  const simulator = await createRepository();
  const weak = await simulator.publishRoot(simulator.signers.roots.slice(0, 1));
  const bad: readonly (readonly [Uint8Array, RegExp])[] = [
    [Buffer.from('<html>'), /not JSON/u],
    [simulator.metadata('timestamp.json'), /"timestamp"; expected "root"/u],
    [weak.bytes, /1 of 2 needed signatures are valid/u],
  ];
  for (const [root, message] of bad) {
    const attempt = openRepository({ root, metadataUrl: 'http://127.0.0.1:1/', stateDirectory });
    await assert.rejects(attempt, (error) => isGantryError(error, 'client/bad-root') && message.test(error.message));
  }
  const path = join(stateDirectory, 'nowhere');
  await assert.rejects(openRepository({ root: path, metadataUrl: 'http://127.0.0.1:1/', stateDirectory }), {
    code: 'files/missing',
    details: { path },
  });
  await assert.rejects(readdir(stateDirectory), { code: 'ENOENT' });
});

test('no message names the credentials of a URL, whatever goes wrong', async (t) => {
  const simulator = await createRepository();
  const host = await simulatedHost(t, simulator);
  const url = new URL(METADATA, host.server.url);
  url.username = 'user';
  url.password = 'hunter2';
  const attempts: readonly (() => Promise<unknown>)[] = [
    async () => host.open({ metadataUrl: `ftp://user:hunter2@${url.host}/` }),
    async () => host.open({ metadataUrl: '//user:hunter2@example' }),
    async () => host.open({ metadataUrl: 'file://user:hunter2@example/metal' }),
    async () => {
      simulator.targets.clear();
      await simulator.publish();
      await (await host.refreshed({ metadataUrl: url })).manifest();
    },
    async () => {
      host.server.lies.set('2.root.json', send(Buffer.from(''), 500));
      await host.refreshed({ metadataUrl: url });
    },
    async () => host.refreshed({ metadataUrl: `http://user:hunter2@127.0.0.1:1/?token=hunter2` }),
  ];
  for (const attempt of attempts) {
    await assert.rejects(attempt(), (error) => {
      assert.ok(isGantryError(error));
      const text = JSON.stringify([error.message, error.details, error.cause instanceof Error ? error.cause.message : '']);
      assert.ok(!text.includes('hunter2'), text);
      return true;
    });
  }
});

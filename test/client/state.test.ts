/** A state directory that is not what we left: damaged, of another repository, or put there by somebody. It never stops a host. */
import assert from 'node:assert/strict';
import { cp, mkdir, open, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import { canonicalBytes } from '../../lib/tuf/canonical.ts';
import { tufDate } from '../../lib/tuf/date.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { withFullDisk } from '../support/full-disk.ts';
import { send } from '../support/hostile-server.ts';
import { stateFiles } from '../support/host.ts';
import { createRepository, METADATA, newSigner, timestampRole, type Simulator } from '../support/simulator.ts';
import { simulatedHost, type SimulatedHost } from '../support/simulated-host.ts';

const ROOTS_ASKED = new RegExp(`^${METADATA}[0-9]+\\.root\\.json$`, 'u');

async function repositoryWithThreeRoots(): Promise<Simulator> {
  const simulator = await createRepository();
  await simulator.publishRoot();
  await simulator.publishRoot();
  return simulator;
}

function rootsAsked({ server }: SimulatedHost): readonly string[] {
  return server.requests.filter((path) => ROOTS_ASKED.test(path)).map((path) => path.slice(METADATA.length));
}

test('refresh() asks only for the next root when it has walked the chain before', async (t) => {
  const host = await simulatedHost(t, await repositoryWithThreeRoots());
  await host.refreshed();
  host.server.requests.length = 0;
  const client = await host.refreshed();
  assert.deepEqual(rootsAsked(host), ['4.root.json']);
  assert.equal(client.roles().root.version, 3);
  assert.deepEqual(client.notices, []);
});

test('refresh() keeps to the roots that it has walked when the server hides them', async (t) => {
  const simulator = await repositoryWithThreeRoots();
  const host = await simulatedHost(t, simulator);
  await host.refreshed();
  for (const version of [2, 3]) simulator.files.delete(`${METADATA}${version}.root.json`);
  const client = await host.refreshed();
  assert.equal(client.roles().root.version, 3);
  assert.equal((await host.trusted())['root'], 3);
});

test('refresh() does not believe a stored root that the trust anchor does not lead to', async (t) => {
  const foreign = await createRepository();
  for (let version = 2; version <= 9; version += 1) await foreign.publishRoot();
  const simulator = await repositoryWithThreeRoots();
  const host = await simulatedHost(t, simulator);
  await writeFile(join(host.stateDirectory, 'root.json'), foreign.metadata('9.root.json'));
  const client = await host.refreshed();
  assert.equal(client.roles().root.version, 3);
  assert.deepEqual(client.notices, [
    'Discarded the stored root.json, version 9: it does not follow from the trust anchor; version 3 is now trusted',
  ]);
  assert.deepEqual(await readFile(join(host.stateDirectory, 'root.json')), Buffer.from(simulator.metadata('3.root.json')));
});

test('refresh() discards everything with a notice each when the state is that of another repository', async (t) => {
  const foreign = await repositoryWithThreeRoots();
  for (let version = 2; version <= 7; version += 1) await foreign.publish();
  const other = await simulatedHost(t, foreign);
  await other.refreshed();
  const simulator = await repositoryWithThreeRoots();
  const host = await simulatedHost(t, simulator);
  await cp(other.stateDirectory, host.stateDirectory, { recursive: true });
  const client = await host.refreshed();
  assert.deepEqual(await host.trusted(), { root: 3, timestamp: 1, snapshot: 1, targets: 1 });
  const said = client.notices.join('\n');
  for (const file of ['2.root.json', '3.root.json', 'timestamp.json', 'snapshot.json', 'targets.json']) {
    assert.match(said, new RegExp(`^Discarded the stored ${file.replaceAll('.', '\\.')}`, 'mu'));
  }
  assert.deepEqual((await host.refreshed()).notices, []);
  for (const version of [2, 3]) {
    const stored = await readFile(join(host.stateDirectory, 'roots', `${version}.root.json`));
    assert.deepEqual(stored, Buffer.from(simulator.metadata(`${version}.root.json`)));
  }
});

test('refresh() does not speak of a rollback when the newer version that is stored was never trusted', async (t) => {
  const foreign = await createRepository();
  foreign.versions.timestamp = 98;
  await foreign.publish();
  const simulator = await createRepository();
  const host = await simulatedHost(t, simulator);
  await writeFile(join(host.stateDirectory, 'timestamp.json'), foreign.metadata('timestamp.json'));
  simulator.expires = new Date('2020-01-01T00:00:00Z');
  await simulator.publish();
  const client = await host.open();
  await assert.rejects(client.refresh(), { code: 'client/expired', details: { role: 'timestamp' } });
});

for (const [what, content] of [
  ['torn', '{"signed": {"_type": "root", '],
  ['empty', ''],
  ['something else', '[]'],
] as const) {
  test(`refresh() asks the server again for a stored root when it is ${what}`, async (t) => {
    const simulator = await repositoryWithThreeRoots();
    const host = await simulatedHost(t, simulator);
    await host.refreshed();
    const path = join(host.stateDirectory, 'roots', '2.root.json');
    await writeFile(path, content);
    host.server.requests.length = 0;
    const client = await host.refreshed();
    assert.deepEqual(rootsAsked(host), ['2.root.json', '4.root.json']);
    assert.match(client.notices.join('\n'), /^Discarded the stored 2\.root\.json: Cannot read root metadata: /u);
    assert.deepEqual(await readFile(path), Buffer.from(simulator.metadata('2.root.json')));
  });
}

test('refresh() stores no root that was refused, and the roots before it', async (t) => {
  const simulator = await createRepository();
  await simulator.publishRoot();
  const thief = await newSigner();
  await simulator.publishRoot([thief, thief].slice(0, 1));
  const host = await simulatedHost(t, simulator);
  const client = await host.open();
  await assert.rejects(client.refresh(), { code: 'client/untrusted', details: { role: 'root' } });
  assert.deepEqual(await readdir(join(host.stateDirectory, 'roots')), ['2.root.json']);
  assert.deepEqual(await host.trusted(), { root: 2 });
});

test('refresh() throws http/missing when the server says that the next root is gone for good', async (t) => {
  const host = await simulatedHost(t, await createRepository());
  host.server.lies.set('2.root.json', send(Buffer.from('gone'), 410));
  const client = await host.open();
  await assert.rejects(client.refresh(), {
    code: 'http/missing',
    details: { url: new URL(`${METADATA}2.root.json`, host.server.url).href, status: 410 },
  });
});

test('target() throws client/untrusted with the reason when what is signed cannot be used, and the others can', async (t) => {
  const simulator = await createRepository();
  const signed = {
    _type: 'targets',
    spec_version: '1.0.0',
    version: 2,
    expires: '2100-01-01T00:00:00Z',
    targets: { 'a.txt': { length: 1, hashes: { sha512: '00'.repeat(63) } }, 'b.txt': { length: 1, hashes: { sha256: '00'.repeat(32) } } },
  };
  const host = await simulatedHost(t, simulator);
  await publishTargets(simulator, signed);
  const client = await host.refreshed();
  const refusal =
    /^Cannot use the target a\.txt, although it is signed: it has neither a sha256 of 64 lowercase hexadecimal digits nor a sha512 of 128$/u;
  await assert.rejects(client.target('a.txt'), { code: 'client/untrusted', details: { role: 'targets' }, message: refusal });
  assert.deepEqual(
    client.targets().map(({ path }) => path.memberName()),
    ['b.txt'],
  );
  assert.match(client.notices.join('\n'), refusal);
});

/** Signs and publishes targets that our own types would not allow. */
async function publishTargets(simulator: Simulator, signed: object): Promise<void> {
  const { signers, versions } = simulator;
  versions.snapshot += 1;
  versions.timestamp += 1;
  const payload = canonicalBytes(signed);
  const bytes = Buffer.from(JSON.stringify({ signed, signatures: [await signers.targets.sign(payload)] }));
  simulator.files.set(`${METADATA}2.targets.json`, bytes);
  const common = { spec_version: '1.0.0', expires: tufDate(new Date('2100-01-01T00:00:00Z')) };
  const meta = { 'targets.json': { version: 2, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } } };
  const snapshot = await simulator.put(
    `${versions.snapshot}.snapshot.json`,
    { ...common, _type: 'snapshot', version: versions.snapshot, meta },
    [signers.online],
  );
  await simulator.put('timestamp.json', timestampRole(simulator, snapshot), [signers.online]);
}

test('refresh() throws the refusal when what was accepted before it cannot be stored either', async (t) => {
  const simulator = await createRepository();
  const host = await simulatedHost(t, simulator);
  await mkdir(join(host.stateDirectory, 'root.json'));
  simulator.expires = new Date('2020-01-01T00:00:00Z');
  await simulator.publish();
  const client = await host.open();
  await assert.rejects(client.refresh(), { code: 'client/expired', details: { role: 'timestamp' } });
  assert.match(client.notices.join('\n'), /^What was accepted could not be kept: Cannot write ".*root\.json"/mu);
});

test('refresh() throws a files/… error and keeps what it had when the disk is full, wherever that happens', async (t) => {
  await withFullDisk(t, async (folder) => {
    const simulator = await repositoryWithThreeRoots();
    const host = await simulatedHost(t, simulator);
    await host.refreshed({ stateDirectory: folder });
    const before = (await readdir(folder, { recursive: true })).toSorted();
    await simulator.publishRoot();
    await simulator.publish();
    const filler = join(folder, 'filler');
    const seen = new Set<string>();
    for (let freePages = 0; freePages < 40; freePages += 1) {
      await fillBut(filler, freePages * PAGE_BYTES);
      const client = await host.open({ stateDirectory: folder });
      const failure: unknown = await client.refresh().then(
        () => undefined,
        (error: unknown) => error,
      );
      await rm(filler);
      assert.deepEqual(
        client.notices.filter((notice) => notice.startsWith('Discarded')),
        [],
      );
      if (failure === undefined) break;
      assert.ok(isGantryError(failure), String(failure));
      seen.add(failure.code);
      const names = (await readdir(folder, { recursive: true })).filter((name) => !name.endsWith('4.root.json'));
      assert.deepEqual(names.toSorted(), before);
    }
    assert.deepEqual(
      [...seen].filter((code) => !code.startsWith('files/')),
      [],
    );
    assert.ok(seen.has('files/disk-full'));
    const client = await host.refreshed({ stateDirectory: folder });
    assert.deepEqual([client.roles().root.version, client.roles().timestamp.version, client.notices], [4, 2, []]);
  });
});

const PAGE_BYTES = 4096;

/** Takes what is left of a disk but so many bytes. */
async function fillBut(path: string, freeBytes: number): Promise<void> {
  const file = await open(path, 'w');
  let written = 0;
  try {
    for (;;) written += (await file.write(Buffer.alloc(PAGE_BYTES))).bytesWritten;
  } catch (error) {
    assert.match(String(error), /ENOSPC/u);
    await file.truncate(written - freeBytes);
  } finally {
    await file.close();
  }
}

test('refresh() makes its directory anew when it was removed meanwhile', async (t) => {
  const host = await simulatedHost(t, await createRepository());
  const client = await host.refreshed();
  await rm(host.stateDirectory, { recursive: true });
  await client.refresh();
  assert.deepEqual(await host.trusted(), { root: 1, timestamp: 1, snapshot: 1, targets: 1 });
});

test('refresh() throws files/not-writable when a directory lies where a role belongs', async (t) => {
  const host = await simulatedHost(t, await createRepository());
  await mkdir(join(host.stateDirectory, 'timestamp.json'));
  const client = await host.open();
  await assert.rejects(client.refresh(), { code: 'files/not-writable', details: { path: join(host.stateDirectory, 'timestamp.json') } });
  assert.deepEqual(
    (await stateFiles(host.stateDirectory)).filter((name) => name.startsWith('.')),
    [],
  );
});

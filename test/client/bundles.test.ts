/** Bundles as hosts read them: trust, rollback, and media that age. */
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openRepository, type RollbackStore } from '../../lib/client/index.ts';
import { bundleFiles, bundleScene, IMAGE, RAW, tarOf } from '../support/bundle-scene.ts';
import { drain, stateFiles } from '../support/host.ts';
import { simulatedHost } from '../support/simulated-host.ts';
import { createWorld } from '../support/tuf-world.ts';

const DAY_MS = 24 * 3_600_000;
const KEPT = ['manifest.json', 'root.json', 'snapshot.json', 'targets.json', 'timestamp.json'];

function day(number: number): Date {
  return new Date(Date.UTC(2031, 0, number));
}

test('openRepository() reads a bundle in place when it has a manifest, an image, and new roots', async (t) => {
  const { simulator, files, open, stateDirectory, directory } = await bundleScene(t);
  for (let round = 0; round < 3; round += 1) await simulator.publishRoot();
  await simulator.publish();
  const client = await open(tarOf(files()));
  await client.refresh();
  assert.deepEqual(client.roles().root.version, 4);
  assert.deepEqual((await client.manifest()).updates, []);
  const target = await client.target(IMAGE);
  assert.deepEqual(await drain(client.verifiedImageStream(target)), RAW);
  const file = join(directory, 'image');
  await client.download(target, file);
  assert.deepEqual(await readFile(file), Buffer.from(simulator.targets.get(IMAGE)?.bytes ?? []));
  assert.deepEqual(client.expired(), []);
  assert.deepEqual(
    (await stateFiles(stateDirectory)).filter((name) => name.endsWith('.json')),
    KEPT,
  );
  assert.deepEqual((await readdir(directory)).toSorted(), ['image', 'state', 'update.tar']);
});

test('openRepository() reads the delegated roles of a bundle', async (t) => {
  const world = await createWorld();
  const name = 'a team/with a slash';
  await world.delegate('targets', { name, terminating: false, paths: ['app.img'] });
  world.role(name).targets.set('app.img', Buffer.from('app'));
  await world.publish();
  const { open } = await bundleScene(t);
  const client = await open(tarOf(bundleFiles(world.files)), { root: world.metadata('1.root.json') });
  await client.refresh();
  assert.deepEqual(await drain(client.verifiedStream(await client.target('app.img'))), Buffer.from('app'));
  assert.deepEqual((await client.allTargets()).length, 2);
});

test('refresh() refuses an older bundle after a newer one, and after a newer server', async (t) => {
  const { simulator, files, open, stateDirectory } = await bundleScene(t);
  const older = tarOf(files());
  await simulator.publish();
  await (await open(tarOf(files()))).refresh();
  await assert.rejects((await open(older)).refresh(), { code: 'client/rollback' });
  await simulator.publish();
  const newer = tarOf(files());
  await simulator.publish();
  const host = await simulatedHost(t, simulator);
  await (await host.refreshed({ stateDirectory })).manifest();
  await assert.rejects((await open(newer, { acceptExpiredMs: 1000 * DAY_MS })).refresh(), { code: 'client/rollback' });
});

test('refresh() refuses an older bundle when only the rollback store remembers', async (t) => {
  const { simulator, files, open, directory } = await bundleScene(t);
  const older = tarOf(files());
  let record: Uint8Array | undefined;
  const rollbackStore: RollbackStore = {
    read: async () => record,
    write: async (bytes) => {
      record = bytes;
    },
  };
  await simulator.publish();
  await (await open(tarOf(files()), { rollbackStore })).refresh();
  const fresh = { rollbackStore, stateDirectory: join(directory, 'another-state') };
  await assert.rejects((await open(older, fresh)).refresh(), { code: 'client/rollback' });
  await (await open(older, { stateDirectory: join(directory, 'a-third-state') })).refresh();
});

test('refresh() accepts metadata that expired when that was asked for, no longer ago than that, and names it', async (t) => {
  const { simulator, files, open } = await bundleScene(t);
  simulator.expires = day(10);
  await simulator.publish();
  const tar = tarOf(files());
  const at = (number: number, days: number): Parameters<typeof open>[1] => ({ now: () => day(number), acceptExpiredMs: days * DAY_MS });
  await assert.rejects((await open(tar, at(12, 0))).refresh(), { code: 'client/expired' });
  // An expiry of just that long ago is too long ago, as without tolerance an expiry of just now is.
  await assert.rejects((await open(tar, at(12, 2))).refresh(), {
    code: 'client/expired',
    message: /clock says 2031-01-12T00:00:00Z; expected that it was valid at 2031-01-10T00:00:00Z$/u,
  });
  const client = await open(tar, at(12, 3));
  await client.refresh();
  assert.deepEqual(
    client.expired().map(({ role }) => role),
    ['timestamp', 'snapshot', 'targets'],
  );
  assert.ok(
    client.notices.some((text) => text.startsWith('Accepted timestamp version 3 although it expired at 2031-01-10T00:00:00Z, 2 days ago')),
  );
  assert.deepEqual(await drain(client.verifiedImageStream(await client.target(IMAGE))), RAW);
  // Each time, not once.
  const again = await open(tar, at(12, 3));
  await again.refresh();
  assert.equal(again.notices.filter((text) => text.startsWith('Accepted ')).length, 3);
});

test('refresh() treats an expired root like the other roles', async (t) => {
  const { simulator, files, open } = await bundleScene(t);
  simulator.expires = day(10);
  await simulator.publishRoot();
  simulator.expires = day(1000);
  await simulator.publish();
  const tar = tarOf(files());
  await assert.rejects((await open(tar, { now: () => day(12) })).refresh(), { code: 'client/expired', details: { role: 'root' } });
  const client = await open(tar, { now: () => day(12), acceptExpiredMs: 3 * DAY_MS });
  await client.refresh();
  assert.deepEqual(client.expired()[0], { role: 'root', version: 2, expires: '2031-01-10T00:00:00Z' });
});

test('target() names a delegated role that has expired', async (t) => {
  const world = await createWorld();
  const role = await world.delegate('targets', { name: 'team', terminating: false, paths: ['app.img'] });
  role.targets.set('app.img', Buffer.from('app'));
  role.expires = day(10);
  await world.publish();
  const { open, directory } = await bundleScene(t);
  const tar = tarOf(bundleFiles(world.files));
  const options = { root: world.metadata('1.root.json'), now: () => day(12) };
  const strict = await open(tar, { ...options, stateDirectory: join(directory, 'strict') });
  await strict.refresh();
  await assert.rejects(strict.target('app.img'), { code: 'client/expired' });
  for (let round = 0; round < 2; round += 1) {
    const client = await open(tar, { ...options, acceptExpiredMs: 3 * DAY_MS });
    await client.refresh();
    assert.deepEqual(client.expired(), []);
    await client.target('app.img');
    assert.deepEqual(client.expired(), [{ role: 'team', version: 1, expires: '2031-01-10T00:00:00Z' }]);
  }
});

test('refresh() never judges by an earlier time than the last refresh that succeeded, and never lowers it', async (t) => {
  const { simulator, files, open, stateDirectory } = await bundleScene(t);
  const trustedAt = async (): Promise<unknown> => JSON.parse(await readFile(join(stateDirectory, 'trusted-time.json'), 'utf8')).trustedAt;
  simulator.expires = day(10);
  await simulator.publish();
  const aged = tarOf(files());
  simulator.expires = day(30);
  await simulator.publish();
  const fresh = tarOf(files());
  await (await open(fresh, { now: () => day(20) })).refresh();
  assert.equal(await trustedAt(), day(20).toISOString());
  await (await open(fresh, { now: () => day(21), acceptExpiredMs: 5 * DAY_MS })).refresh();
  assert.equal(await trustedAt(), day(20).toISOString());
  // What had expired before that refresh is too old, whatever the tolerance says.
  simulator.expires = day(15);
  await simulator.publish();
  const relapse = tarOf(files());
  await assert.rejects((await open(relapse, { now: () => day(21), acceptExpiredMs: 100 * DAY_MS })).refresh(), { code: 'client/expired' });
  assert.equal(await trustedAt(), day(20).toISOString());
  await assert.rejects((await open(aged, { now: () => day(21), acceptExpiredMs: 100 * DAY_MS })).refresh(), { code: 'client/rollback' });
  // An accepted one moves it, but not beyond what was valid then.
  simulator.expires = day(25);
  await simulator.publish();
  const later = await open(tarOf(files()), { now: () => day(28), acceptExpiredMs: 4 * DAY_MS });
  await later.refresh();
  assert.equal(await trustedAt(), day(24).toISOString());
  assert.ok(!later.notices.some((text) => text.includes('trusted-time')));
  const reopened = await open(tarOf(files()), { now: () => day(28), acceptExpiredMs: 4 * DAY_MS });
  await reopened.refresh();
  assert.ok(!reopened.notices.some((text) => text.includes('trusted-time')), String(reopened.notices));
});

test('openRepository() throws TypeError when expired metadata of a server is to be accepted', async (t) => {
  const { simulator, stateDirectory, open, files } = await bundleScene(t);
  const online = { root: simulator.metadata('1.root.json'), metadataUrl: 'http://127.0.0.1:1/', stateDirectory };
  await assert.rejects(openRepository({ ...online, acceptExpiredMs: 1000 }), TypeError);
  await assert.rejects(openRepository({ ...online, bundle: '/nowhere.tar' }), TypeError);
  for (const acceptExpiredMs of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    await assert.rejects(open(tarOf(files()), { acceptExpiredMs }), RangeError);
  }
});

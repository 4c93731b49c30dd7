/** Root chains: longer than one visit, with gaps, forks, and roots that are too large. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { METADATA } from '../support/simulator.ts';
import { simulatedHost } from '../support/simulated-host.ts';
import { createWorld, newSigner } from '../support/tuf-world.ts';

test('root chain of 300: one visit walks 256 steps, the next one goes on and asks for none of them again', async (t) => {
  const world = await createWorld();
  for (let version = 2; version <= 300; version += 1) await world.publish({}, ['root']);
  const host = await simulatedHost(t, world);
  const first = await host.refreshed();
  assert.equal(first.roles().root.version, 257);
  assert.deepEqual(first.notices, ['The root chain goes on beyond version 257: 256 steps are one refresh, the next one continues']);
  assert.equal((await readdir(join(host.stateDirectory, 'roots'))).length, 256);
  host.server.requests.length = 0;
  const second = await host.refreshed();
  assert.equal(second.roles().root.version, 300);
  assert.deepEqual(second.notices, []);
  const roots = host.server.requests.filter((path) => path.endsWith('.root.json')).map((path) => path.slice(METADATA.length));
  assert.deepEqual(
    roots,
    Array.from({ length: 44 }, (_, index) => `${index + 258}.root.json`),
  );
});

test('root chain of 300: the steps count even when the keys of the timestamp changed behind the last one', async (t) => {
  const world = await createWorld();
  for (let version = 2; version <= 260; version += 1) await world.publish({}, ['root']);
  world.role('timestamp').signers = [await newSigner()];
  await world.publish({}, ['root']);
  await world.publish();
  const host = await simulatedHost(t, world);
  await assert.rejects((await host.open()).refresh(), { code: 'client/untrusted', details: { role: 'timestamp' } });
  assert.deepEqual(await host.trusted(), { root: 257 });
  await host.refreshed();
  assert.deepEqual(await host.trusted(), { root: 261, timestamp: 2, snapshot: 2, targets: 2 });
});

test('root chain: a host that was cut off in the middle goes on from what it has accepted', async (t) => {
  const world = await createWorld();
  for (let version = 2; version <= 6; version += 1) await world.publish({}, ['root']);
  const host = await simulatedHost(t, world);
  host.server.lies.set('4.root.json', (response) => void response.writeHead(500).end());
  await assert.rejects((await host.open()).refresh(), { code: 'http/status' });
  assert.deepEqual(await host.trusted(), { root: 3 });
  host.server.lies.clear();
  host.server.requests.length = 0;
  await host.refreshed();
  assert.equal(host.server.requests[0], `${METADATA}4.root.json`);
});

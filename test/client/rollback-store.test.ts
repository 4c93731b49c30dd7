/** A cleared state directory, and a store that remembers what was trusted in it. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test, type TestContext } from 'node:test';
import type { RollbackStore } from '../../lib/client/index.ts';
import { METADATA } from '../support/simulator.ts';
import { simulatedHost, type SimulatedHost } from '../support/simulated-host.ts';
import { createWorld, newSigner, type World } from '../support/tuf-world.ts';

interface Memory extends RollbackStore {
  record: Uint8Array | undefined;
  writes: number;
}

function memoryStore(): Memory {
  return {
    record: undefined,
    writes: 0,
    async read() {
      return this.record;
    },
    async write(record) {
      this.record = record;
      this.writes += 1;
    },
  };
}

interface Scene {
  readonly world: World;
  readonly host: SimulatedHost;
  readonly store: Memory;
  /** The files as they were when versions were these. */
  readonly old: ReadonlyMap<string, Uint8Array>;
}

/** Version 3 of everything, root 2, is trusted; then the state directory is lost. */
async function scene(t: TestContext): Promise<Scene> {
  const world = await createWorld();
  const old = new Map(world.files);
  await world.publish({}, ['root']);
  await world.publish();
  await world.publish();
  const host = await simulatedHost(t, world);
  const store = memoryStore();
  await host.refreshed({ rollbackStore: store });
  await rm(host.stateDirectory, { recursive: true });
  return { world, host, store, old };
}

function serve({ world }: Scene, files: ReadonlyMap<string, Uint8Array>): void {
  world.files.clear();
  for (const [path, bytes] of files) world.files.set(path, bytes);
}

test('refresh() refuses an older publication when the state directory was cleared and the store remembers', async (t) => {
  const all = await scene(t);
  const now = new Map(all.world.files);
  serve(all, new Map([...all.old, [`${METADATA}2.root.json`, all.world.metadata('2.root.json')]]));
  const client = await all.host.open({ rollbackStore: all.store });
  await assert.rejects(client.refresh(), {
    code: 'client/rollback',
    details: { role: 'timestamp' },
    message: 'Cannot accept timestamp version 1: version 3 was trusted before, as the rollback store remembers',
  });
  assert.deepEqual(await all.host.trusted(), { root: 2 });
  serve(all, now);
  await client.refresh();
  assert.deepEqual(await all.host.trusted(), { root: 2, timestamp: 3, snapshot: 3, targets: 3 });
  assert.equal(all.store.writes, 1);
});

test('refresh() takes the older publication when nobody remembers', async (t) => {
  const all = await scene(t);
  serve(all, all.old);
  await all.host.refreshed();
  assert.deepEqual(await all.host.trusted(), { root: 1, timestamp: 1, snapshot: 1, targets: 1 });
});

test('refresh() refuses a root chain that ends early when the store remembers a newer root', async (t) => {
  const all = await scene(t);
  all.world.files.delete(`${METADATA}2.root.json`);
  const client = await all.host.open({ rollbackStore: all.store });
  await assert.rejects(client.refresh(), { code: 'client/rollback', details: { role: 'root' } });
});

test('refresh() refuses a state directory that was set back together with the server', async (t) => {
  const all = await scene(t);
  serve(all, new Map([...all.old, [`${METADATA}2.root.json`, all.world.metadata('2.root.json')]]));
  await all.host.refreshed();
  const client = await all.host.open({ rollbackStore: all.store });
  await assert.rejects(client.refresh(), { code: 'client/rollback', details: { role: 'timestamp' } });
});

for (const role of ['snapshot', 'targets'] as const) {
  test(`refresh() refuses a newer timestamp that leads to an older ${role} when the store remembers`, async (t) => {
    const all = await scene(t);
    if (role === 'snapshot') {
      all.world.role('snapshot').version = 1;
      await all.world.publish({}, ['snapshot', 'timestamp']);
    } else {
      all.world.role('targets').version = 0;
      await all.world.publish();
    }
    const client = await all.host.open({ rollbackStore: all.store });
    await assert.rejects(client.refresh(), { code: 'client/rollback', details: { role } });
    all.world.role(role).version = 3;
    await all.world.publish();
    await client.refresh();
  });
}

test('refresh() starts versions anew when the root has given the role to other keys', async (t) => {
  const all = await scene(t);
  for (const role of ['snapshot', 'timestamp']) {
    all.world.role(role).version = 0;
    all.world.role(role).signers = [await newSigner()];
  }
  await all.world.publish({}, ['root']);
  await all.world.publish();
  await all.host.refreshed({ rollbackStore: all.store });
  assert.deepEqual(await all.host.trusted(), { root: 3, timestamp: 1, snapshot: 1, targets: 4 });
});

test('refresh() writes to the store only when a version is new', async (t) => {
  const { host, store, world } = await scene(t);
  for (let round = 0; round < 3; round += 1) await host.refreshed({ rollbackStore: store });
  assert.equal(store.writes, 1);
  await world.publish();
  await host.refreshed({ rollbackStore: store });
  assert.equal(store.writes, 2);
  assert.ok((store.record?.length ?? 0) < 1024);
});

for (const text of ['', 'null', '{}', '{"root":1}', '[1]', '\u0000'.repeat(64)]) {
  test(`refresh() discards what the store has with a notice when it is ${JSON.stringify(text.slice(0, 10))}`, async (t) => {
    const { host, store } = await scene(t);
    store.record = Buffer.from(text);
    const client = await host.refreshed({ rollbackStore: store });
    assert.deepEqual(client.notices, ['Discarded what the rollback store had: it is no record of trusted versions']);
    assert.equal((await host.refreshed({ rollbackStore: store })).notices.length, 0);
  });
}

test('refresh() throws what the store throws, and trusts nothing meanwhile', async (t) => {
  const { host } = await scene(t);
  const rollbackStore: RollbackStore = { read: async () => Promise.reject(new RangeError('no TPM')), write: async () => undefined };
  await assert.rejects((await host.open({ rollbackStore })).refresh(), /no TPM/u);
});

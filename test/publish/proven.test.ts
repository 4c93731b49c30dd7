/** Which stores are probed before anything is written to them, and when it is remembered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readLive } from '../../lib/publish/live.ts';
import { provenStore } from '../../lib/publish/proven.ts';
import { publishRepository } from '../../lib/publish/publish.ts';
import type { Store } from '../../lib/store/store.ts';
import { METAL, addVersion, engineerWithRoot, newEngineer, sign } from '../support/engineer.ts';
import { carelessStore } from '../support/faulty-store.ts';
import { createMemoryStore } from '../support/memory-store.ts';

const NOW = new Date('2026-06-01T12:00:00Z');
const DAY = 24 * 3600 * 1000;

function unproven(store: Store): Store {
  return { ...store, conditions: 'unknown' };
}

/** Ignores whatever is expected. */
function careless(inner: Store): Store {
  return unproven(carelessStore(inner));
}

test('provenStore() probes a store once a week', async (t) => {
  const { workspace } = await newEngineer(t);
  const store = unproven(createMemoryStore());
  const probes: number[] = [];
  for (const day of [0, 1, 6.9, 7, 8]) {
    await provenStore(workspace, store, { now: new Date(NOW.getTime() + day * DAY), onProbe: () => probes.push(day) });
  }
  assert.deepEqual(probes, [0, 7]);
});

test('provenStore() believes no record of the future, and none of another store', async (t) => {
  const { workspace } = await newEngineer(t);
  const probes: string[] = [];
  const prove = async (now: Date, description: string): Promise<void> => {
    await provenStore(workspace, { ...unproven(createMemoryStore()), description }, { now, onProbe: () => probes.push(description) });
  };
  await prove(new Date(NOW.getTime() + DAY), 'one');
  await prove(NOW, 'one');
  await prove(NOW, 'two');
  assert.deepEqual(probes, ['one', 'one', 'two']);
});

test('publishRepository() writes nothing of a publication to a store that does not keep conditions', async (t) => {
  const engineer = await engineerWithRoot(t);
  await addVersion(engineer, '1.0.0');
  await sign(engineer);
  const store = careless(createMemoryStore());
  const options = { now: engineer.now };
  await assert.rejects(publishRepository(engineer.workspace, store, METAL, options), { code: 'store/not-atomic' });
  for await (const { path } of store.list('')) assert.ok(path.startsWith('gantry-probe/'), path);
  // Nothing was remembered.
  await assert.rejects(publishRepository(engineer.workspace, store, METAL, options), { code: 'store/not-atomic' });
  await publishRepository(engineer.workspace, store, METAL, { ...options, writers: 'single' });
  assert.equal((await readLive(engineer.workspace, store, METAL)).trusted.manifest.updates.length, 1);
});

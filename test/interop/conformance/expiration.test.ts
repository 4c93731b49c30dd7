/** The items of `test_expiration.py`. */
import assert from 'node:assert/strict';
import { allItems, item } from '../../support/conformance.ts';

const M = 'test_expiration';
const PAST = new Date('2021-01-01T00:00:00Z');
const FAR = new Date('2100-01-01T00:00:00Z');
const ONE = { root: 1, timestamp: 1, snapshot: 1, targets: 1 };

item(M, 'root_expired', async ({ refresh, world, trusted }) => {
  await refresh();
  world.role('root').expires = PAST;
  await world.publish({}, ['root']);
  await world.publish();
  assert.equal(await refresh(), 1);
  assert.deepEqual(await trusted(), { ...ONE, root: 2 });
});

const KEPT = { timestamp: ONE, snapshot: { ...ONE, timestamp: 2 }, targets: { ...ONE, timestamp: 2, snapshot: 2 } } as const;

for (const [role, kept] of Object.entries(KEPT)) {
  item(M, `${role}_expired`, async ({ refresh, world, trusted }) => {
    await refresh();
    world.role(role).expires = PAST;
    await world.publish();
    assert.equal(await refresh(), 1);
    assert.deepEqual(await trusted(), kept);
  });
}

item(M, 'expired_local_root', async ({ init, refresh, world, trusted }) => {
  world.role('root').version = 0;
  world.role('root').expires = PAST;
  await world.publish({}, ['root']);
  await init();
  world.role('root').expires = FAR;
  await world.publish({}, ['root']);
  assert.equal(await refresh(), 0);
  assert.deepEqual(await trusted(), { ...ONE, root: 2 });
});

item(M, 'expired_local_timestamp', async ({ refresh, world, trusted }) => {
  world.role('timestamp').expires = new Date(Date.now() + 4000);
  await world.publish();
  assert.equal(await refresh(), 0);
  const left = world.role('timestamp').expires.getTime() - Date.now();
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, left)));
  world.role('timestamp').expires = FAR;
  await world.publish();
  assert.equal(await refresh(), 0);
  assert.deepEqual(await trusted(), { root: 1, timestamp: 3, snapshot: 3, targets: 3 });
});

allItems(M);

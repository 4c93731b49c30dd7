/** The items of `test_rollback.py`. */
import assert from 'node:assert/strict';
import { allItems, item } from '../../support/conformance.ts';
import { newSigner, type World } from '../../support/tuf-world.ts';

const M = 'test_rollback';
const ALL_2 = { root: 1, timestamp: 2, snapshot: 2, targets: 2 };

item(M, 'new_timestamp_version_rollback', async ({ refresh, world, trusted }) => {
  await world.publish();
  assert.equal(await refresh(), 0);
  world.role('timestamp').version = 0;
  await world.publish({}, ['timestamp']);
  assert.equal(await refresh(), 1);
  assert.deepEqual(await trusted(), ALL_2);
});

for (const [name, style] of [
  ['basic', 'version'],
  ['with hashes', 'full'],
] as const) {
  item(M, `snapshot_rollback[${name}]`, async ({ refresh, world, trusted }) => {
    world.metaStyle = style;
    await world.publish();
    assert.equal(await refresh(), 0);
    world.role('snapshot').version = 0;
    await world.publish({}, ['snapshot', 'timestamp']);
    assert.equal(await refresh(), 1);
    assert.deepEqual(await trusted(), ALL_2);
  });

  item(M, `targets_rollback[${name}]`, async ({ refresh, world, trusted }) => {
    world.metaStyle = style;
    await world.publish();
    assert.equal(await refresh(), 0);
    world.role('targets').version = 0;
    await world.publish();
    assert.equal(await refresh(), 1);
    assert.deepEqual(await trusted(), { ...ALL_2, timestamp: 3 });
  });
}

item(M, 'targets_role_removal', async ({ refresh, world, trusted }) => {
  await world.publish();
  assert.equal(await refresh(), 0);
  await world.publish({ snapshot: { signed: (signed) => ({ ...signed, meta: {} }) } }, ['snapshot', 'timestamp']);
  assert.equal(await refresh(), 1);
  assert.deepEqual(await trusted(), { ...ALL_2, timestamp: 3 });
});

/** Versions that were pushed far ahead go back once these keys are new. */
async function recover(world: World, versions: readonly string[], keys: readonly string[]): Promise<void> {
  for (const role of versions) world.role(role).version = 0;
  for (const role of keys) world.role(role).signers = [await newSigner()];
  await world.publish({}, ['root']);
  await world.publish();
}

const FAR = 99_999;
for (const [name, role, keys] of [
  ['targets_fast_forward_recovery', 'targets', ['snapshot']],
  ['new_snapshot_fast_forward_recovery', 'snapshot', ['snapshot', 'timestamp']],
  ['new_timestamp_fast_forward_recovery', 'timestamp', ['timestamp']],
] as const) {
  item(M, name, async ({ refresh, world, trusted }) => {
    world.role(role).version = FAR;
    await world.publish();
    assert.equal(await refresh(), 0);
    assert.equal((await trusted())[role], FAR + 1);
    await recover(world, [role], keys);
    assert.equal(await refresh(), 0);
    assert.equal((await trusted())[role], 1);
  });
}

allItems(M);

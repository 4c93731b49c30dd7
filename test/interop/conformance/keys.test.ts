/** The items of `test_keys.py`. */
import assert from 'node:assert/strict';
import { allItems, item } from '../../support/conformance.ts';
import { newSigner } from '../../support/tuf-world.ts';

const M = 'test_keys';
const ONE = { root: 1, timestamp: 1, snapshot: 1, targets: 1 };

item(M, 'snapshot_does_not_meet_threshold', async ({ refresh, world, trusted }) => {
  world.role('snapshot').signers = [await newSigner(), await newSigner()];
  world.role('snapshot').threshold = 2;
  await world.publish({}, ['root']);
  await world.publish({ snapshot: { signers: world.role('snapshot').signers.slice(0, 1) } });
  assert.equal(await refresh(), 1);
  assert.deepEqual(await trusted(), { root: 2, timestamp: 2 });
});

item(M, 'snapshot_has_too_few_keys', async ({ refresh, world, trusted }) => {
  world.role('snapshot').threshold = 5;
  await world.publish({}, ['root']);
  await world.publish();
  assert.equal(await refresh(), 1);
  assert.deepEqual(await trusted(), { root: 2, timestamp: 2 });
});

item(M, 'duplicate_keys', async ({ refresh, world, trusted }) => {
  await refresh();
  await world.publish(
    {
      root: {
        signed: ({ roles, ...rest }) => {
          const { keyids } = roles.snapshot;
          return { ...rest, roles: { ...roles, snapshot: { keyids: [...keyids, ...keyids, ...keyids], threshold: 3 } } };
        },
      },
    },
    ['root'],
  );
  await world.publish();
  assert.equal(await refresh(), 1);
  assert.equal((await trusted())['snapshot'], 1);
});

item(M, 'duplicate_sig_keyids', async ({ refresh, world, trusted }) => {
  await world.publish({ timestamp: { envelope: ({ signed, signatures }) => ({ signed, signatures: [...signatures, ...signatures] }) } });
  assert.equal(await refresh(), 1);
  assert.deepEqual(await trusted(), { root: 1 });
});

for (const [name, type] of [
  ['rsa/rsassa-pss-sha256', 'rsa'],
  ['ecdsa/ecdsa-sha2-nistp256', 'ecdsa'],
  ['ed25519/ed25519', 'ed25519'],
] as const) {
  item(M, `keytype_and_scheme[${name}]`, async ({ refresh, world, trusted }) => {
    world.role('snapshot').signers = [await newSigner(type)];
    await world.publish({}, ['root']);
    await world.publish();
    assert.equal(await refresh(), 0);
    await world.publish({ snapshot: { envelope: ({ signed, signatures }) => ({ signatures, signed: { ...signed, 'x-more': 1 } }) } });
    assert.equal(await refresh(), 1);
    assert.deepEqual(await trusted(), { root: 2, timestamp: 3, snapshot: 2, targets: 2 });
  });
}

item(M, 'invalid_sig_in_valid_metadata', async ({ refresh, world, trusted }) => {
  assert.equal(await refresh(), 0);
  for (const sig of ['', 'deadbeef']) {
    await world.publish({
      timestamp: { envelope: ({ signed, signatures }) => ({ signed, signatures: [...signatures, { keyid: 'a'.repeat(64), sig }] }) },
    });
    assert.equal(await refresh(), 0);
  }
  assert.deepEqual(await trusted(), { ...ONE, timestamp: 3, snapshot: 3, targets: 3 });
});

allItems(M);

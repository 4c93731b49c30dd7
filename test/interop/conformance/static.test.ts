/**
 * The items of `test_static_repositories.py`. The suite's copies of real repositories are in no registry, so these are of the same
 * make: keys with unknown members under ids that are no digests, ECDSA keys, roles with unknown members, a delegated role with
 * targets in folders.
 */
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Root } from '../../../lib/tuf/types.ts';
import { allItems, item } from '../../support/conformance.ts';
import { FIXTURES } from '../../support/fixtures.ts';
import { METADATA } from '../../support/simulator.ts';
import { newSigner, type World } from '../../support/tuf-world.ts';

const M = 'test_static_repositories';

/** Keys as tuf-on-ci describes them, a periods member in every role. */
function described(root: Root): object {
  const keys = Object.entries(root.keys).map(([id, key]) => [id, { ...key, 'x-tuf-on-ci-keyowner': '@someone' }]);
  return { ...root, keys: Object.fromEntries(keys), 'x-tuf-on-ci-expiry-period': 182, 'x-tuf-on-ci-signing-period': 35 };
}

async function twoRoots(world: World): Promise<void> {
  world.role('root').version = 0;
  for (let round = 0; round < 2; round += 1) await world.publish({ root: { signed: described } }, ['root']);
}

item(M, 'tuf-on-ci-0.11', async ({ world, init, refresh, download, content }) => {
  for (const role of ['root', 'targets', 'snapshot', 'timestamp'])
    world.role(role).signers = [await newSigner('ecdsa'), await newSigner('ecdsa')];
  await twoRoots(world);
  await world.delegate('targets', { name: 'delegated', terminating: true, paths: ['delegated/*'] });
  world.role('delegated').targets.set('delegated/file.txt', Buffer.from('content'));
  const periods = { signed: (signed: object) => ({ ...signed, 'x-tuf-on-ci-expiry-period': 365 }) };
  await world.publish({ timestamp: periods, snapshot: periods, targets: periods });
  assert.equal(await init(), 0);
  assert.equal(await refresh(), 0);
  assert.equal(await download('delegated/file.txt', 'manifest.json'), 0);
  assert.equal(await content('delegated/file.txt'), 'content');
});

item(M, 'sigstore-root-signing', async ({ world, init, refresh, download }) => {
  for (const role of ['root', 'targets'])
    world.role(role).signers = [await newSigner('ecdsa'), await newSigner('ecdsa'), await newSigner('ecdsa')];
  for (const role of ['root', 'targets']) world.role(role).threshold = 2;
  await twoRoots(world);
  await world.publish();
  assert.equal(await init(), 0);
  assert.equal(await refresh(), 0);
  assert.equal(await download('manifest.json'), 0);
  // And what other implementations wrote and froze.
  for (const { directory, targetFiles } of FIXTURES) {
    world.files.clear();
    for (const file of await readdir(join(directory, 'metadata')))
      world.files.set(METADATA + file, await readFile(join(directory, 'metadata', file)));
    for (const file of Object.values(targetFiles)) world.files.set(`targets/${file}`, await readFile(join(directory, 'targets', file)));
    assert.equal(await init(world.metadata('1.root.json')), 0);
    assert.equal(await download(...Object.keys(targetFiles)), 0);
  }
});

allItems(M);

/** The items of `test_repository_simulator.py`: the repository that judges our client is itself one that others accept. */
import assert from 'node:assert/strict';
import { allItems, item } from '../../support/conformance.ts';
import { lintRepository } from '../../../lib/tuf/lint.ts';
import { readSignedRole } from '../../../lib/tuf/role.ts';
import { verifyThreshold } from '../../../lib/tuf/signature.ts';
import type { World } from '../../support/tuf-world.ts';

const M = 'test_repository_simulator';

function newest(world: World): Parameters<typeof lintRepository>[0] {
  const file = (role: 'targets' | 'snapshot'): string => `${world.role(role).version}.${role}.json`;
  return {
    roots: Array.from({ length: world.role('root').version }, (_, index) =>
      readSignedRole(world.metadata(`${index + 1}.root.json`), 'root'),
    ),
    timestamp: readSignedRole(world.metadata('timestamp.json'), 'timestamp'),
    snapshot: readSignedRole(world.metadata(file('snapshot')), 'snapshot'),
    targets: readSignedRole(world.metadata(file('targets')), 'targets'),
  };
}

item(M, 'the repository is portable', async ({ world }) => {
  await world.publish({}, ['root']);
  await world.publish();
  assert.deepEqual(
    lintRepository(newest(world)).filter(({ severity }) => severity === 'error'),
    [],
  );
});

item(M, 'every role is signed by its keys', async ({ world }) => {
  await world.publish();
  const { roots, ...roles } = newest(world);
  for (const name of ['timestamp', 'snapshot', 'targets'] as const) {
    const { role, signatures } = roles[name] ?? assert.fail(name);
    const [root] = roots;
    assert.ok(root);
    verifyThreshold({ signed: role, signatures }, root.role.keys, root.role.roles[name], name);
  }
});

item(M, 'versions go up by one, and old ones stay', async ({ world }) => {
  for (let round = 0; round < 3; round += 1) await world.publish();
  for (const role of ['targets', 'snapshot'] as const) {
    for (let version = 1; version <= 4; version += 1) {
      assert.equal(readSignedRole(world.metadata(`${version}.${role}.json`), role).role.version, version);
    }
  }
  assert.equal(readSignedRole(world.metadata('timestamp.json'), 'timestamp').role.version, 4);
});

allItems(M);

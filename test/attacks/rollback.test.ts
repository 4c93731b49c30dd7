/** Rollback: older metadata in the place of what is trusted, by whoever can replay files or has stolen one key. */
import type { Targets } from '../../lib/tuf/types.ts';
import { attacks, oldFile, serving, type AttackScene } from '../support/attack.ts';
import { METADATA } from '../support/simulator.ts';

const withoutHashes = ({ world }: AttackScene): void => {
  world.metaStyle = 'version';
};

attacks('rollback', {
  'an old timestamp': {
    before: async ({ world }) => world.publish({}, ['timestamp']),
    attack: async ({ world, host }) => {
      const old = world.metadata('timestamp.json');
      await world.publish();
      await host.refreshed();
      world.files.set(`${METADATA}timestamp.json`, old);
    },
    code: 'client/rollback',
    role: 'timestamp',
    message: /^Cannot accept timestamp version 3: version 4 is already trusted$/u,
    kept: [1, 4, 3, 3, 2],
  },
  'a timestamp of version 0': {
    attack: { timestamp: { signed: (signed) => ({ ...signed, version: 0 }) } },
    code: 'client/untrusted',
    role: 'timestamp',
    kept: [1, 2, 2, 2, 2],
  },
  'a new timestamp that names an old snapshot': {
    before: async ({ world, host }) => {
      await world.publish();
      await host.refreshed();
    },
    attack: async ({ world }) =>
      world.publish({ timestamp: { signed: (signed) => ({ ...signed, meta: { 'snapshot.json': { version: 2 } } }) } }),
    code: 'client/rollback',
    role: 'timestamp',
    message: /a timestamp that names snapshot version 2: version 3 is already trusted$/u,
    kept: [1, 3, 3, 3, 2],
  },
  'an old snapshot under the name of the new one': {
    attack: serving('3.snapshot.json', (scene) => oldFile(scene, '2.snapshot.json')),
    code: 'client/untrusted',
    role: 'snapshot',
    message: /^Cannot accept snapshot version 2: timestamp version 3 names version 3$/u,
    kept: [1, 3, 2, 2, 2],
  },
  'an old snapshot under the name of the new one, without digests': {
    before: withoutHashes,
    attack: serving('3.snapshot.json', (scene) => oldFile(scene, '2.snapshot.json')),
    code: 'client/untrusted',
    role: 'snapshot',
    kept: [1, 3, 2, 2, 2],
  },
  'a new snapshot that names old targets': {
    attack: { targets: { meta: () => ({ version: 1 }) } },
    code: 'client/rollback',
    role: 'snapshot',
    message: /a snapshot that names targets\.json version 1: version 2 is already trusted$/u,
    kept: [1, 3, 2, 2, 2],
  },
  'a new snapshot that names an old delegated role': {
    attack: { team: { meta: () => ({ version: 1 }) } },
    code: 'client/rollback',
    role: 'snapshot',
    message: /a snapshot that names team\.json version 1: version 2 is already trusted$/u,
    kept: [1, 3, 2, 2, 2],
  },
  'a new snapshot that has forgotten a delegated role': {
    attack: { snapshot: { signed: ({ meta, ...rest }) => ({ ...rest, meta: { 'targets.json': meta['targets.json'] } }) } },
    code: 'client/untrusted',
    role: 'snapshot',
    message: /Missing file team\.json in new snapshot/u,
    kept: [1, 3, 2, 2, 2],
  },
  'old targets under the name of the new ones': {
    attack: serving('3.targets.json', (scene) => oldFile(scene, '2.targets.json')),
    code: 'client/untrusted',
    role: 'targets',
    message: /^Cannot accept targets version 2: snapshot version 3 names version 3$/u,
    kept: [1, 3, 3, 2, 2],
  },
  'old targets under the name of the new ones, without digests': {
    before: withoutHashes,
    attack: serving('3.targets.json', (scene) => oldFile(scene, '2.targets.json')),
    code: 'client/untrusted',
    role: 'targets',
    kept: [1, 3, 3, 2, 2],
  },
  'an old delegated role under the name of the new one': {
    attack: serving('3.team.json', (scene) => oldFile(scene, '2.team.json')),
    code: 'client/untrusted',
    role: 'team',
    kept: [1, 3, 3, 3, 2],
  },
  'an old delegated role under the name of the new one, without digests': {
    before: withoutHashes,
    attack: serving('3.team.json', (scene) => oldFile(scene, '2.team.json')),
    code: 'client/untrusted',
    role: 'team',
    message: /does not match snapshot version 3/u,
    kept: [1, 3, 3, 3, 2],
  },
  'the root that is trusted, as the next one': {
    attack: serving('2.root.json', (scene) => oldFile(scene, '1.root.json')),
    twin: async ({ world }) => world.publish({}, ['root']),
    code: 'client/untrusted',
    role: 'root',
    message: /^Cannot accept root version 1: it was served as 2\.root\.json; expected version 2$/u,
    kept: [1, 2, 2, 2, 2],
  },
  'a root that leaves one out': {
    attack: { root: { signed: (signed) => ({ ...signed, version: 3 }) } },
    code: 'client/untrusted',
    role: 'root',
    kept: [1, 2, 2, 2, 2],
  },
});

/** What a thief of the online keys would like hosts to run. */
const older = (targets: Targets): Targets => ({ ...targets, version: 1 });

attacks('rollback with stolen online keys', {
  'the old targets under a new timestamp and a new snapshot': {
    attack: async ({ world }) => {
      await world.publish({ targets: { meta: () => ({ version: 1 }) } }, ['snapshot', 'timestamp']);
      world.role('targets').version = 0;
      await world.publish({}, ['targets']);
      await world.publish({}, ['snapshot', 'timestamp']);
    },
    code: 'client/rollback',
    role: 'snapshot',
    kept: [1, 4, 2, 2, 2],
  },
  'targets whose file says another version than the snapshot': {
    attack: { targets: { signed: older } },
    code: 'client/rollback',
    role: 'targets',
    kept: [1, 3, 3, 2, 2],
  },
});

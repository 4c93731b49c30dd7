/** Mix-and-match: validly signed files that were never published together; and files that were published half. */
import { attacks, type Attack, type AttackScene, type Kept } from '../support/attack.ts';
import { METADATA } from '../support/simulator.ts';
import { createWorld } from '../support/tuf-world.ts';

/** Publishes version 3 twice with different content, and serves one file of the first among those of the second. */
function mixed(file: string): (scene: AttackScene) => Promise<void> {
  return async ({ world }) => {
    await world.publish();
    const other = world.metadata(file);
    for (const role of ['targets', 'snapshot', 'timestamp', 'team']) world.role(role).version = 2;
    world.role('team').targets.set('other.img', Buffer.from('other'));
    world.role('targets').targets.set('other.img', Buffer.from('other'));
    await world.publish();
    world.files.set(METADATA + file, other);
  };
}

const MIXED: Readonly<Record<string, Kept>> = { snapshot: [1, 3, 2, 2, 2], targets: [1, 3, 3, 2, 2], team: [1, 3, 3, 3, 2] };

attacks(
  'mix-and-match',
  Object.fromEntries(
    Object.entries(MIXED).map(([role, kept]): [string, Attack] => [
      `the ${role} of another publication with the same version`,
      { attack: mixed(`3.${role}.json`), code: 'client/untrusted', role, message: /SHA-256|[Ll]ength|hash/u, kept },
    ]),
  ),
);

attacks(
  'torn upload',
  Object.fromEntries(
    Object.entries(MIXED).map(([role, kept]): [string, Attack] => [
      `a parent of a ${role} that is not there`,
      {
        attack: async ({ world }) => {
          await world.publish();
          world.files.delete(`${METADATA}3.${role}.json`);
        },
        code: 'http/missing',
        kept,
      },
    ]),
  ),
);

attacks('mix-and-match of repositories', {
  'the timestamp of another repository': {
    attack: async ({ world }) => {
      const foreign = await createWorld();
      for (let round = 0; round < 3; round += 1) await foreign.publish();
      world.files.set(`${METADATA}timestamp.json`, foreign.metadata('timestamp.json'));
    },
    code: 'client/untrusted',
    role: 'timestamp',
    message: /0 of 1 needed signatures are valid; signed by key .* which is not/u,
    kept: [1, 2, 2, 2, 2],
  },
  'the root of another repository': {
    attack: async ({ world }) => {
      const foreign = await createWorld();
      await foreign.publish({}, ['root']);
      world.files.set(`${METADATA}2.root.json`, foreign.metadata('2.root.json'));
    },
    code: 'client/untrusted',
    role: 'root',
    kept: [1, 2, 2, 2, 2],
  },
});

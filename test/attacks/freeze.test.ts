/** Freeze: metadata that is no longer valid, so that a host never learns of what came after it. */
import { attacks, type Attack, type Kept } from '../support/attack.ts';

const PAST = new Date('2020-01-01T00:00:00Z');

/** What is on the disk when this role is refused: its parents are new. */
const KEPT: Readonly<Record<string, Kept>> = {
  root: [2, 2, 2, 2, 2],
  timestamp: [1, 2, 2, 2, 2],
  snapshot: [1, 3, 2, 2, 2],
  targets: [1, 3, 3, 2, 2],
  team: [1, 3, 3, 3, 2],
};
const roles = Object.entries(KEPT);

attacks(
  'freeze',
  Object.fromEntries(
    roles.map(([role, kept]): [string, Attack] => [
      `an expired ${role}`,
      {
        attack: async ({ world }) => {
          world.role(role).expires = PAST;
          await world.publish({}, role === 'root' ? ['root'] : undefined);
        },
        code: 'client/expired',
        role,
        message: new RegExp(`^Cannot accept ${role} version [23]: it expired at 2020-01-01T00:00:00Z; this machine's clock says `, 'u'),
        kept,
      },
    ]),
  ),
);

const NO_DATES: Readonly<Record<string, object>> = {
  'a date that is none': { expires: 'tomorrow' },
  'a number for a date': { expires: 4102444800 },
  'no date': { expires: undefined },
};

attacks(
  'freeze for ever',
  Object.fromEntries(
    Object.entries(NO_DATES).flatMap(([what, change]) =>
      roles.map(([role, kept]): [string, Attack] => [
        `${what} in ${role}`,
        {
          attack: { [role]: { signed: (signed: object) => JSON.parse(JSON.stringify({ ...signed, ...change })) } },
          code: 'client/untrusted',
          role,
          kept: role === 'root' ? [1, 2, 2, 2, 2] : kept,
        },
      ]),
    ),
  ),
);

attacks('freeze by replay', {
  'the publication of last month, after it has expired': {
    before: async ({ world }) => {
      world.role('timestamp').expires = new Date(Date.now() + 1500);
      await world.publish();
    },
    attack: async ({ world, host }) => {
      await host.refreshed();
      const wait = world.role('timestamp').expires.getTime() - Date.now();
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, wait)));
    },
    twin: async ({ world }) => {
      world.role('timestamp').expires = new Date('2100-01-01T00:00:00Z');
      await world.publish();
    },
    code: 'client/expired',
    role: 'timestamp',
    kept: [1, 3, 3, 3, 2],
  },
});

/** Stolen, removed, too few and doubled keys: what a thief of one key can sign, and what does not count towards a threshold. */
import type { Signer } from '../../lib/keys/signer.ts';
import { attacks, type Attack, type AttackScene } from '../support/attack.ts';
import { METADATA } from '../support/simulator.ts';
import { newSigner, type Envelope, type Tampering } from '../support/tuf-world.ts';

const thief = await newSigner();

const ROLES = {
  timestamp: [1, 2, 2, 2, 2],
  snapshot: [1, 3, 2, 2, 2],
  targets: [1, 3, 3, 2, 2],
  team: [1, 3, 3, 3, 2],
} as const;

function each(change: (role: string) => Tampering[string]): Readonly<Record<string, Attack>> {
  return Object.fromEntries(
    Object.entries(ROLES).map(([role, kept]): [string, Attack] => [
      role,
      { attack: { [role]: change(role) }, code: 'client/untrusted', role, kept },
    ]),
  );
}

attacks(
  'key of nobody signs',
  each(() => ({ signers: [thief] })),
);
attacks(
  'nobody signs',
  each(() => ({ signers: [] })),
);
attacks(
  'signature of something else',
  each(() => ({ envelope: ({ signatures, signed }: Envelope) => ({ signatures, signed: { ...signed, 'x-added': 1 } }) })),
);
attacks(
  'signature that is none',
  each(() => ({
    envelope: ({ signatures, signed }: Envelope) => ({ signed, signatures: signatures.map(({ keyid }) => ({ keyid, sig: 'no hex' })) }),
  })),
);
attacks(
  'signature of a thief under the id of the key',
  each(() => ({
    signers: [thief],
    envelope: ({ signatures, signed }: Envelope) => ({ signed, signatures: signatures.map(({ sig }) => ({ keyid: 'a'.repeat(64), sig })) }),
  })),
);
attacks(
  'two signatures of one key',
  each(() => ({ envelope: ({ signatures, signed }: Envelope) => ({ signed, signatures: [...signatures, ...signatures] }) })),
);

const other =
  (role: string) =>
  async ({ world }: AttackScene): Promise<void> => {
    const borrowed = role === 'targets' ? 'snapshot' : 'targets';
    await world.publish({ [role]: { signers: world.role(borrowed).signers } });
  };
attacks(
  'key of another role signs',
  Object.fromEntries(
    Object.entries(ROLES).map(([role, kept]): [string, Attack] => [role, { attack: other(role), code: 'client/untrusted', role, kept }]),
  ),
);

/** The key is replaced, and the new publication is signed by the old one. */
const removed =
  (role: 'timestamp' | 'snapshot' | 'targets') =>
  async ({ world }: AttackScene): Promise<void> => {
    const stolen = world.role(role).signers;
    world.role(role).signers = [await newSigner()];
    await world.publish({}, ['root']);
    await world.publish({ [role]: { signers: stolen } });
  };
attacks('key that was removed signs', {
  timestamp: { attack: removed('timestamp'), code: 'client/untrusted', role: 'timestamp', kept: [2, 2, 2, 2, 2] },
  snapshot: { attack: removed('snapshot'), code: 'client/untrusted', role: 'snapshot', kept: [2, 3, 2, 2, 2] },
  targets: { attack: removed('targets'), code: 'client/untrusted', role: 'targets', kept: [2, 3, 3, 2, 2] },
});

/** Two keys must sign the role from the second root on. */
const twoKeys =
  (signersOf: (signers: readonly Signer[]) => readonly Signer[], envelope?: (envelope: Envelope) => object) =>
  async ({ world }: AttackScene): Promise<void> => {
    world.role('targets').signers = [await newSigner(), await newSigner()];
    world.role('targets').threshold = 2;
    await world.publish({}, ['root']);
    await world.publish({
      targets: { signers: signersOf(world.role('targets').signers), ...(envelope === undefined ? {} : { envelope }) },
    });
  };
const twin = twoKeys((signers) => signers);
const short = { code: 'client/untrusted', role: 'targets', kept: [2, 3, 3, 2, 2], twin } as const;
attacks('threshold of two', {
  'one key signs': { ...short, attack: twoKeys((signers) => signers.slice(0, 1)) },
  'one key signs twice': { ...short, attack: twoKeys((signers) => [...signers.slice(0, 1), ...signers.slice(0, 1)]) },
  'one key and a thief sign': { ...short, attack: twoKeys((signers) => [...signers.slice(0, 1), thief]) },
  'one key signs, and lends its signature to the other': {
    ...short,
    attack: async (scene) => {
      await twoKeys((signers) => signers.slice(0, 1))(scene);
      const [, second] = scene.world.role('targets').signers;
      scene.world.role('targets').version -= 1;
      await scene.world.publish({
        targets: {
          signers: scene.world.role('targets').signers.slice(0, 1),
          envelope: ({ signed, signatures }) => ({
            signed,
            signatures: signatures.flatMap(({ keyid, sig }) => [
              { keyid, sig },
              { keyid: second?.keyId, sig },
            ]),
          }),
        },
      });
    },
    kept: [2, 4, 4, 2, 2],
  },
});

const root = { code: 'client/untrusted', role: 'root', kept: [1, 2, 2, 2, 2] } as const;
const twinRoot = async ({ world }: AttackScene): Promise<void> => world.publish({}, ['root']);
attacks('forged root', {
  'one of two keys signs': {
    ...root,
    attack: async ({ world }) => world.publish({ root: { signers: world.role('root').signers.slice(0, 1) } }, ['root']),
    twin: twinRoot,
  },
  'nobody signs': { ...root, attack: { root: { signers: [] } } },
  'only the new keys sign': {
    ...root,
    attack: async ({ world }) => {
      world.role('root').signers = [await newSigner(), await newSigner()];
      await world.publish({}, ['root']);
    },
    twin: async ({ world }) => {
      const before = world.role('root').signers;
      world.role('root').signers = [await newSigner(), await newSigner()];
      await world.publish({ root: { signers: [...before, ...world.role('root').signers] } }, ['root']);
    },
  },
  'only the old keys sign': {
    ...root,
    attack: async ({ world }) => {
      const before = world.role('root').signers;
      world.role('root').signers = [await newSigner(), await newSigner()];
      await world.publish({ root: { signers: before } }, ['root']);
    },
    twin: twinRoot,
  },
  'it asks for no signature at all': {
    ...root,
    attack: {
      root: { signed: (signed) => ({ ...signed, roles: { ...signed.roles, timestamp: { ...signed.roles.timestamp, threshold: 0 } } }) },
    },
  },
  'it names a key twice': {
    ...root,
    attack: {
      root: {
        signed: (signed) => ({
          ...signed,
          roles: {
            ...signed.roles,
            timestamp: { threshold: 2, keyids: [...signed.roles.timestamp.keyids, ...signed.roles.timestamp.keyids] },
          },
        }),
      },
    },
  },
  'it has no role for the timestamp': {
    ...root,
    attack: {
      root: {
        signed: (signed) => ({
          ...signed,
          roles: { root: signed.roles.root, targets: signed.roles.targets, snapshot: signed.roles.snapshot },
        }),
      },
    },
  },
  'it is larger than any client takes': {
    code: 'http/too-long',
    kept: root.kept,
    attack: { root: { signed: (signed) => ({ ...signed, padding: 'x'.repeat(512_000) }) } },
  },
});

attacks('more keys than there are', {
  'a threshold that no keys can reach': {
    attack: async ({ world }) => {
      world.role('timestamp').threshold = 2;
      await world.publish({}, ['root']);
      await world.publish();
    },
    code: 'client/untrusted',
    role: 'timestamp',
    kept: [2, 2, 2, 2, 2],
  },
  'a role whose key is not in the root': {
    attack: async ({ world }) => {
      await world.publish(
        {
          root: {
            signed: (signed) => ({
              ...signed,
              keys: Object.fromEntries(Object.entries(signed.keys).filter(([id]) => id !== world.role('timestamp').signers[0]?.keyId)),
            }),
          },
        },
        ['root'],
      );
      await world.publish();
    },
    code: 'client/untrusted',
    role: 'timestamp',
    kept: [2, 2, 2, 2, 2],
  },
});

attacks('stolen online keys', {
  'targets of the thief behind a timestamp and a snapshot that are right': {
    attack: async ({ world }) => {
      world.role('targets').targets.set('malware.img', Buffer.from('malware'));
      await world.publish({ targets: { signers: [thief] } });
    },
    code: 'client/untrusted',
    role: 'targets',
    kept: [1, 3, 3, 2, 2],
  },
  'a root of the thief': {
    attack: async ({ world }) => {
      world.role('root').signers = world.role('timestamp').signers;
      world.role('root').threshold = 1;
      await world.publish({}, ['root']);
      world.files.delete(`${METADATA}3.root.json`);
    },
    code: 'client/untrusted',
    role: 'root',
    kept: [1, 2, 2, 2, 2],
  },
});

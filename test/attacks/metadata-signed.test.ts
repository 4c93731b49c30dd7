/**
 * Attacks by somebody who holds a key, or old files that are signed: everything is signed by somebody, and still wrong. What a
 * person reads must say what is and what should be.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../lib/errors.ts';
import { readSignedRole } from '../../lib/tuf/role.ts';
import type { TopRoleName } from '../../lib/tuf/types.ts';
import { stateFiles } from '../support/host.ts';
import { createRepository, METADATA, newSigner, snapshotRole, targetsRole, timestampRole, type Simulator } from '../support/simulator.ts';
import { simulatedHost } from '../support/simulated-host.ts';

interface Attack {
  /** Two publications are out, and the host trusts the second. */
  readonly attack: (simulator: Simulator) => Promise<unknown>;
  readonly code: ErrorCode;
  readonly role: TopRoleName;
  readonly message: RegExp;
  /** Versions that the host holds afterwards; what came before the refusal may count. */
  readonly trusted?: Readonly<Partial<Record<TopRoleName, number>>>;
}

const PAST = new Date('2026-01-01T00:00:00Z');
const HASH = '[0-9a-f]{64}';

const ATTACKS: Readonly<Record<string, Attack>> = {
  'rollback: a fresh timestamp that names an older snapshot': {
    async attack(simulator) {
      simulator.versions.timestamp += 1;
      const old = readSignedRole(simulator.metadata('1.snapshot.json'), 'snapshot');
      await simulator.put('timestamp.json', timestampRole(simulator, old), [simulator.signers.online]);
    },
    code: 'client/rollback',
    role: 'timestamp',
    message: /^Cannot accept a timestamp that names snapshot version 1: version 2 is already trusted$/u,
  },
  'rollback: a fresh snapshot that names older targets': {
    async attack(simulator) {
      const old = readSignedRole(simulator.metadata('1.targets.json'), 'targets');
      await publishSnapshotOf(simulator, old);
    },
    code: 'client/rollback',
    role: 'snapshot',
    message: /^Cannot accept a snapshot that names targets\.json version 1: version 2 is already trusted$/u,
    trusted: { timestamp: 3 },
  },
  'mix-and-match: an older snapshot under a newer name': {
    async attack(simulator) {
      await simulator.publish();
      simulator.files.set(`${METADATA}3.snapshot.json`, simulator.metadata('2.snapshot.json'));
    },
    code: 'client/untrusted',
    role: 'snapshot',
    message: /^Cannot accept snapshot version 2: timestamp version 3 names version 3$/u,
    trusted: { timestamp: 3 },
  },
  'mix-and-match: another snapshot of the same version': {
    async attack(simulator) {
      await simulator.publish();
      const { role } = readSignedRole(simulator.metadata('3.snapshot.json'), 'snapshot');
      await simulator.put('3.snapshot.json', { ...role, spec_version: '1.0.1' }, [simulator.signers.online]);
    },
    code: 'client/untrusted',
    role: 'snapshot',
    message: new RegExp(`^Cannot accept snapshot version 3: its SHA-256 is ${HASH}; timestamp version 3 says ${HASH}$`, 'u'),
    trusted: { timestamp: 3 },
  },
  'mix-and-match: older targets under a newer name': {
    async attack(simulator) {
      await simulator.publish();
      simulator.files.set(`${METADATA}3.targets.json`, simulator.metadata('2.targets.json'));
    },
    code: 'client/untrusted',
    role: 'targets',
    message: /^Cannot accept targets version 2: snapshot version 3 names version 3$/u,
    trusted: { timestamp: 3, snapshot: 3 },
  },
  'mix-and-match: targets of another version than the snapshot names': {
    async attack(simulator) {
      const targets = await simulator.put('3.targets.json', { ...targetsRole(simulator), version: 9 }, [simulator.signers.targets]);
      await publishSnapshotOf(simulator, { ...targets, role: { ...targets.role, version: 3 } });
    },
    code: 'client/untrusted',
    role: 'targets',
    message: /^Cannot accept targets version 9: snapshot version 3 names version 3$/u,
    trusted: { timestamp: 3, snapshot: 3 },
  },
  'freeze: a root that expired': {
    async attack(simulator) {
      simulator.expires = PAST;
      await simulator.publishRoot();
    },
    code: 'client/expired',
    role: 'root',
    message: /^Cannot accept root version 2: it expired at 2026-01-01T00:00:00Z; this machine's clock says 2[0-9]{3}-.*Z$/u,
    trusted: { root: 2 },
  },
  'freeze: a snapshot that expired behind a fresh timestamp': {
    async attack(simulator) {
      simulator.versions.snapshot += 1;
      const targets = readSignedRole(simulator.metadata('2.targets.json'), 'targets');
      const role = { ...snapshotRole(simulator, targets), expires: readSignedRole(simulator.metadata('1.root.json'), 'root').role.expires };
      const expired = { ...role, expires: role.expires.replace('2100', '2026') as typeof role.expires };
      const snapshot = await simulator.put('3.snapshot.json', expired, [simulator.signers.online]);
      simulator.versions.timestamp += 1;
      await simulator.put('timestamp.json', timestampRole(simulator, snapshot), [simulator.signers.online]);
    },
    code: 'client/expired',
    role: 'snapshot',
    message: /^Cannot accept snapshot version 3: it expired at 2026-01-01T00:00:00Z/u,
    trusted: { timestamp: 3 },
  },
  'wrong version: a root that skips one': {
    attack: async (simulator) => simulator.publishRoot(undefined, (root) => ({ ...root, version: 3 })),
    code: 'client/untrusted',
    role: 'root',
    message: /^Cannot accept root version 3: it was served as 2\.root\.json; expected version 2$/u,
  },
  'wrong version: a new root that says the version of the old one': {
    attack: async (simulator) => simulator.publishRoot(undefined, (root) => ({ ...root, version: 1 })),
    code: 'client/untrusted',
    role: 'root',
    message: /^Cannot accept root version 1: it was served as 2\.root\.json; expected version 2$/u,
  },
  'key compromise: a root of strangers': {
    async attack(simulator) {
      const roots = [await newSigner(), await newSigner(), await newSigner()];
      simulator.signers = { ...simulator.signers, roots };
      await simulator.publishRoot(roots);
    },
    code: 'client/untrusted',
    role: 'root',
    message:
      /^Cannot accept root version 2: 0 of 2 needed signatures are valid; signed by keys? .*, which (?:is|are) not \(or no longer\) listed for this role$/u,
  },
  'key compromise: a root that its own keys did not sign': {
    async attack(simulator) {
      const old = simulator.signers.roots;
      simulator.signers = { ...simulator.signers, roots: [await newSigner(), await newSigner(), await newSigner()] };
      await simulator.publishRoot(old.slice(0, 2));
    },
    code: 'client/untrusted',
    role: 'root',
    message: /^Cannot accept root version 2: 0 of 2 needed signatures are valid; signed by /u,
  },
  'key compromise: targets signed by a key that the root has removed': {
    async attack(simulator) {
      const { targets } = simulator.signers;
      simulator.signers = { ...simulator.signers, targets: await newSigner() };
      await simulator.publishRoot();
      simulator.signers = { ...simulator.signers, targets };
      await simulator.publish();
    },
    code: 'client/untrusted',
    role: 'targets',
    message:
      /^Cannot accept targets version 3: 0 of 1 needed signatures are valid; signed by keys? .*, which (?:is|are) not \(or no longer\) listed for this role$/u,
    trusted: { root: 2, timestamp: 3, snapshot: 3 },
  },
  'key compromise: one key counted twice': {
    async attack(simulator) {
      const [thief] = simulator.signers.roots;
      if (thief === undefined) throw new RangeError('no root key');
      const twice = { ...simulator.rootRole(), version: 2 };
      const signed = await simulator.put('2.root.json', twice, [thief]);
      const envelope = JSON.parse(Buffer.from(signed.bytes).toString());
      envelope.signatures.push(envelope.signatures[0]);
      simulator.files.set(`${METADATA}2.root.json`, Buffer.from(JSON.stringify(envelope)));
    },
    code: 'client/untrusted',
    role: 'root',
    message: /its key id is there twice; expected one signature for each key/u,
  },
};

async function publishSnapshotOf(simulator: Simulator, targets: Parameters<typeof snapshotRole>[1]): Promise<void> {
  simulator.versions.snapshot += 1;
  simulator.versions.timestamp += 1;
  const { online } = simulator.signers;
  const snapshot = await simulator.put(`${simulator.versions.snapshot}.snapshot.json`, snapshotRole(simulator, targets), [online]);
  await simulator.put('timestamp.json', timestampRole(simulator, snapshot), [online]);
}

for (const [name, { attack, code, role, message, trusted = {} }] of Object.entries(ATTACKS)) {
  test(`${name} is refused`, async (t) => {
    const simulator = await createRepository();
    await simulator.publish();
    const host = await simulatedHost(t, simulator);
    const honest = await host.refreshed();
    const before = honest.roles();
    await attack(simulator);
    // In the running process, and after a restart.
    for (const client of [honest, await host.open()]) {
      await assert.rejects(client.refresh(), { name: 'GantryError', code, details: { role }, message });
      assert.deepEqual(await host.trusted(), { root: 1, timestamp: 2, snapshot: 2, targets: 2, ...trusted });
      const temporary = (await stateFiles(host.stateDirectory)).filter((file) => file.startsWith('.'));
      assert.deepEqual(temporary, []);
    }
    assert.deepEqual(honest.roles(), before);
  });
}

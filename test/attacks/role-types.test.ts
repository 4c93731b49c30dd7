/** Validly signed metadata that is not what it should be: of another type, without members, or with members of another kind. */
import { attacks, type Attack, type Kept } from '../support/attack.ts';

const KEPT: Readonly<Record<string, Kept>> = {
  root: [1, 2, 2, 2, 2],
  timestamp: [1, 2, 2, 2, 2],
  snapshot: [1, 3, 2, 2, 2],
  targets: [1, 3, 3, 2, 2],
  team: [1, 3, 3, 3, 2],
};

const CHANGES: Readonly<Record<string, object>> = {
  'of another type': { _type: 'mirrors' },
  'of the type of another role': { _type: 'root' },
  'without a type': { _type: undefined },
  'with a type that every object has': { _type: 'constructor' },
  'of specification 2': { spec_version: '2.0.0' },
  'without a specification': { spec_version: undefined },
  'without a version': { version: undefined },
  'with a text for a version': { version: '3' },
  'with null for a version': { version: null },
};

const without =
  (change: object) =>
  (signed: object): object =>
    JSON.parse(JSON.stringify({ ...signed, ...change }));

for (const [what, change] of Object.entries(CHANGES)) {
  attacks(
    'unexpected role',
    Object.fromEntries(
      Object.entries(KEPT).map(([role, kept]): [string, Attack] => {
        const other = role === 'root' && 'type' in change ? { _type: 'targets' } : change;
        const wrong = what === 'of the type of another role' && role === 'root' ? { _type: 'targets' } : other;
        return [`${role} ${what}`, { attack: { [role]: { signed: without(wrong) } }, code: 'client/untrusted', role, kept }];
      }),
    ),
  );
}

const MEMBERS: Readonly<Record<string, readonly (readonly [string, object])[]>> = {
  root: [
    ['keys that are a list', { keys: [] }],
    ['a key without material', { keys: { a: { keytype: 'ed25519', scheme: 'ed25519' } } }],
    ['roles that are null', { roles: null }],
    ['no consistent_snapshot', { consistent_snapshot: undefined }],
  ],
  timestamp: [
    ['meta that is empty', { meta: {} }],
    ['a snapshot of version 0', { meta: { 'snapshot.json': { version: 0 } } }],
    ['a snapshot that is null', { meta: { 'snapshot.json': null } }],
  ],
  snapshot: [
    ['meta that is a text', { meta: 'targets.json' }],
    ['meta of null', { meta: { 'targets.json': null } }],
    ['targets of version 0', { meta: { 'targets.json': { version: 0 } } }],
    ['digests that are numbers', { meta: { 'targets.json': { version: 3, hashes: { sha256: 1 } } } }],
  ],
  targets: [
    ['targets that are null', { targets: null }],
    ['a target without length', { targets: { a: { hashes: {} } } }],
    ['a target of negative length', { targets: { a: { length: -1, hashes: {} } } }],
    ['delegations that are a text', { delegations: 'team' }],
    ['delegations without keys', { delegations: { roles: [] } }],
  ],
};

for (const [role, cases] of Object.entries(MEMBERS)) {
  attacks(
    'malformed role',
    Object.fromEntries(
      cases.map(([what, change]): [string, Attack] => [
        `${role} with ${what}`,
        { attack: { [role]: { signed: without(change) } }, code: 'client/untrusted', role, kept: KEPT[role] ?? [0, 0, 0, 0, 0] },
      ]),
    ),
  );
}

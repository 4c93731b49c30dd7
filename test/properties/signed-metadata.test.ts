import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GantryError } from '../../lib/errors.ts';
import { lintRepository } from '../../lib/tuf/lint.ts';
import { readSignedRole } from '../../lib/tuf/role.ts';
import { verifyThreshold } from '../../lib/tuf/signature.ts';
import type { Role, Root, TopRoleName } from '../../lib/tuf/types.ts';
import { createRepository } from '../support/simulator.ts';

/** The first publication of a clean repository, and who may sign it. */
const simulator = await createRepository();
const FILES = { root: '1.root.json', targets: '1.targets.json', snapshot: '1.snapshot.json', timestamp: 'timestamp.json' } as const;
const NAMES = ['root', 'targets', 'snapshot', 'timestamp'] as const;
const root: Root = readSignedRole(simulator.metadata(FILES.root), 'root').role;

/** The role, if a host would take these bytes. */
function accept(bytes: Uint8Array, name: TopRoleName): Role {
  const { role, signatures } = readSignedRole(bytes, name);
  verifyThreshold({ signed: role, signatures }, root.keys, root.roles[name], name);
  return role;
}

const change = fc.record({
  at: fc.nat(),
  how: fc.constantFrom('replace', 'remove', 'insert', 'cut', 'double'),
  byte: fc.oneof(fc.constantFrom(...Buffer.from('"{}[],:0123456789abcdef\\ e.-')), fc.integer({ min: 0, max: 255 })),
});
type Change = typeof change extends fc.Arbitrary<infer C> ? C : never;

function damaged(bytes: Uint8Array, { at, how, byte }: Change): Uint8Array {
  const index = at % bytes.length;
  const [before, after] = [bytes.subarray(0, index), bytes.subarray(index)];
  switch (how) {
    case 'replace':
      return Buffer.concat([before, Buffer.of(byte), after.subarray(1)]);
    case 'remove':
      return Buffer.concat([before, after.subarray(1)]);
    case 'insert':
      return Buffer.concat([before, Buffer.of(byte), after]);
    case 'cut':
      return before;
    case 'double':
      return Buffer.concat([before, after.subarray(0, byte), after]);
  }
}

test('verifyThreshold() accepts nothing but the role that was signed, whatever happened to the file', () => {
  fc.assert(
    fc.property(fc.constantFrom(...NAMES), fc.array(change, { minLength: 1, maxLength: 2 }), (name, changes) => {
      const original = simulator.metadata(FILES[name]);
      let role: Role;
      try {
        role = accept(changes.reduce(damaged, original), name);
      } catch (error) {
        assert.ok(error instanceof GantryError, `expected a GantryError, got ${String(error)}`);
        return;
      }
      assert.deepEqual(role, accept(original, name));
    }),
    { numRuns: 600 },
  );
});

test('lintRepository() ends with findings, not with an error, for any repository that can be read', () => {
  fc.assert(
    fc.property(fc.constantFrom(...NAMES), change, (name, one) => {
      const bytes = Object.fromEntries(NAMES.map((role) => [role, simulator.metadata(FILES[role])]));
      const broken = damaged(simulator.metadata(FILES[name]), one);
      try {
        readSignedRole(broken, name);
      } catch (error) {
        assert.ok(error instanceof GantryError);
        return;
      }
      bytes[name] = broken;
      const read = <N extends TopRoleName>(role: N): ReturnType<typeof readSignedRole<N>> =>
        readSignedRole(bytes[role] ?? new Uint8Array(), role);
      const findings = lintRepository({
        roots: [read('root')],
        targets: read('targets'),
        snapshot: read('snapshot'),
        timestamp: read('timestamp'),
      });
      for (const { rule, message, fix } of findings) assert.ok(/^tuf-\d+$/u.test(rule) && message !== '' && fix !== '');
    }),
    { numRuns: 300 },
  );
});

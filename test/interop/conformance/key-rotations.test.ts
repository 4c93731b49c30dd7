/** The items of `test_updater_key_rotations.py`: which keys may bring a new root or a new role, and when. */
import assert from 'node:assert/strict';
import type { Signer } from '../../../lib/keys/signer.ts';
import { allItems, item } from '../../support/conformance.ts';
import { newSigner } from '../../support/tuf-world.ts';

const M = 'test_updater_key_rotations';

/** One version: the keys that it names, how many must sign, and who signs; refused where it says so. */
type Step = readonly [keys: string, threshold: number, signers: string, verdict?: 'refused'];

const ROOTS: Readonly<Record<string, readonly Step[]>> = {
  '1 of 1, rotated': [
    ['b', 1, 'b'],
    ['c', 1, 'bc'],
    ['c', 1, 'c'],
  ],
  '1 of 1, with signatures that nobody needs': [
    ['b', 1, 'dbe'],
    ['c', 1, 'dcbe'],
    ['c', 1, 'dce'],
  ],
  '1 of 1, without the old key': [
    ['b', 1, 'b'],
    ['c', 1, 'cde', 'refused'],
  ],
  '1 of 1, without the new key': [
    ['b', 1, 'b'],
    ['c', 1, 'bde', 'refused'],
  ],
  '3 of 5, signed by other three each time': [
    ['abcde', 3, 'ace'],
    ['abcde', 3, 'aeb'],
    ['abcde', 3, 'abd'],
    ['abcde', 3, 'cde'],
  ],
  '3 of 5, one key rotated': [
    ['abcde', 3, 'ace'],
    ['abdef', 3, 'aeb'],
  ],
  '3 of 5, one key rotated, only two of the new ones sign': [
    ['abcde', 3, 'ace'],
    ['abdef', 3, 'ace', 'refused'],
  ],
  '3 of 5, one key rotated, only two of the old ones sign': [
    ['abcde', 3, 'ace'],
    ['abdef', 3, 'aef', 'refused'],
  ],
  '3 of 5, one key rotated, then only the new ones sign': [
    ['abcde', 3, 'ace'],
    ['abdef', 3, 'acef'],
    ['abdef', 3, 'aef'],
  ],
  '3 of 5, all keys rotated': [
    ['abcde', 3, 'ace'],
    ['fghij', 3, 'acefgh'],
    ['fghij', 3, 'fgh'],
  ],
  'threshold up from 1 to 2 of 3': [
    ['bcd', 1, 'b'],
    ['bcd', 2, 'bc'],
  ],
  'threshold up from 1 to 2 of 3, and one signs': [
    ['bcd', 1, 'b'],
    ['bcd', 2, 'c', 'refused'],
  ],
  'threshold down from 2 to 1 of 3': [
    ['bcd', 2, 'bc'],
    ['bcd', 1, 'bc'],
    ['bcd', 1, 'b'],
  ],
  'threshold down from 2 to 1 of 3, and one signs': [
    ['bcd', 2, 'bc'],
    ['bcd', 1, 'b', 'refused'],
  ],
  'threshold and keys up from 1 of 1 to 2 of 2': [
    ['b', 1, 'b'],
    ['bc', 2, 'bc'],
  ],
};

const pool = new Map<string, Signer>();
for (const name of 'abcdefghij') pool.set(name, await newSigner());
const signersOf = (names: string): readonly Signer[] => [...names].flatMap((name) => pool.get(name) ?? []);

for (const [name, steps] of Object.entries(ROOTS)) {
  item(M, `root_rotation[${name}]`, async ({ init, refresh, world, trusted }) => {
    world.role('root').version = 0;
    for (const [index, [keys, threshold, signers, verdict]] of steps.entries()) {
      world.role('root').signers = signersOf(keys);
      world.role('root').threshold = threshold;
      await world.publish({ root: { signers: signersOf(signers) } }, ['root']);
      if (index === 0) assert.equal(await init(), 0);
      assert.equal(await refresh(), verdict === undefined ? 0 : 1);
      assert.equal((await trusted())['root'], verdict === undefined ? index + 1 : index);
    }
  });
}

const OTHERS: Readonly<Record<string, Step>> = {
  '1 of 1, rotated': ['b', 1, 'b'],
  '1 of 1, with signatures that nobody needs': ['b', 1, 'dbe'],
  '1 of 1, without the new key': ['b', 1, 'cde', 'refused'],
  '3 of 5, one of three signs with another key': ['abdef', 3, 'ace', 'refused'],
  '3 of 5, one signature is missing': ['abdef', 3, 'ae', 'refused'],
  '3 of 5, the first three sign': ['abcde', 3, 'abc'],
  '3 of 5, the last three sign': ['abcde', 3, 'cde'],
  '3 of 5, every second signs': ['abcde', 3, 'ace'],
  '3 of 5, all sign': ['abcde', 3, 'abcde'],
  '3 of 5, nobody signs': ['abcde', 3, '', 'refused'],
};

for (const [name, [keys, threshold, signers, verdict]] of Object.entries(OTHERS)) {
  item(M, `non_root_rotations[${name}]`, async ({ refresh, world, trusted }) => {
    assert.equal(await refresh(), 0);
    for (const role of ['timestamp', 'snapshot', 'targets'] as const) {
      world.role(role).signers = signersOf(keys);
      world.role(role).threshold = threshold;
      await world.publish({}, ['root']);
      const before = await trusted();
      await world.publish({ [role]: { signers: signersOf(signers) } });
      assert.equal(await refresh(), verdict === undefined ? 0 : 1, role);
      const after = await trusted();
      assert.equal(after[role], (before[role] ?? 0) + (verdict === undefined ? 1 : 0), role);
      if (verdict === undefined) continue;
      await world.publish();
      assert.equal(await refresh(), 0);
    }
  });
}

allItems(M);

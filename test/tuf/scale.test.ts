/** Ten thousand targets are no more than a larger role (what they cost is in test/bench), and hostile shapes end as errors. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GantryError } from '../../lib/errors.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { lintRepository } from '../../lib/tuf/lint.ts';
import { readSignedRole } from '../../lib/tuf/role.ts';
import type { SignedRole, TargetFile, Targets } from '../../lib/tuf/types.ts';
import { createSimulator, seal, snapshotRole, targetsRole } from '../support/simulator.ts';

function targetsOf(count: number): Targets {
  const targets: Record<string, TargetFile> = {};
  for (let index = 0; index < count; index += 1) {
    const sha256 = sha256Hex(Buffer.from(String(index)));
    targets[`my-os-metal-x86_64-1.0.${index}-abcdef01-root.ext4.zst`] = {
      length: index,
      hashes: { sha256 },
      custom: { gantry: { format: 'zstd-frames', frames: `${index}.frames`, raw: { length: index, sha256 } } },
    };
  }
  return { ...targetsRole(simulator), version: 1, targets };
}

const simulator = await createSimulator();
const root = readSignedRole(simulator.metadata('1.root.json'), 'root');
const sealed = async (count: number): Promise<SignedRole<Targets>> => seal(targetsOf(count), [simulator.signers.targets]);

test('lintRepository() has no findings on 10,000 targets whose length the snapshot gives', async () => {
  const targets = await sealed(10_000);
  const snapshot = await seal({ ...snapshotRole(simulator, targets), version: 1 }, [simulator.signers.online]);
  assert.deepEqual(lintRepository({ roots: [root], targets, snapshot }), []);
});

const deep = (open: string, close: string): string => open.repeat(100_000) + close.repeat(100_000);
const HOSTILE: readonly (readonly [what: string, text: string])[] = [
  ['100,000 nested lists', deep('[', ']')],
  ['100,000 nested objects', deep('{"a":', '}')],
  ['100,000 nested lists in an unknown member', `{"signed":{"_type":"timestamp","x":${deep('[', ']')}},"signatures":[]}`],
  ['lists that do not end', '['.repeat(200_000)],
  ['a text that does not end', `"${'\\'.repeat(200_001)}`],
];
for (const [what, text] of HOSTILE) {
  test(`readSignedRole() gives a GantryError when the file has ${what}`, () => {
    assert.throws(() => readSignedRole(Buffer.from(text), 'timestamp'), GantryError);
  });
}

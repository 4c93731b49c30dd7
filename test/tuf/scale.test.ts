/** Ten thousand targets take no more than their share of time, and hostile shapes end as errors. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GantryError } from '../../lib/errors.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { lintRepository, lintRole } from '../../lib/tuf/lint.ts';
import { parseEnvelope, readSignedRole, sealEnvelope, signingPayload } from '../../lib/tuf/role.ts';
import { verifyThreshold } from '../../lib/tuf/signature.ts';
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

/** Everything that happens to a targets role between a workspace and a host. */
function work(file: SignedRole<Targets>): void {
  const { signed, signatures } = parseEnvelope(file.bytes, 'targets');
  verifyThreshold({ signed, signatures }, root.role.keys, root.role.roles.targets, 'targets');
  signingPayload(signed);
  assert.deepEqual(lintRole(signed), []);
  assert.equal(sealEnvelope({ signed, signatures }).sha256, file.sha256);
}

/** The best of a few: what the work takes when nobody disturbs. */
function quickest(attempt: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 4; round += 1) {
    const started = performance.now();
    attempt();
    best = Math.min(best, performance.now() - started);
  }
  return best;
}

test('parsing, verifying, canonicalising, linting and sealing 10,000 targets takes five times as long as 2,000, give or take', async () => {
  const [few, many] = [await sealed(2000), await sealed(10_000)];
  work(few);
  const [one, other] = [quickest(() => work(few)), quickest(() => work(many))];
  // Quadratic work would be 25 times; machines that are busy get some room.
  assert.ok(other / one < 15, `2,000: ${one.toFixed(0)} ms, 10,000: ${other.toFixed(0)} ms`);
});

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

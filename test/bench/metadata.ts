/**
 * Large roles: what parsing, linting, canonicalising and sealing costs for ten times as many targets. Linear work costs ten times
 * as much, quadratic work a hundred times; the promise is 20.
 */
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { tufDate } from '../../lib/tuf/date.ts';
import { lintRole } from '../../lib/tuf/lint.ts';
import { parseEnvelope, sealEnvelope } from '../../lib/tuf/role.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import type { Targets } from '../../lib/tuf/types.ts';

const PROMISE = 20;
const FEW = 1000;
const rounds = process.argv.includes('--short') ? 5 : 15;
const file = { length: 3, hashes: { sha256: sha256Hex(Buffer.from('abc')) } };

function roleOf(count: number): Targets {
  const targets = Object.fromEntries(Array.from({ length: count }, (_, index) => [`image-${index}.img`, file]));
  return { _type: 'targets', spec_version: '1.0.0', version: 1, expires: tufDate(new Date('2030-01-01T00:00:00Z')), targets };
}

function workOn(role: Targets): number {
  const started = performance.now();
  lintRole(role);
  signingPayload(role);
  parseEnvelope(sealEnvelope({ signed: role, signatures: [] }).bytes, 'targets');
  return performance.now() - started;
}

const [few, many] = [roleOf(FEW), roleOf(10 * FEW)];
workOn(many);
const times = Array.from({ length: rounds }, () => [workOn(few), workOn(many)] as const);
const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
const [mine, ten] = [median(times.map(([one]) => one)), median(times.map(([, other]) => other))];
const ratio = ten / mine;
console.log(`10,000 targets     ${ratio.toFixed(1)} × the time of 1,000 (promise at most ${PROMISE}), ${ten.toFixed(0)} ms`);
process.exitCode = ratio > 2 * PROMISE ? 1 : 0;

/**
 * How long a rollout of ten million hosts takes to play through on one core, as stock hosts compute it and as intended, and how
 * much memory that needs. The promise is 2 s and 300 MB for both together.
 *
 *   npm run bench            the quickest of 5 rounds
 *   npm run bench -- --short one round; fails beyond twice the promise
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { scheduleOf } from '../../lib/release/eligibility.ts';
import { parseRebootWindow } from '../../lib/release/reboot-windows.ts';
import { simulateRollout, type SimulationOptions } from '../../lib/release/simulate.ts';
import { parseWavePolicy, policyWaves } from '../../lib/release/wave-policy.ts';
import { instantOf } from '../../lib/release/wave-time.ts';

const PROMISE_MS = 2000;
const PROMISE_MB = 300;
const HOSTS = 10_000_000;
const rounds = process.argv.includes('--short') ? 1 : 5;

const path = join(import.meta.dirname, '..', '..', 'repo-layout', 'policies', 'waves', 'default-waves.toml');
const from = instantOf(new Date('2025-03-03T17:00:00Z'));
const schedule = scheduleOf(policyWaves(parseWavePolicy(await readFile(path, 'utf8'), path), from));
const night = parseRebootWindow('22:00-04:00');
const plain: SimulationOptions = { hosts: HOSTS, from, pollSeconds: 7200, rngSeed: 1, downloadBytes: 236e6 };
const full: SimulationOptions = {
  ...plain,
  rebootWindows: night === undefined ? [] : [night],
  failures: { share: 0.01, abortAfter: HOSTS / 1000, reactionSeconds: 1800 },
};

function timeOf(options: SimulationOptions): number {
  const started = performance.now();
  simulateRollout(schedule, 'relative', options);
  simulateRollout(schedule, 'stock', options);
  return performance.now() - started;
}

let broken = 0;
for (const [name, options] of [
  ['10 M hosts', plain],
  ['10 M, all options', full],
] as const) {
  const best = Math.min(...Array.from({ length: rounds }, () => timeOf(options)));
  if (best > 2 * PROMISE_MS) broken += 1;
  console.log(`${name.padEnd(18)} ${(best / 1000).toFixed(2)} s for both rules (promise ${PROMISE_MS / 1000} s)`);
}
const peak = process.resourceUsage().maxRSS / 1000;
if (peak > PROMISE_MB) broken += 1;
console.log(`peak memory        ${peak.toFixed(0)} MB (promise ${PROMISE_MB} MB)`);
process.exitCode = broken === 0 ? 0 : 1;

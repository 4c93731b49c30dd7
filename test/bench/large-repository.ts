/**
 * One more target in a repository of 100,000, flat and in bins: a whole process reads and verifies what is published, adds the target,
 * signs and writes what changes. Promise: at most 3 s and 500 MB. Peers in the same run, on the flat one: python-tuf does the same, and
 * `tuftool update` does, which is given 10,000 targets, too.
 */
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import { createLargeRepository } from '../support/large-repository.ts';
import { readerCommand, tuftool } from '../support/peers.ts';

const TARGETS = 100_000;
/** About 400 targets to a bin. */
const BINS = 256;
const FOR_TUFTOOL = 10_000;
const TUFTOOL_PATIENCE_MS = 60_000;
const PROMISED_MS = 3000;
const PROMISED_MB = 500;
const rounds = process.argv.includes('--short') ? 3 : 9;
const folder = await mkdtemp(join(tmpdir(), 'gantry-bench-large-'));
const key = await generatePrivateKey('rsa');

interface Run {
  readonly ms: number;
  readonly peakMB: number;
}

async function repositoryOf(targets: number, bins: number): Promise<string> {
  const place = join(folder, `${targets}-${bins}`);
  await mkdir(place);
  await writeFile(join(place, 'key.pem'), key.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
  for (const [name, bytes] of await createLargeRepository(targets, bins, signerFromKeyObject(key)))
    await writeFile(join(place, name), bytes);
  return place;
}

function once(program: string, args: readonly string[]): Run {
  const started = performance.now();
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return { ms: performance.now() - started, peakMB: (Number(stdout) * 1024) / 1e6 };
}

/** Undefined when it gave up, or did not come to an end. */
function addWithTuftool(program: string, place: string): number | undefined {
  const roles = ['targets', 'snapshot', 'timestamp'].flatMap((role) => [`--${role}-expires`, 'in 2 weeks', `--${role}-version`, '2']);
  const [root, out] = [join(place, '1.root.json'), join(place, 'tuftool')];
  const args = ['update', '-k', join(place, 'key.pem'), '-o', out, '-r', root, '-m', `file://${place}`, '-t', join(folder, 'in'), ...roles];
  const started = performance.now();
  const { status } = spawnSync(program, args, { encoding: 'utf8', timeout: TUFTOOL_PATIENCE_MS });
  return status === 0 ? performance.now() - started : undefined;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? 'no end within a minute, or an error' : `${(ms / 1000).toFixed(2)} s`;
}

try {
  const [flat, binned] = [await repositoryOf(TARGETS, 0), await repositoryOf(TARGETS, BINS)];
  const child = join(import.meta.dirname, 'large-repository-child.ts');
  const [python] = await readerCommand('python-tuf');
  const runs = Array.from({ length: rounds }, () => ({
    flat: once(process.execPath, [child, flat]),
    bins: once(process.execPath, [child, binned]),
    python: once(python, [join(import.meta.dirname, 'large-repository.py'), flat]),
  }));
  const theirs = median(runs.map((run) => run.python.ms));
  for (const name of ['flat', 'bins'] as const) {
    const [ms, peakMB] = [median(runs.map((run) => run[name].ms)), median(runs.map((run) => run[name].peakMB))];
    console.log(
      `one more of 100,000, ${name}: ${seconds(ms)} (promise at most 3 s), peak memory ${peakMB.toFixed(0)} MB (promise at most ${PROMISED_MB}); ${(ms / theirs).toFixed(2)} × python-tuf, flat`,
    );
    if (ms > 2 * PROMISED_MS || peakMB > 2 * PROMISED_MB) process.exitCode = 1;
  }
  console.log(`  python-tuf, flat: ${seconds(theirs)}, ${median(runs.map((run) => run.python.peakMB)).toFixed(0)} MB`);
  await mkdir(join(folder, 'in'));
  await writeFile(join(folder, 'in', 'one-more.img'), 'a new');
  const program = await tuftool();
  const small = await repositoryOf(FOR_TUFTOOL, 0);
  const ours = once(process.execPath, [child, small]).ms;
  console.log(
    `  of 10,000: ${seconds(ours)}; tuftool ${seconds(addWithTuftool(program, small))}, and of 100,000: ${seconds(addWithTuftool(program, flat))}`,
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}

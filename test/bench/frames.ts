/**
 * What a publisher waits for: an ext4 image of this machine's own files is compressed in frames, with its frame table and every digest,
 * against `zstd -T2 -3` and then `openssl dgst -sha256` of both files; and one that did not change is added once more, against
 * `openssl dgst -sha256` of it. Both sides run in turn, in processes of their own, and the medians are compared.
 *
 *   npm run bench            1 GiB, 5 rounds
 *   npm run bench -- --short 256 MiB, 3 rounds; fails when a speed falls below half of its promise, a size exceeds twice its promise,
 *                            or memory its promise
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeRootImage } from '../support/root-image.ts';
import type { FramesReport, ReuseReport } from './frames-child.ts';

const runFile = promisify(execFile);
const MIB = 1 << 20;
const short = process.argv.includes('--short');
const rounds = short ? 3 : 5;
const sizeBytes = (short ? 256 : 1024) * MIB;
const SPEED_PROMISE = 0.9;
const SIZE_PROMISE = 0.03;
const MEMORY_PROMISE = 300e6;
const REUSE_PROMISE = 1.2;

async function child<R>(...args: readonly string[]): Promise<R> {
  const { stdout } = await runFile(process.execPath, [join(import.meta.dirname, 'frames-child.ts'), ...args]);
  // Proof: frames-child.ts prints the report of the job that it is given.
  return JSON.parse(stdout) as R;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

let broken = 0;

function report(name: string, text: string, isBroken: boolean): void {
  if (isBroken) broken += 1;
  console.log(`${name.padEnd(18)} ${text}${isBroken ? '  TOO FAR FROM ITS PROMISE' : ''}`);
}

async function compareFrames(image: string, folder: string): Promise<void> {
  const [ours, theirs, solid] = ['ours.zst', 'theirs.zst', 'solid.zst'].map((name) => join(folder, name)) as [string, string, string];
  const pairs: { readonly ours: FramesReport; readonly theirs: number }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const one = await child<FramesReport>('frames', image, ours);
    const started = performance.now();
    await runFile('zstd', ['-T2', '-3', '-q', '-f', image, '-o', theirs]);
    await runFile('openssl', ['dgst', '-sha256', image, theirs]);
    pairs.push({ ours: one, theirs: performance.now() - started });
  }
  await runFile('zstd', ['-t', '-q', ours]);
  await runFile('zstd', ['-3', '-q', '-f', image, '-o', solid]);
  const mine = median(pairs.map(({ ours: { ms } }) => ms));
  const ratio = median(pairs.map(({ theirs: ms }) => ms)) / mine;
  const rate = `${(sizeBytes / 1000 / mine).toFixed(0)} MB/s`;
  report(
    'frames and digests',
    `${ratio.toFixed(2)} × zstd -T2 -3 and openssl (promise ${SPEED_PROMISE}), ${rate}`,
    ratio < SPEED_PROMISE / 2,
  );
  const size = (await stat(ours)).size / (await stat(solid)).size;
  report('  their size', `${size.toFixed(3)} × one stream of zstd -3 (promise ${1 + SIZE_PROMISE})`, size > 1 + SIZE_PROMISE * 2);
  const peak = Math.max(...pairs.map(({ ours: { peakBytes } }) => peakBytes));
  report('  their memory', `peak memory ${(peak / 1e6).toFixed(0)} MB (promise ${MEMORY_PROMISE / 1e6} MB)`, peak > MEMORY_PROMISE);
  for (const path of [ours, theirs, solid]) await rm(path);
}

async function compareReuse(image: string, folder: string): Promise<void> {
  const { hashMs, reuseMs, peakBytes } = await child<ReuseReport>('reuse', image, join(folder, 'workspace'), String(rounds));
  const times = median(reuseMs) / median(hashMs);
  const text = `${times.toFixed(2)} × openssl dgst (promise ${REUSE_PROMISE}), peak memory ${(peakBytes / 1e6).toFixed(0)} MB`;
  report('unchanged image', text, times > REUSE_PROMISE * 2);
}

const folder = await mkdtemp(join(tmpdir(), 'gantry-bench-'));
try {
  const image = join(folder, 'image');
  await makeRootImage(image, join(folder, 'content'), sizeBytes);
  await compareFrames(image, folder);
  await compareReuse(image, folder);
  process.exitCode = broken === 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

/**
 * How fast hash images are built and verified, as ratios against veritysetup in the same run: each round runs both sides, one after the
 * other, and the medians are compared.
 *
 *   npm run bench            1 GiB, 5 rounds
 *   npm run bench -- --short 256 MiB, 3 rounds; fails when a ratio falls below half of its promise
 */
import { execFile } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { verityIdentityOf } from '../../lib/image/verity.ts';
import { buildHashImage, verifyHashImage } from '../../lib/workspace/verity-files.ts';

const runFile = promisify(execFile);
const MIB = 1 << 20;
const short = process.argv.includes('--short');
const rounds = short ? 3 : 5;
const sizeBytes = (short ? 256 : 1024) * MIB;
const { salt, uuid } = verityIdentityOf('bench');
const saltHex = Buffer.from(salt).toString('hex');

interface Contest {
  readonly name: string;
  /** Ours is at least this many times as fast as the tool. */
  readonly promise: number;
  readonly ours: () => Promise<unknown>;
  readonly tool: readonly string[];
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

/** No two blocks alike: nothing is saved by what was hashed before. */
async function makeImage(path: string): Promise<void> {
  const file = await open(path, 'w');
  const chunk = Buffer.alloc(MIB);
  for (let written = 0; written < sizeBytes; written += MIB) await file.write(randomFillSync(chunk));
  await file.close();
}

async function main(folder: string): Promise<boolean> {
  const [image, hash, theirs] = [join(folder, 'image'), join(folder, 'hash'), join(folder, 'theirs')];
  await makeImage(image);
  const { rootHash } = await buildHashImage(image, hash, { salt, uuid, overwrite: 'replace' });
  const contests: readonly Contest[] = [
    {
      name: 'verity build',
      promise: 1,
      ours: async () => buildHashImage(image, hash, { salt, uuid, overwrite: 'replace' }),
      tool: ['veritysetup', 'format', image, theirs, '--salt', saltHex, '--uuid', uuid],
    },
    {
      name: 'verity verify',
      promise: 1,
      ours: async () => verifyHashImage(image, hash, { rootHash }),
      tool: ['veritysetup', 'verify', image, hash, rootHash],
    },
  ];
  let isBroken = false;
  for (const { name, promise, ours, tool } of contests) {
    const [program = '', ...args] = tool;
    const pairs: (readonly [number, number])[] = [];
    for (let round = 0; round < rounds; round += 1) pairs.push([await timed(ours), await timed(async () => runFile(program, args))]);
    const [mine, other] = [median(pairs.map(([one]) => one)), median(pairs.map(([, two]) => two))];
    const ratio = other / mine;
    const isBad = ratio < promise / 2;
    isBroken ||= isBad;
    const rate = (sizeBytes / 1000 / mine).toFixed(0);
    console.log(
      `${name.padEnd(18)} ${ratio.toFixed(2)} × ${program} (promise ${promise}), ${rate} MB/s${isBad ? '  BELOW HALF OF ITS PROMISE' : ''}`,
    );
  }
  console.log(`peak memory        ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB for a tree of ${sizeBytes / MIB} MiB`);
  return isBroken;
}

const folder = await mkdtemp(join(tmpdir(), 'gantry-bench-'));
try {
  process.exitCode = (await main(folder)) ? 1 : 0;
} finally {
  await rm(folder, { recursive: true, force: true });
}

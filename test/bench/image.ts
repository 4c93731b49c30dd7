/**
 * How fast images are made and unmade, as ratios against the command-line tools in the same run: absolute figures depend on the
 * machine. Each round runs both sides, one after the other, and the medians are compared.
 *
 *   npm run bench            64 MiB, 7 rounds
 *   npm run bench -- --short 32 MiB, 3 rounds; fails when a ratio falls below half of its promise
 */
import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createAtomicWriter } from '../../lib/files/atomic.ts';
import { compressLz4, decompressLz4 } from '../../lib/image/lz4.ts';
import { compressFrames, decompressZstd } from '../../lib/image/zstd.ts';

const runFile = promisify(execFile);
const MIB = 1 << 20;
const short = process.argv.includes('--short');
const rounds = short ? 3 : 7;
const sizeBytes = (short ? 32 : 64) * MIB;

interface Contest {
  readonly name: string;
  /** Ours is at least this many times as fast as the tool. */
  readonly promise: number;
  readonly ours: () => Promise<void>;
  readonly tool: readonly string[];
}

async function writeAll(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
  const writer = await createAtomicWriter(path, { overwrite: 'replace' });
  for await (const chunk of content) await writer.write(chunk);
  await writer.commit();
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

/** Real bytes: the start of Node's own executable. */
async function makeImage(path: string): Promise<void> {
  const from = await open(process.execPath, 'r');
  const buffer = Buffer.alloc(Math.min(sizeBytes, (await from.stat()).size));
  await from.read(buffer, 0, buffer.length, 0);
  await from.close();
  const to = await open(path, 'w');
  await to.write(buffer);
  await to.close();
}

const folder = await mkdtemp(join(tmpdir(), 'gantry-bench-'));
const at = (name: string): string => join(folder, name);
const raw = at('image');
const read = (name: string): AsyncIterable<Buffer> => createReadStream(at(name), { highWaterMark: MIB });
try {
  await makeImage(raw);
  const { size } = await stat(raw);
  const contests: readonly Contest[] = [
    {
      name: 'compress zstd -3',
      promise: 0.5,
      ours: async () => writeAll(at('ours.zst'), compressFrames(read('image'), { level: 3 })),
      tool: ['zstd', '-3', '-q', '-f', '-T0', raw, '-o', at('tool.zst')],
    },
    {
      name: 'decompress zstd',
      promise: 0.4,
      ours: async () => writeAll(at('ours.raw'), decompressZstd(read('ours.zst'), { maxBytes: size })),
      tool: ['zstd', '-d', '-q', '-f', at('ours.zst'), '-o', at('tool.raw')],
    },
    {
      name: 'compress lz4',
      promise: 0.6,
      ours: async () => writeAll(at('ours.lz4'), compressLz4(read('image'), { contentSizeBytes: size })),
      tool: ['lz4', '-1', '-q', '-f', raw, at('tool.lz4')],
    },
    {
      name: 'decompress lz4',
      promise: 0.4,
      ours: async () => writeAll(at('ours.raw'), decompressLz4(read('ours.lz4'), { maxBytes: size })),
      tool: ['lz4', '-d', '-q', '-f', at('ours.lz4'), at('tool.raw')],
    },
  ];
  let broken = 0;
  for (const { name, promise, ours, tool } of contests) {
    const [program = '', ...args] = tool;
    const pairs: (readonly [number, number])[] = [];
    for (let round = 0; round < rounds; round += 1) pairs.push([await timed(ours), await timed(async () => runFile(program, args))]);
    const [mine, theirs] = [median(pairs.map(([one]) => one)), median(pairs.map(([, other]) => other))];
    const ratio = theirs / mine;
    if (ratio < promise / 2) broken += 1;
    const rate = (size / 1000 / mine).toFixed(0);
    console.log(
      `${name.padEnd(18)} ${ratio.toFixed(2)} × ${program} (promise ${promise}), ${rate} MB/s${ratio < promise / 2 ? '  BELOW HALF OF ITS PROMISE' : ''}`,
    );
  }
  console.log(`peak memory        ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB for an image of ${size / MIB} MiB`);
  process.exitCode = broken === 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

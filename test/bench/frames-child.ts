/**
 * One job of the benchmark of frames, in a process of its own, whose peak of memory is then its own too. Prints its report as JSON.
 *
 *   frames IMAGE OUTPUT            compresses on two threads, with frame table and digests
 *   reuse IMAGE WORKSPACE ROUNDS   adds an image that is in the cache, and lets openssl hash it, in turn
 */
import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { openStableFile } from '../../lib/files/read.ts';
import { encodeFrameTable, type Frame } from '../../lib/image/frame-table.ts';
import { measuring } from '../../lib/image/measure.ts';
import { createWorkerPool } from '../../lib/image/worker-pool.ts';
import { compressFrames } from '../../lib/image/zstd.ts';
import { compressImage } from '../../lib/workspace/compress-image.ts';
import { createWorkspace } from '../../lib/workspace/create.ts';

export interface FramesReport {
  readonly ms: number;
  readonly peakBytes: number;
}

export interface ReuseReport {
  readonly hashMs: readonly number[];
  readonly reuseMs: readonly number[];
  readonly peakBytes: number;
}

const runFile = promisify(execFile);
const peakBytes = (): number => process.resourceUsage().maxRSS * 1024;

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

async function frames(image: string, output: string): Promise<FramesReport> {
  const ms = await timed(async () => {
    const file = await openStableFile(image);
    const told: Frame[] = [];
    const raw = measuring(file.read('shared'));
    const options = { level: 3, pool: createWorkerPool({ threads: 2 }), onFrame: (frame: Frame): unknown => told.push(frame) };
    const compressed = measuring(compressFrames(raw.stream, options));
    const to = await open(output, 'w');
    for await (const frame of compressed.stream) await to.write(frame);
    await to.close();
    compressed.result();
    encodeFrameTable({ raw: raw.result(), frames: told });
    await file.close();
  });
  return { ms, peakBytes: peakBytes() };
}

async function reuse(image: string, directory: string, rounds: number): Promise<ReuseReport> {
  const repositories = [{ variant: 'metal', arch: 'x86_64' }];
  const workspace = await createWorkspace(directory, { product: 'os', repositories, store: '../public' });
  const add = async (): Promise<boolean> =>
    (await compressImage(workspace, { image: 'root', source: image, compression: 'zst', level: 3 })).reused;
  await add();
  const hashMs: number[] = [];
  const reuseMs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    hashMs.push(await timed(async () => runFile('openssl', ['dgst', '-sha256', image])));
    reuseMs.push(
      await timed(async () => {
        if (!(await add())) throw new Error('the image did not come out of the cache');
      }),
    );
  }
  return { hashMs, reuseMs, peakBytes: peakBytes() };
}

const [job, image = '', where = '', rounds = ''] = process.argv.slice(2);
console.log(JSON.stringify(job === 'frames' ? await frames(image, where) : await reuse(image, where, Number(rounds))));

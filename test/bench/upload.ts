/**
 * How fast a large file goes up to a real S3 server, as a ratio against s5cmd in the same run, and in how much memory. Both send
 * parts of the same size, as many at a time; each round runs both sides.
 *
 *   npm run bench            512 MiB, 5 rounds
 *   npm run bench -- --short 128 MiB, 3 rounds; fails when the ratio falls below half of its promise
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fileSource } from '../../lib/files/read.ts';
import { createS3Store } from '../../lib/store/s3/s3.ts';
import { parseStorePath } from '../../lib/store/path.ts';
import { useCredentials, awsEnvironment } from '../services/aws-environment.ts';
import { imageBytes } from '../support/bytes.ts';
import { goSkipReason, goTool } from '../support/go-tools.ts';
import { startS3Server } from '../support/s3-server.ts';

const run = promisify(execFile);
const MIB = 1 << 20;
const short = process.argv.includes('--short');
const rounds = short ? 3 : 5;
const sizeBytes = (short ? 128 : 512) * MIB;
/** Ours hashes twice: each part for the server, and the whole for the name. */
const PROMISE = 0.4;

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

const missing = await goSkipReason();
if (missing === false) {
  const s5cmd = await goTool('s5cmd', 'github.com/peak/s5cmd/v2');
  const server = await startS3Server('versitygw');
  const folder = await mkdtemp(join(tmpdir(), 'gantry-bench-'));
  try {
    const bucket = await server.bucket('bench');
    const file = join(folder, 'image');
    const bytes = imageBytes(sizeBytes);
    await writeFile(file, bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    useCredentials(server.credentials);
    const { endpoint, region } = server;
    const store = await createS3Store({ bucket, prefix: 'os' }, { endpoint, region, pathStyle: true });
    const source = fileSource(file, { lengthBytes: sizeBytes, sha256 });
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const path = parseStorePath(`targets/${round}.img`);
      ours.push(
        await timed(async () =>
          store.write(path, source, { expect: 'absent', cacheClass: 'immutable', contentType: 'application/octet-stream' }),
        ),
      );
      const args = ['--endpoint-url', endpoint, 'cp', '--concurrency', '4', '--part-size', '8', file, `s3://${bucket}/s5cmd/${round}.img`];
      const env = { ...process.env, ...awsEnvironment(server.credentials), AWS_REGION: region };
      theirs.push(await timed(async () => run(s5cmd, args, { env })));
    }
    const ratio = median(theirs) / median(ours);
    const rate = (sizeBytes / 1e6 / (median(ours) / 1000)).toFixed(0);
    console.log(`upload             ${ratio.toFixed(2)} × s5cmd (promise ${PROMISE}), ${rate} MB/s`);
    if (short && ratio < PROMISE / 2) {
      console.error(`upload is at ${ratio.toFixed(2)} of s5cmd; expected at least ${PROMISE / 2}`);
      process.exitCode = 1;
    }
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
} else {
  console.log(`upload             skipped: ${missing}`);
}

/**
 * How long `gantry status` takes in a workspace of 20 published repositories, as a process from start to end. The promise is 500 ms.
 * Beside it: `gantry --version`, which is what starting costs.
 *
 *   npm run bench            the median of 9 rounds, interleaved
 *   npm run bench -- --short 3 rounds; fails beyond twice the promise
 */
import { spawnSync } from 'node:child_process';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PROMISE_MS = 500;
const REPOSITORIES = 20;
const rounds = process.argv.includes('--short') ? 3 : 9;
const BIN = join(import.meta.dirname, '..', '..', 'cli', 'gantry.ts');

const directory = await mkdtemp(join(tmpdir(), 'gantry-bench-status-'));
const workspace = join(directory, 'my-os');

function run(args: readonly string[], cwd = workspace): number {
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, [BIN, ...args], {
    cwd,
    env: { ...process.env, XDG_CONFIG_HOME: directory, XDG_CACHE_HOME: directory },
  });
  if (status !== 0) throw new Error(`gantry ${args.join(' ')}: ${stderr.toString()}`);
  return performance.now() - started;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

try {
  run(['init', workspace, '--variant', 'metal', '--arch', 'x86_64', '--store', join(directory, 'public')], directory);
  for (let index = 1; index < REPOSITORIES; index += 1) {
    await appendFile(join(workspace, 'gantry.toml'), `\n[[repository]]\nvariant = "v${index}"\narch = "x86_64"\n`);
  }
  run(['key', 'generate', 'root-a', 'targets', 'online', '--unencrypted']);
  run(['root', 'init', '--root', 'root-a', '--targets', 'targets', '--snapshot', 'online', '--timestamp', 'online']);
  run(['sign', '--yes']);
  const image = '{variant}.img';
  for (const [index, name] of ['metal', ...Array.from({ length: REPOSITORIES - 1 }, (_, at) => `v${at + 1}`)].entries()) {
    await writeFile(join(workspace, `${name}.img`), Buffer.alloc(64 << 10, index));
  }
  run(['release', 'add', '1.0.0', '--boot', image, '--root', image, '--hash', image, '--no-verity-check', '--variant', 'all']);
  run(['sign', '--yes']);
  run(['publish', '--yes', '--verify', 'none']);
  const times = { status: [] as number[], start: [] as number[] };
  run(['status']);
  for (let round = 0; round < rounds; round += 1) {
    times.status.push(run(['status']));
    times.start.push(run(['--version']));
  }
  const [status, start] = [median(times.status), median(times.start)];
  console.log(`gantry status      ${status.toFixed(0)} ms with ${REPOSITORIES} repositories (promise ${PROMISE_MS} ms)`);
  console.log(`gantry --version   ${start.toFixed(0)} ms`);
  process.exitCode = status > 2 * PROMISE_MS ? 1 : 0;
} finally {
  await rm(directory, { recursive: true, force: true });
}

/**
 * Programs that tests need and that come from the Go proxy, built once for each machine.
 *
 * Rules:
 * - a module in `test/services/s3-servers` pins every one of its dependencies;
 * - a build is named by the digest of its modules and its toolchain, and is renamed to its place only when complete;
 * - without Go a test is skipped by name, except in CI (`CI=true`), where it fails.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withLock } from '../../lib/files/lock.ts';
import { testCacheFolder } from './peers.ts';

const runFile = promisify(execFile);

const MODULES = join(import.meta.dirname, '..', 'services', 's3-servers');
/** MinIO takes 3 minutes on two cores with cold caches, and tests share them. */
const BUILD_TIMEOUT_MS = 20 * 60_000;

/** For the `skip` option of a test. Always false in CI. */
export async function goSkipReason(): Promise<string | false> {
  if (process.env['CI'] === 'true') return false;
  return (await goVersion().catch(() => undefined)) === undefined ? 'go is not on this machine' : false;
}

/**
 * @param name of the module's folder
 * @returns the path of the program
 * @throws Error when it cannot be built
 */
export async function goTool(name: string, packagePath: string): Promise<string> {
  const folder = join(testCacheFolder(), 's3-servers');
  const ready = join(folder, `${name}-${await digestOf(name)}`);
  if (await exists(ready)) return ready;
  await mkdir(folder, { recursive: true });
  // Test files run side by side and would otherwise build the same program twice.
  await withLock(`${ready}.lock`, { waitMs: BUILD_TIMEOUT_MS }, async () => {
    if (await exists(ready)) return;
    console.error(`building ${name}, once per machine: ${ready}`);
    const building = `${ready}.building`;
    await runFile('go', ['build', '-mod=readonly', '-trimpath', '-buildvcs=false', '-ldflags=-s -w', '-o', building, packagePath], {
      cwd: join(MODULES, name),
      env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' },
      timeout: BUILD_TIMEOUT_MS,
      maxBuffer: 64 << 20,
    });
    await rename(building, ready);
  });
  return ready;
}

async function digestOf(name: string): Promise<string> {
  const version = await goVersion().catch((error: unknown) => {
    throw new Error(`Cannot build ${name}: go is not on this machine; expected it`, { cause: error });
  });
  const hash = createHash('sha256').update(`${process.platform} ${process.arch} ${version}\n`);
  for (const file of ['go.mod', 'go.sum']) hash.update(await readFile(join(MODULES, name, file)));
  return hash.digest('hex').slice(0, 16);
}

async function goVersion(): Promise<string> {
  return (await runFile('go', ['version'])).stdout.trim();
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

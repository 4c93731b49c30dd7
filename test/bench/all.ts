/** Every benchmark, one after the other, so that none disturbs another; arguments are passed on. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

for (const name of [
  'metadata.ts',
  'client-import.ts',
  'client-lookup.ts',
  'download.ts',
  'image.ts',
  'large-repository.ts',
  'frames.ts',
  'release.ts',
  'simulate.ts',
  'status.ts',
  'upload.ts',
  'verity.ts',
]) {
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, name), ...process.argv.slice(2)], { stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}

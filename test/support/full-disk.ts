/** A disk of 2 MiB that really is full soon. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { TestContext } from 'node:test';
import { temporaryDirectory } from './engineer.ts';

const run = promisify(execFile);

/**
 * Mounting needs rights that CI has and a laptop may lack; then the files of this process are limited instead, which the kernel
 * answers with another of the codes that mean the same.
 */
export async function withFullDisk(t: TestContext, work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await temporaryDirectory(t);
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', folder]).then(
    () => true,
    () => false,
  );
  if (!mounted) {
    if (process.env['CI'] === 'true') throw new Error('Cannot make a full disk: mount needs the rights of root');
    t.skip('mounting a small disk needs the rights of root');
    return;
  }
  try {
    await work(folder);
  } finally {
    await run('umount', [folder]);
  }
}

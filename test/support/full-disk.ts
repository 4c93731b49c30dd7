/** Disks that really are full soon. */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { TestContext } from 'node:test';
import { temporaryDirectory } from './engineer.ts';

const run = promisify(execFile);

/** Works in a new folder on a disk of 2 MiB. */
export async function withFullDisk(t: TestContext, work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await temporaryDirectory(t);
  await withSmallDisk(t, { folder, sizeBytes: 2 << 20 }, async () => work(folder));
}

/** Mounts a disk of this size at `folder` while `work` runs. Mounting needs rights that CI has and a laptop may lack. */
export async function withSmallDisk(
  t: TestContext,
  { folder, sizeBytes }: { readonly folder: string; readonly sizeBytes: number },
  work: () => Promise<void>,
): Promise<void> {
  await withMount(t, { folder, options: `size=${sizeBytes}` }, work);
}

/** Works in an empty folder on a disk that is read-only. */
export async function withReadOnlyDisk(t: TestContext, work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await temporaryDirectory(t);
  await withMount(t, { folder, options: 'ro' }, async () => work(folder));
}

async function withMount(
  t: TestContext,
  { folder, options }: { readonly folder: string; readonly options: string },
  work: () => Promise<void>,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', options, 'none', folder]).then(
    () => true,
    () => false,
  );
  if (!mounted) {
    if (process.env['CI'] === 'true') throw new Error('Cannot make a full disk: mount needs the rights of root');
    t.skip('mounting a small disk needs the rights of root');
    return;
  }
  try {
    await work();
  } finally {
    await run('umount', ['--lazy', folder]);
  }
}

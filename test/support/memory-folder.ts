/** Temporary files in memory where the machine has such a folder: for tests that are not about disks and would mostly wait for them. */
import { accessSync, constants } from 'node:fs';

const FOLDER = '/dev/shm';

/** For all that this process and its children make from now on. */
export function useMemoryFolder(): void {
  try {
    accessSync(FOLDER, constants.W_OK);
    process.env['TMPDIR'] = FOLDER;
  } catch {
    // Then the disk will do.
  }
}

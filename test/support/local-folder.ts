/** A simulated repository as files of this machine. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Writes what a server would serve into this folder. */
export async function writeFolder(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const [name, bytes] of files) {
    const path = join(folder, decodeURIComponent(name));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
  }
}

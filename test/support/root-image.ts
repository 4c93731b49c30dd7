/** An ext4 image of this machine's own files, as a root image is. */
import { execFile } from 'node:child_process';
import { constants, type Dirent } from 'node:fs';
import { copyFile, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const MIB = 1 << 20;
/** Of a root image that has files in it; the rest is free space. */
const FILLED = 0.85;
const SOURCES = ['/usr/bin', '/usr/lib'];

async function* filesBelow(folder: string): AsyncGenerator<string, void, undefined> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((): Dirent[] => []);
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}

/** Files are taken in order, as long as there is room; `content` is a folder that is made for them, and removed. */
export async function makeRootImage(image: string, content: string, sizeBytes: number): Promise<void> {
  let left = sizeBytes * FILLED;
  for (const source of SOURCES) {
    for await (const path of filesBelow(source)) {
      if (left < MIB) break;
      const { size } = await stat(path);
      if (size > left) continue;
      await mkdir(dirname(join(content, path)), { recursive: true });
      const copied = await copyFile(path, join(content, path), constants.COPYFILE_FICLONE).then(
        () => true,
        () => false,
      );
      if (copied) left -= size;
    }
  }
  await promisify(execFile)('mke2fs', ['-q', '-t', 'ext4', '-d', content, image, `${sizeBytes / MIB}M`]);
  await rm(content, { recursive: true });
}

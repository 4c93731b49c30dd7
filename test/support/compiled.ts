/** The library as it is installed: emitted JavaScript, in a folder outside the tree. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

/** Compiles to `FOLDER/dist`; programs in the folder import `./dist/lib/client/index.js`. */
export async function compileInto(folder: string): Promise<void> {
  const dist = join(folder, 'dist');
  const tsc = [join(ROOT, 'node_modules', '.bin', 'tsc'), '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', dist] as const;
  const [code] = await once(spawn(tsc[0], tsc.slice(1), { stdio: 'inherit' }), 'exit');
  if (code !== 0) throw new Error('the sources do not compile');
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
}

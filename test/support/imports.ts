/** Which file imports which, read from the sources. */
import { readFile, readdir } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import ts from 'typescript';

export interface ImportGraph {
  /** By path relative to the root of the project, with `/`; what a file imports of the project, dynamic and type imports too. */
  readonly files: ReadonlyMap<string, readonly string[]>;
  /** Packages and modules of Node that a file imports. */
  readonly packages: ReadonlyMap<string, readonly string[]>;
}

/** @param folders relative to `root` */
export async function readImports(root: string, folders: readonly string[]): Promise<ImportGraph> {
  const files = new Map<string, readonly string[]>();
  const packages = new Map<string, readonly string[]>();
  for (const folder of folders) {
    for (const entry of await readdir(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
      const path = join(entry.parentPath, entry.name);
      const name = projectPath(root, path);
      const { importedFiles } = ts.preProcessFile(await readFile(path, 'utf8'), true, true);
      const specifiers = importedFiles.map(({ fileName }) => fileName);
      files.set(
        name,
        specifiers.filter((one) => one.startsWith('.')).map((one) => projectPath(root, resolve(dirname(path), one))),
      );
      packages.set(
        name,
        specifiers.filter((one) => !one.startsWith('.')),
      );
    }
  }
  return { files, packages };
}

function projectPath(root: string, path: string): string {
  return relative(root, path).split(sep).join('/');
}

/** Every file that is reached from `entry`, itself included. */
export function reachedFrom({ files }: ImportGraph, entry: string): ReadonlySet<string> {
  const seen = new Set([entry]);
  // A set that grows while it is walked: each file is visited once.
  for (const file of seen) for (const next of files.get(file) ?? []) seen.add(next);
  return seen;
}

/** `lib/client/state.ts` is in the room `client`, `cli/ui/table.ts` in `cli`; undefined for `lib/errors.ts` and the public entries. */
export function roomOf(file: string): string | undefined {
  const [top = '', room = '', ...rest] = file.split('/');
  if (top !== 'lib') return top;
  return rest.length === 0 ? undefined : room;
}

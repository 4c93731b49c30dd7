/** Files that go along with a release: migrations, and whatever else its publisher wants to be signed. */
import { readdir, realpath, stat, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { GantryError, quote } from '../errors.ts';
import { openStableFile } from '../files/read.ts';
import { fromSystemError } from '../files/system-error.ts';
import { compressLz4 } from '../image/lz4.ts';
import { measure } from '../image/measure.ts';
import { parseSha256Hex } from '../tuf/hash.ts';
import { TargetPath } from '../tuf/target-path.ts';
import { addObject, ensureObjects, objectPath, type ObjectRef } from './objects.ts';
import type { Workspace } from './workspace.ts';

export interface PreparedTarget {
  readonly path: string;
  readonly object: ObjectRef;
}

export interface ExtraTarget {
  /** Of the target. */
  readonly name: string;
  readonly file: string;
  /** `link`: the bytes are read from the file itself when they are published, which must not change until then. */
  readonly mode: 'copy' | 'link';
}

/** Bottlerocket's: the version in which it is needed first, and a name. */
const MIGRATION_NAME = /^migrate_v\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?_[A-Za-z0-9][A-Za-z0-9._-]*$/u;
const LZ4_MAGIC = '04224d18';

/**
 * The migrations that these paths mean, a directory's in the order of their names.
 *
 * @throws GantryError `files/missing`, `release/bad-name`
 */
export async function findMigrationFiles(paths: readonly string[]): Promise<readonly string[]> {
  const files: string[] = [];
  for (const path of paths) {
    const found = await stat(path).catch((error: unknown) => {
      throw fromSystemError(error, path, 'read');
    });
    const names = found.isDirectory() ? (await readdir(path)).toSorted().map((name) => join(path, name)) : [path];
    files.push(...names.filter((name) => !basename(name).startsWith('.')));
  }
  for (const file of files) migrationTarget(file);
  return files;
}

/** The target that hosts look for. @throws GantryError `release/bad-name` */
export function migrationTarget(file: string): string {
  const name = basename(file).replace(/\.lz4$/u, '');
  if (MIGRATION_NAME.test(name)) return TargetPath.parse(`${name}.lz4`).memberName();
  throw new GantryError(
    'release/bad-name',
    `Cannot use ${quote(file)} as a migration: expected a name like "migrate_v1.2.0_add-setting", with or without .lz4`,
    { what: 'migration', name },
  );
}

/** Compressed as hosts expect it, unless it is already. */
export async function prepareMigration(workspace: Workspace, path: string, signal: AbortSignal | undefined): Promise<PreparedTarget> {
  const file = await openStableFile(path);
  try {
    let magic = '';
    for await (const chunk of file.read()) {
      magic = Buffer.from(chunk.subarray(0, 4)).toString('hex');
      break;
    }
    const content =
      magic === LZ4_MAGIC
        ? file.read()
        : compressLz4(file.read(), { contentSizeBytes: file.lengthBytes, ...(signal === undefined ? {} : { signal }) });
    const object = await addObject(workspace, content);
    await file.assertUnchanged();
    return { path: migrationTarget(path), object };
  } finally {
    await file.close();
  }
}

/** @throws GantryError `files/missing`, `files/not-readable`, `files/changed`, `tuf/bad-target-path` */
export async function prepareExtraTarget(workspace: Workspace, { name, file: path, mode }: ExtraTarget): Promise<PreparedTarget> {
  const target = TargetPath.parse(name).memberName();
  const file = await openStableFile(path);
  try {
    const object = mode === 'copy' ? await addObject(workspace, file.read()) : await linkObject(workspace, path, file.read());
    await file.assertUnchanged();
    return { path: target, object };
  } finally {
    await file.close();
  }
}

/** The object is a link: large files are not copied; publishing compares the digest. */
async function linkObject(workspace: Workspace, path: string, content: AsyncIterable<Uint8Array>): Promise<ObjectRef> {
  const { sha256, lengthBytes } = await measure(content);
  const digest = parseSha256Hex(sha256);
  await ensureObjects(workspace);
  try {
    await symlink(await realpath(path), objectPath(workspace, digest));
  } catch (error) {
    // Another target has the same bytes already.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw fromSystemError(error, path, 'write');
  }
  return { sha256: digest, lengthBytes };
}

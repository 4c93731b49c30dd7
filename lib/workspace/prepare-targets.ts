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
    const own = names.filter((name) => !basename(name).startsWith('.'));
    if (own.length === 0) {
      const problem = `Cannot use ${quote(path)} as migrations: the directory is empty; expected files with names like "migrate_v1.2.0_add-setting"`;
      throw new GantryError('release/bad-name', problem, { what: 'migration', name: basename(path) });
    }
    files.push(...own);
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

/**
 * A file with something in it, and lz4 where its name says so.
 *
 * @throws GantryError `files/missing`, `files/not-readable`, `image/empty`, `image/bad-input`
 */
export async function checkMigration(path: string): Promise<void> {
  const file = await openStableFile(path);
  try {
    if (file.lengthBytes === 0)
      throw new GantryError('image/empty', `Cannot release ${quote(path)} as a migration: it is empty; expected some bytes`, {
        what: path,
      });
    if (!path.endsWith('.lz4') || (await isLz4(file.read()))) return;
    const problem = `Cannot use ${quote(path)} as a migration: its name says lz4, and it is none; expected an lz4 frame, or another name`;
    throw new GantryError('image/bad-input', problem, { path });
  } finally {
    await file.close();
  }
}

async function isLz4(content: AsyncIterable<Uint8Array>): Promise<boolean> {
  for await (const chunk of content) return Buffer.from(chunk.subarray(0, 4)).toString('hex') === LZ4_MAGIC;
  return false;
}

/** Compressed as hosts expect it, unless it is already. */
export async function prepareMigration(workspace: Workspace, path: string, signal: AbortSignal | undefined): Promise<PreparedTarget> {
  const file = await openStableFile(path);
  try {
    const content = (await isLz4(file.read()))
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

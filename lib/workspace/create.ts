/** `gantry init`: a new workspace from the skeleton in `repo-layout/`. */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GantryError, quote } from '../errors.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { fromSystemError, readWholeFile } from '../files/read.ts';
import { checkName } from '../release/names.ts';
import type { RepositoryName } from './config.ts';
import { CONFIG_FILE, openWorkspace, type Workspace } from './workspace.ts';

export interface NewWorkspace {
  /** First part of every image target's name. */
  readonly product: string;
  /** At least one. */
  readonly repositories: readonly RepositoryName[];
  /** As it goes into `gantry.toml`: absolute, or relative to the new directory. */
  readonly store: string;
}

const SKELETON_FILE_MAX_BYTES = 1 << 20;

/**
 * Makes the directory and fills it. Nothing stays behind when it fails.
 *
 * @throws GantryError `workspace/exists`, `workspace/bad-store`, `release/bad-name`, `files/…`
 */
export async function createWorkspace(directory: string, options: NewWorkspace): Promise<Workspace> {
  const target = resolve(directory);
  checkName('product', options.product);
  refuseStore(target, options.store);
  for (const { variant, arch } of options.repositories) {
    checkName('variant', variant);
    checkName('arch', arch);
  }
  await refuseOccupied(target);
  const existed = (await stat(target).catch(() => undefined)) !== undefined;
  try {
    for (const { name, text } of await readSkeleton()) {
      const path = join(target, name === 'gitignore' ? '.gitignore' : name);
      await mkdir(dirname(path), { recursive: true });
      await writeFileAtomic(path, name === CONFIG_FILE ? fillIn(text, options) : text);
    }
  } catch (error) {
    if (!existed) await rm(target, { recursive: true, force: true });
    throw fromSystemError(error, target, 'make a workspace');
  }
  return openWorkspace(target);
}

/** What a server shows to everybody must hold neither the workspace nor the keys beside it. @throws GantryError `workspace/bad-store` */
export function refuseStore(target: string, store: string): void {
  if (store.startsWith('s3://') || store === 'command') return;
  const place = resolve(target, store);
  const isInside = !relative(place, target).startsWith('..');
  if (store !== '' && !isInside && !/^[a-z][a-z0-9+.-]*:\/\//iu.test(store)) return;
  const problem = isInside ? `it is, or holds, the workspace ${quote(target)}` : 'it is no directory';
  throw new GantryError(
    'workspace/bad-store',
    `Cannot publish to ${quote(store === '' ? place : store)}: ${problem}; expected a directory of its own, or s3://BUCKET/PREFIX`,
    {
      store,
    },
  );
}

async function refuseOccupied(target: string): Promise<void> {
  const entries = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw fromSystemError(error, target, 'make a workspace');
  });
  if (entries.length === 0) return;
  throw new GantryError(
    'workspace/exists',
    `Cannot make a workspace in ${quote(target)}: it is not empty; expected a new or empty directory`,
    { path: target },
  );
}

/** The skeleton has one repository; others follow it in the same form. */
function fillIn(template: string, { product, store, repositories }: NewWorkspace): string {
  const [first, ...others] = repositories;
  const filled = Object.entries({ product, store, ...first }).reduce(
    (text, [member, value]) => text.replaceAll(`{{${member}}}`, JSON.stringify(value).slice(1, -1)),
    template,
  );
  const tables = others.map(
    ({ variant, arch }) => `\n[[repository]]\nvariant = ${JSON.stringify(variant)}\narch = ${JSON.stringify(arch)}\n`,
  );
  return filled + tables.join('');
}

async function readSkeleton(): Promise<readonly { readonly name: string; readonly text: string }[]> {
  const folder = await skeletonFolder();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(
    files.map(async (path) => ({
      name: relative(folder, path),
      text: Buffer.from(await readWholeFile(path, { maxBytes: SKELETON_FILE_MAX_BYTES })).toString('utf8'),
    })),
  );
}

/** Beside `lib/` in the sources, beside `dist/` in the package. */
async function skeletonFolder(): Promise<string> {
  for (const up of ['../../repo-layout', '../../../repo-layout']) {
    const folder = fileURLToPath(new URL(up, import.meta.url));
    if ((await stat(folder).catch(() => undefined))?.isDirectory() === true) return folder;
  }
  throw new GantryError('files/missing', 'Cannot find repo-layout/: the installation is incomplete', { path: 'repo-layout' });
}

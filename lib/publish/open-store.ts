/** Which store `gantry.toml` means. */
import { resolve } from 'node:path';
import { GantryError, quote } from '../errors.ts';
import { createDirectoryStore } from '../store/directory.ts';
import { parseS3Url } from '../store/s3/location.ts';
import type { Store } from '../store/store.ts';
import { CONFIG_FILE, type Workspace } from '../workspace/workspace.ts';

const IS_URL = /^[a-z][a-z0-9+.-]*:\/\//iu;

/** The directory of a directory store: paths in `gantry.toml` are relative to it. @throws GantryError `workspace/bad-config` */
export function storeDirectory({ directory, config }: Workspace): string {
  if (!IS_URL.test(config.store)) return resolve(directory, config.store);
  throw badStore({ directory, config }, 'it is no directory; expected a path');
}

/** The AWS SDK is loaded for a bucket only. @throws GantryError `workspace/bad-config`, `store/bad-location` */
export async function openStore(workspace: Workspace): Promise<Store> {
  const { store, s3 } = workspace.config;
  if (!IS_URL.test(store)) return createDirectoryStore(storeDirectory(workspace));
  if (!store.startsWith('s3://'))
    throw badStore(workspace, 'gantry publishes to directories and to S3; expected a path or s3://BUCKET/PREFIX');
  const { createS3Store } = await import('../store/s3/s3.ts');
  return createS3Store(parseS3Url(store), s3);
}

function badStore({ directory, config }: Pick<Workspace, 'directory' | 'config'>, problem: string): GantryError {
  const path = resolve(directory, CONFIG_FILE);
  return new GantryError('workspace/bad-config', `Cannot use the store ${quote(config.store)} in ${quote(path)}: ${problem}`, {
    path,
    at: 'store',
  });
}

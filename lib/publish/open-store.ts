import { resolve } from 'node:path';
import { GantryError, quote } from '../errors.ts';
import { createDirectoryStore } from '../store/directory.ts';
import type { Store } from '../store/store.ts';
import { CONFIG_FILE, type Workspace } from '../workspace/workspace.ts';

/** The directory of a directory store: paths in `gantry.toml` are relative to it. @throws GantryError `workspace/bad-config` */
export function storeDirectory({ directory, config }: Workspace): string {
  if (/^[a-z][a-z0-9+.-]*:\/\//iu.test(config.store)) {
    const path = resolve(directory, CONFIG_FILE);
    throw new GantryError(
      'workspace/bad-config',
      `Cannot use the store ${quote(config.store)} in ${quote(path)}: this gantry publishes to directories only; expected a path`,
      {
        path,
        at: 'store',
      },
    );
  }
  return resolve(directory, config.store);
}

/** @throws GantryError `workspace/bad-config` */
export function openStore(workspace: Workspace): Store {
  return createDirectoryStore(storeDirectory(workspace));
}

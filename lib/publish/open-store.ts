/** Which store a workspace publishes to. */
import { resolve } from 'node:path';
import { GantryError, quote } from '../errors.ts';
import { createDirectoryStore } from '../store/directory.ts';
import { parseS3Url } from '../store/s3/location.ts';
import type { Store } from '../store/store.ts';
import { refuseStore } from '../workspace/create.ts';
import { CONFIG_FILE, type Workspace } from '../workspace/workspace.ts';

const IS_URL = /^[a-z][a-z0-9+.-]*:\/\//iu;
/** What stands for the `[command]` table. */
const COMMAND = 'command';

/**
 * The workspace with another store than `gantry.toml` names.
 *
 * @param location as in `gantry.toml`; a path is relative to `directory`
 * @throws GantryError `workspace/bad-store`
 */
export function withStore(workspace: Workspace, location: string, directory: string): Workspace {
  const store = IS_URL.test(location) || location === COMMAND ? location : resolve(directory, location);
  refuseStore(workspace.directory, store);
  return { ...workspace, config: { ...workspace.config, store } };
}

/** The directory of a directory store: paths in `gantry.toml` are relative to it. @throws GantryError `workspace/bad-config` */
export function storeDirectory({ directory, config }: Workspace): string {
  if (!IS_URL.test(config.store) && config.store !== COMMAND) return resolve(directory, config.store);
  throw badStore({ directory, config }, 'it is no directory; expected a path');
}

/**
 * The AWS SDK is loaded for a bucket only, and what starts programs for a program only.
 *
 * @param env what a program that uploads finds in its environment, our own variables apart
 * @throws GantryError `workspace/bad-config`, `store/bad-location`
 */
export async function openStore(workspace: Workspace, env: Readonly<Record<string, string | undefined>>): Promise<Store> {
  const { directory, config } = workspace;
  const { store, s3, command } = config;
  if (store === COMMAND) {
    if (command === undefined) throw badStore(workspace, 'there is no [command] table; expected one with the program that uploads');
    const { createCommandStore } = await import('../store/command.ts');
    return createCommandStore({ ...command, directory, env: withoutSecrets(env) });
  }
  if (!IS_URL.test(store)) return createDirectoryStore(storeDirectory(workspace));
  if (!store.startsWith('s3://'))
    throw badStore(workspace, 'gantry publishes to directories, to S3 and by a command; expected a path, s3://BUCKET/PREFIX or "command"');
  const { createS3Store } = await import('../store/s3/s3.ts');
  return createS3Store(parseS3Url(store), s3);
}

/** Passphrases come in variables of ours. */
function withoutSecrets(env: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('GANTRY_')));
}

function badStore({ directory, config }: Pick<Workspace, 'directory' | 'config'>, problem: string): GantryError {
  const path = resolve(directory, CONFIG_FILE);
  return new GantryError('workspace/bad-config', `Cannot use the store ${quote(config.store)} in ${quote(path)}: ${problem}`, {
    path,
    at: 'store',
  });
}

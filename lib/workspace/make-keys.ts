/** A batch of new keys: private halves in the person's own directory, public halves in the workspace. All of them or none. */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError, quote } from '../errors.ts';
import { generatePrivateKey, type KeyType } from '../keys/generate.ts';
import { checkKeyName, writeKeyFile, type WrittenKeyFile } from '../keys/key-file.ts';
import { publicKeyPath, rememberKey } from './key-ring.ts';
import type { Workspace } from './workspace.ts';

export interface MakeKeysOptions {
  readonly keysDirectory: string;
  readonly type: KeyType;
  /** `undefined` writes the private keys as they are: only when a person asked for that. */
  readonly passphrase: string | undefined;
}

/** @throws GantryError `keys/bad-name`, `keys/exists`, `files/…` */
export async function makeKeys(
  workspace: Workspace,
  names: readonly string[],
  options: MakeKeysOptions,
): Promise<readonly WrittenKeyFile[]> {
  const pathsOf = (name: string): readonly string[] => [
    join(options.keysDirectory, `${name}.pem`),
    join(options.keysDirectory, `${name}.pub.pem`),
    publicKeyPath(workspace, name),
  ];
  for (const name of names) await refuseTaken(checkKeyName(name), pathsOf(name));
  const made: WrittenKeyFile[] = [];
  const started: string[] = [];
  try {
    for (const name of new Set(names)) {
      const privateKey = await generatePrivateKey(options.type);
      const file = await writeKeyFile(options.keysDirectory, name, privateKey, { passphrase: options.passphrase });
      started.push(name);
      await rememberKey(workspace, name, file.key);
      made.push(file);
    }
    return made;
  } catch (error) {
    // Half a batch would only be in the way of the next try.
    await Promise.all(started.flatMap(pathsOf).map(async (path) => rm(path, { force: true })));
    throw error;
  }
}

/** @throws GantryError `keys/exists` */
export async function refuseTaken(name: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    if ((await stat(path).catch(() => undefined)) === undefined) continue;
    throw new GantryError('keys/exists', `Cannot make the key ${quote(name)}: ${quote(path)} exists already`, { name, path });
  }
}

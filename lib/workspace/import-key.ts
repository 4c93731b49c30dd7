/** A key that was made elsewhere joins the workspace: a private one into the person's own directory, a public one by itself. */
import { rm } from 'node:fs/promises';
import { isGantryError } from '../errors.ts';
import { checkKeyName, importKeyFile, readPublicKeyFile } from '../keys/key-file.ts';
import { keyIdOf } from '../tuf/key.ts';
import type { KeyId, PublicKey } from '../tuf/types.ts';
import { rememberKey } from './key-ring.ts';
import type { Workspace } from './workspace.ts';

export interface ImportOptions {
  readonly keysDirectory: string;
  /** Of the file, when it is encrypted. */
  readonly askPassphrase: (path: string) => Promise<string>;
  /** For the copy; `undefined` writes it as it is: only when a person asked for that. */
  readonly newPassphrase: () => Promise<string | undefined>;
}

export interface ImportedKey {
  readonly keyId: KeyId;
  /** Absent when the file held a public key. */
  readonly privatePath?: string;
}

/**
 * @param file PKCS#8 (encrypted or not) or SPKI, in PEM; it stays as it is
 * @throws GantryError `keys/…`, `files/…`
 */
export async function importKey(workspace: Workspace, name: string, file: string, options: ImportOptions): Promise<ImportedKey> {
  checkKeyName(name);
  const publicKey = await publicKeyIn(file);
  if (publicKey !== undefined) {
    await rememberKey(workspace, name, publicKey);
    return { keyId: keyIdOf(publicKey) };
  }
  const target = { directory: options.keysDirectory, name, passphrase: await options.newPassphrase() };
  const { key, keyId, privatePath, publicPath } = await importKeyFile(file, target, options.askPassphrase);
  try {
    await rememberKey(workspace, name, key);
  } catch (error) {
    await Promise.all([privatePath, publicPath].map(async (path) => rm(path, { force: true })));
    throw error;
  }
  return { keyId, privatePath };
}

async function publicKeyIn(file: string): Promise<PublicKey | undefined> {
  try {
    return await readPublicKeyFile(file);
  } catch (error) {
    if (isGantryError(error, 'keys/unsupported') || isGantryError(error, 'keys/unreadable')) return undefined;
    throw error;
  }
}

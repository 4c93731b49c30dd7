/**
 * A key that was made elsewhere joins the workspace: a private one into the person's own directory, a public one by itself, and one that
 * stays where it is (a token, a cloud, an agent) by a line that says where.
 */
import { rm } from 'node:fs/promises';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { checkKeyName, importKeyFile, readPublicKeyFile, writeSignerFile, type KeyFile, type WrittenKeyFile } from '../keys/key-file.ts';
import { isKeyReference, openReference } from '../keys/reference.ts';
import { keyContentOf, keyIdOf } from '../tuf/key.ts';
import type { KeyId, PublicKey } from '../tuf/types.ts';
import { accessTo, namedKeys, publicKeyNamed, publicKeyPath, rememberKey, type KeyRingOptions } from './key-ring.ts';
import type { Workspace } from './workspace.ts';

export interface ImportOptions extends KeyRingOptions {
  /** For the copy; `undefined` writes it as it is: only when a person asked for that. */
  readonly newPassphrase: () => Promise<string | undefined>;
}

export interface ImportedKey {
  readonly keyId: KeyId;
  /** Where the copy is; absent when the private half was not copied. */
  readonly privatePath?: string;
  /** Where it stays. */
  readonly reference?: string;
}

/**
 * @param source a URL (reference.ts), or a file: PKCS#8 (encrypted or not) or SPKI, in PEM; it stays as it is
 * @throws GantryError `keys/…`, `files/…`
 */
export async function importKey(workspace: Workspace, name: string, source: string, options: ImportOptions): Promise<ImportedKey> {
  checkKeyName(name);
  const imported = await importOne(workspace, name, source, options);
  // A root may list it under another id than its file has.
  return { ...imported, keyId: (await publicKeyNamed(workspace, name)).keyId };
}

async function importOne(workspace: Workspace, name: string, source: string, options: ImportOptions): Promise<ImportedKey> {
  if (isKeyReference(source)) return importReference(workspace, name, source, options);
  const publicKey = await publicKeyIn(source);
  if (publicKey !== undefined) {
    await rememberKey(workspace, name, publicKey);
    return { keyId: keyIdOf(publicKey) };
  }
  const target = { directory: options.keysDirectory, name, passphrase: await options.newPassphrase() };
  const written = await importKeyFile(source, target, async (path) => options.passphrases.ask(path, 0));
  const { keyId, privatePath, publicPath } = written;
  await rememberOrUndo(workspace, written, [privatePath, publicPath]);
  return { keyId, privatePath };
}

async function importReference(workspace: Workspace, name: string, url: string, options: ImportOptions): Promise<ImportedKey> {
  const signer = await openReference(url, accessTo(name, options));
  await signer.close?.();
  const { keyId, signerPath, publicPath } = await writeSignerFile(options.keysDirectory, name, signer.key, url);
  await rememberOrUndo(workspace, { name, key: signer.key }, [signerPath, publicPath]);
  return { keyId, reference: url };
}

/** A workspace that knows this very key by this name, a colleague's or a checkout of a CI, knows it already. */
async function rememberOrUndo(
  workspace: Workspace,
  { name, key }: Pick<KeyFile | WrittenKeyFile, 'name' | 'key'>,
  written: readonly string[],
): Promise<void> {
  try {
    const known = (await namedKeys(workspace)).find((one) => one.name === name);
    if (known === undefined) await rememberKey(workspace, name, key);
    else if (keyContentOf(known.key) !== keyContentOf(key)) throw taken(workspace, name);
  } catch (error) {
    await Promise.all(written.map(async (path) => rm(path, { force: true })));
    throw error;
  }
}

function taken(workspace: Workspace, name: string): GantryError {
  const path = publicKeyPath(workspace, name);
  return new GantryError(
    'keys/exists',
    `Cannot import the key ${quote(name)}: ${quote(path)} is another key; expected a new name, or the same key`,
    { name, path },
  );
}

async function publicKeyIn(file: string): Promise<PublicKey | undefined> {
  try {
    return await readPublicKeyFile(file);
  } catch (error) {
    if (isGantryError(error, 'keys/unsupported') || isGantryError(error, 'keys/unreadable')) return undefined;
    throw error;
  }
}

/**
 * Keys by name: public halves in the workspace (`keys/NAME.pub.pem`), private ones in a directory of the person's own.
 */
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { writeNewFile } from '../files/atomic.ts';
import { listKeyFiles, openKeySigner, readPublicKeyFile, type KeyFile } from '../keys/key-file.ts';
import type { PassphraseSource } from '../keys/passphrase.ts';
import type { Signer } from '../keys/signer.ts';
import { keyIdOf, publicKeyToPem } from '../tuf/key.ts';
import type { KeyId, PublicKey } from '../tuf/types.ts';
import type { Workspace } from './workspace.ts';

/** A public key that the workspace knows by a name. */
export interface NamedKey {
  readonly name: string;
  readonly keyId: KeyId;
  readonly key: PublicKey;
}

/** `$XDG_CONFIG_HOME/gantry/keys/PRODUCT`, by default below `~/.config`. */
export function defaultKeysDirectory(product: string, env: Readonly<Record<string, string | undefined>>): string {
  const config = env['XDG_CONFIG_HOME'];
  // The XDG specification: a relative path counts for nothing.
  return join(config !== undefined && isAbsolute(config) ? config : join(homedir(), '.config'), 'gantry', 'keys', product);
}

function publicFolder(workspace: Workspace): string {
  return join(workspace.directory, 'keys');
}

export function publicKeyPath(workspace: Workspace, name: string): string {
  return join(publicFolder(workspace), `${name}.pub.pem`);
}

/** Makes a public key known to the workspace. @throws GantryError `files/exists` */
export async function rememberKey(workspace: Workspace, name: string, key: PublicKey): Promise<void> {
  await mkdir(publicFolder(workspace), { recursive: true });
  await writeNewFile(publicKeyPath(workspace, name), publicKeyToPem(key));
}

/** @throws GantryError `keys/missing` */
export async function publicKeyNamed(workspace: Workspace, name: string): Promise<NamedKey> {
  const path = publicKeyPath(workspace, name);
  try {
    const key = await readPublicKeyFile(path);
    return { name, key, keyId: keyIdOf(key) };
  } catch (cause) {
    if (!isGantryError(cause, 'files/missing')) throw cause;
    throw new GantryError('keys/missing', `Cannot find the key ${quote(name)}: there is no ${quote(path)}`, { name, path }, { cause });
  }
}

/** Every public key of the workspace. */
export async function namedKeys(workspace: Workspace): Promise<readonly NamedKey[]> {
  return listKeyFiles(publicFolder(workspace));
}

/** The keys whose private halves are in the directory. */
export async function keyIdsAtHand(keysDirectory: string): Promise<ReadonlySet<KeyId>> {
  const files = await listKeyFiles(keysDirectory);
  return new Set(files.flatMap(({ keyId, privatePath }) => (privatePath === undefined ? [] : [keyId])));
}

/** Signers for the keys that are asked for and at hand; nothing is decrypted before it is used. */
export async function signersAtHand(
  keysDirectory: string,
  wanted: ReadonlySet<KeyId>,
  passphrases: PassphraseSource,
): Promise<readonly Signer[]> {
  const atHand = (await listKeyFiles(keysDirectory)).filter((file) => wanted.has(file.keyId));
  const signers: Signer[] = [];
  for (const file of atHand) {
    const signer = await openPrivate(file, passphrases);
    if (signer !== undefined) signers.push(signer);
  }
  return signers;
}

async function openPrivate({ name, keyId, privatePath }: KeyFile, passphrases: PassphraseSource): Promise<Signer | undefined> {
  if (privatePath === undefined) return undefined;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await openKeySigner(privatePath, { name, expected: keyId, passphrase: async (path) => passphrases.ask(path, attempt) });
    } catch (error) {
      if (!isGantryError(error, 'keys/passphrase-wrong') || attempt + 1 >= passphrases.tries) throw error;
    }
  }
}

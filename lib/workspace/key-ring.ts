/**
 * Keys by name: public halves in the workspace (`keys/NAME.pub.pem`), private ones in a directory of the person's own.
 */
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { writeNewFile } from '../files/atomic.ts';
import type { SignerAccess } from '../keys/access.ts';
import { isAtHand, listKeyFiles, openKeyFile, readPublicKeyFile, type KeyFile } from '../keys/key-file.ts';
import { passphraseFrom, PIN, type PassphraseSource } from '../keys/passphrase.ts';
import { openReference } from '../keys/reference.ts';
import type { Signer } from '../keys/signer.ts';
import { keyContentOf, keyIdOf, publicKeyToPem } from '../tuf/key.ts';
import type { KeyId, PublicKey } from '../tuf/types.ts';
import { readRootChain } from './root-files.ts';
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
    return { name, key, keyId: keyIdOf(key), ...(await listedKeys(workspace)).get(keyContentOf(key)) };
  } catch (cause) {
    if (!isGantryError(cause, 'files/missing')) throw cause;
    throw new GantryError('keys/missing', `Cannot find the key ${quote(name)}: there is no ${quote(path)}`, { name, path }, { cause });
  }
}

/** Every public key of the workspace; those that its newest root lists, as they stand there. */
export async function namedKeys(workspace: Workspace): Promise<readonly NamedKey[]> {
  const files = await listKeyFiles(publicFolder(workspace));
  const listed = await listedKeys(workspace);
  return files.map(({ name, key, keyId }) => ({ name, key, keyId, ...listed.get(keyContentOf(key)) }));
}

/** By what they are. */
async function listedKeys(workspace: Workspace): Promise<ReadonlyMap<string, Pick<NamedKey, 'key' | 'keyId'>>> {
  const { keys = {} } = (await readRootChain(workspace))?.latest.role ?? {};
  // The members of the record are key ids by its type.
  return new Map(Object.entries(keys).map(([keyId, key]) => [keyContentOf(key), { keyId: keyId as KeyId, key }]));
}

/** Of the keys whose private halves can be reached: their ids, and those that the workspace's root gives them. */
export async function keyIdsAtHand(keysDirectory: string, workspace: Workspace | undefined): Promise<ReadonlySet<KeyId>> {
  const files = (await listKeyFiles(keysDirectory)).filter(isAtHand);
  const listed = workspace === undefined ? new Map<string, Pick<NamedKey, 'keyId'>>() : await listedKeys(workspace);
  return new Set(files.flatMap(({ keyId, key }) => [keyId, listed.get(keyContentOf(key))?.keyId ?? keyId]));
}

export interface KeyRingOptions {
  readonly keysDirectory: string;
  readonly passphrases: PassphraseSource;
  /** Of tokens; without it, keys in tokens that want a PIN cannot be used. */
  readonly pin?: PassphraseSource;
  /** Where agents and clouds are found. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Only these of the directory, by name. */
  readonly only?: readonly string[];
  /** Keys that are in no directory: their URLs. */
  readonly signers?: readonly string[];
}

/**
 * The private keys that one person can use from here.
 *
 * They are found by what they are, and not by key id: tuftool writes RSA keys without their last line end, which gives them another id
 * than their files have by themselves.
 */
export interface KeyRing {
  has(key: PublicKey): boolean;
  /** Nothing is decrypted or asked for before; each key is opened once. @throws GantryError `keys/…`, `files/…` */
  open(key: PublicKey): Promise<Signer>;
  close(): Promise<void>;
}

/** @throws GantryError `keys/missing` when `only` names a key that is not at hand; for `signers` what opening them throws */
export async function openKeyRing(options: KeyRingOptions): Promise<KeyRing> {
  const { keysDirectory, only, signers = [] } = options;
  const files = (await listKeyFiles(keysDirectory)).filter(isAtHand);
  for (const name of only ?? []) refuseUnknown(name, files, keysDirectory);
  const wanted = new Map(files.filter(({ name }) => only?.includes(name) ?? true).map((file) => [keyContentOf(file.key), file]));
  const opened = new Map<string, Signer>();
  for (const url of signers) {
    const signer = await openReference(url, accessTo(url, options));
    opened.set(keyContentOf(signer.key), signer);
  }
  return {
    has: (key) => opened.has(keyContentOf(key)) || wanted.has(keyContentOf(key)),
    async open(key) {
      const content = keyContentOf(key);
      const known = opened.get(content);
      if (known !== undefined) return known;
      const file = wanted.get(content);
      if (file === undefined) throw new RangeError(`the key ${content} is not at hand`);
      const signer = await openFile(file, options);
      opened.set(content, signer);
      return signer;
    },
    async close() {
      await Promise.all([...opened.values()].map(async (signer) => signer.close?.()));
    },
  };
}

/** Opens one key of a keys directory. @throws GantryError `keys/…`, `files/…` */
async function openFile({ name, keyId, key, privatePath, reference }: KeyFile, options: KeyRingOptions): Promise<Signer> {
  if (privatePath !== undefined) return openKeyFile(privatePath, { name, expected: keyId, passphrases: options.passphrases });
  return openReference(reference ?? '', { ...accessTo(name, options), expected: key });
}

/** What a back end gets. */
export function accessTo(name: string, { passphrases, pin, env = {} }: Omit<KeyRingOptions, 'keysDirectory'>): SignerAccess {
  return { name, passphrases, pin: pin ?? passphraseFrom({ env: {} }, PIN), env };
}

function refuseUnknown(name: string, files: readonly KeyFile[], directory: string): void {
  if (files.some((file) => file.name === name)) return;
  const names = files.map((file) => file.name).join(', ');
  throw new GantryError(
    'keys/missing',
    `Cannot find the private key ${quote(name)} in ${quote(directory)}; expected ${names === '' ? 'a key there' : `one of ${names}`}`,
    { name, path: directory },
  );
}

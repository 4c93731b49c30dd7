/**
 * Key files: `NAME.pem` (private, 0600) and `NAME.pub.pem` (SPKI), side by side.
 *
 * Rules:
 * - a private key is never overwritten, and never read when others can read it too;
 * - a passphrase is asked for only when a file is encrypted;
 * - the public half tells which key it is, so nothing is decrypted to find out.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyObject } from 'node:crypto';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { ensurePrivateDirectory, writeNewFile } from '../files/atomic.ts';
import { fromSystemError, readWholeFile } from '../files/read.ts';
import { keyIdOf, publicKeyFromKeyObject, publicKeyFromPem, publicKeyToPem } from '../tuf/key.ts';
import type { KeyId, PublicKey } from '../tuf/types.ts';
import { signerFromKeyObject } from './key-signer.ts';
import { encryptPrivateKey, plainPrivateKey, readPrivateKey } from './pkcs8.ts';
import type { Signer } from './signer.ts';

const KEY_FILE_MAX_BYTES = 1 << 16;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/u;
const PUBLIC_SUFFIX = '.pub.pem';

/** A key of which the public half is at hand. */
export interface KeyFile {
  readonly name: string;
  readonly keyId: KeyId;
  readonly key: PublicKey;
  /** Absent when the private half is elsewhere. */
  readonly privatePath?: string;
}

/** @throws GantryError `keys/bad-name` */
export function checkKeyName(name: string): string {
  if (NAME.test(name)) return name;
  throw new GantryError('keys/bad-name', `Cannot name a key ${quote(name)}: expected letters, digits, - and _, starting with a letter or digit, at most 64`, {
    name,
  });
}

/**
 * @param options.passphrase `undefined` writes the private key as it is: only when a person asked for that
 * @throws GantryError `keys/exists`, `keys/bad-name`, `files/…`
 */
export async function writeKeyFile(
  directory: string,
  name: string,
  privateKey: KeyObject,
  options: { readonly passphrase: string | undefined },
): Promise<Required<KeyFile>> {
  const privatePath = join(directory, `${checkKeyName(name)}.pem`);
  const key = publicKeyFromKeyObject(privateKey);
  const text = options.passphrase === undefined ? plainPrivateKey(privateKey) : await encryptPrivateKey(privateKey, options.passphrase);
  await ensurePrivateDirectory(directory);
  try {
    await writeNewFile(privatePath, text, { mode: 0o600 });
    await writeNewFile(join(directory, `${name}${PUBLIC_SUFFIX}`), publicKeyToPem(key)).catch(async (error: unknown) => {
      await rm(privatePath, { force: true });
      throw error;
    });
  } catch (cause) {
    if (!isGantryError(cause, 'files/exists')) throw cause;
    throw new GantryError('keys/exists', `Cannot make the key ${quote(name)}: ${quote(cause.details.path)} exists already`, { name, path: cause.details.path }, { cause });
  }
  return { name, key, keyId: keyIdOf(key), privatePath };
}

/** @throws GantryError `files/missing`, `tuf/malformed`, `tuf/key-unsupported` */
export async function readPublicKeyFile(path: string): Promise<PublicKey> {
  return publicKeyFromPem(await readText(path));
}

/** Every key with a public half in the directory, by name; none when there is no directory. */
export async function listKeyFiles(directory: string): Promise<readonly KeyFile[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    const known = fromSystemError(error, directory, 'read');
    if (isGantryError(known, 'files/missing')) return [];
    throw known;
  });
  const present = new Set(names);
  const keys = names.filter((name) => name.endsWith(PUBLIC_SUFFIX)).map((name) => name.slice(0, -PUBLIC_SUFFIX.length));
  return Promise.all(
    keys.toSorted().map(async (name) => {
      const key = await readPublicKeyFile(join(directory, `${name}${PUBLIC_SUFFIX}`));
      const privatePath = present.has(`${name}.pem`) ? { privatePath: join(directory, `${name}.pem`) } : {};
      return { name, key, keyId: keyIdOf(key), ...privatePath };
    }),
  );
}

export interface OpenKeyOptions {
  /** What a person calls the key. */
  readonly name: string;
  /** The key that it must turn out to be. */
  readonly expected?: KeyId;
  readonly passphrase: (path: string) => Promise<string>;
}

/**
 * @throws GantryError `keys/missing`, `files/exposed`, `keys/passphrase-wrong`, `keys/unreadable`, `keys/unsupported`, `keys/mismatch`
 */
export async function openKeySigner(path: string, options: OpenKeyOptions): Promise<Signer> {
  await refuseExposed(path, options.name);
  const privateKey = await readPrivateKey(await readText(path), path, async () => options.passphrase(path));
  const signer = signerFromKeyObject(privateKey);
  const { expected, name } = options;
  if (expected === undefined || signer.keyId === expected) return signer;
  throw new GantryError(
    'keys/mismatch',
    `Cannot sign with ${quote(path)}: it holds the key ${signer.keyId.slice(0, 12)}…; expected ${expected.slice(0, 12)}… as ${quote(name)}`,
    { name, expected, found: signer.keyId },
  );
}

async function refuseExposed(path: string, name: string): Promise<void> {
  let mode: number;
  try {
    ({ mode } = await stat(path));
  } catch (error) {
    const known = fromSystemError(error, path, 'read');
    if (!isGantryError(known, 'files/missing')) throw known;
    throw new GantryError('keys/missing', `Cannot find the key ${quote(name)}: there is no ${quote(path)}`, { name, path }, { cause: error });
  }
  const others = mode & 0o077;
  if (others === 0) return;
  const octal = (mode & 0o777).toString(8);
  throw new GantryError('files/exposed', `Cannot use the key ${quote(path)}: its mode is ${octal}, so others can read it; expected 600`, {
    path,
    mode: octal,
  });
}

async function readText(path: string): Promise<string> {
  return Buffer.from(await readWholeFile(path, { maxBytes: KEY_FILE_MAX_BYTES })).toString('utf8');
}

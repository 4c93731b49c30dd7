/**
 * Key files: `NAME.pem` (private, 0600) and `NAME.pub.pem` (SPKI), side by side. Where the private half is not in a file, `NAME.signer`
 * has one line instead that says where it is (reference.ts).
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
import { refuseExposed } from './exposed.ts';
import { signerFromKeyObject } from './key-signer.ts';
import type { PassphraseSource } from './passphrase.ts';
import { encodePem, readPemBlock, unreadable } from './pem.ts';
import { checkPassphrase, encryptPrivateKey, isEncrypted, plainPrivateKey, readPrivateKey, unsupportedKind } from './pkcs8.ts';
import type { Signer } from './signer.ts';

const KEY_FILE_MAX_BYTES = 1 << 16;
// `x.pub` is not a name: its private file would take the place of the public one of `x`.
const NAME = /^(?!.*\.pub$)[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/u;
const PUBLIC_SUFFIX = '.pub.pem';
const PRIVATE_SUFFIX = '.pem';
const SIGNER_SUFFIX = '.signer';

/** A key of which the public half is at hand. */
export interface KeyFile {
  readonly name: string;
  readonly keyId: KeyId;
  readonly key: PublicKey;
  /** Absent when the private half is in no file here. */
  readonly privatePath?: string;
  /** A URL that says where else it can be reached. */
  readonly reference?: string;
  /** Whether the private half needs a passphrase; absent when it is elsewhere or cannot be read. */
  readonly encrypted?: boolean;
}

/** A key of which both halves were just written. */
export interface WrittenKeyFile extends Required<Omit<KeyFile, 'reference'>> {
  readonly publicPath: string;
}

/** Whether its private half can be reached from here. */
export function isAtHand({ privatePath, reference }: KeyFile): boolean {
  return privatePath !== undefined || reference !== undefined;
}

/** @throws GantryError `keys/bad-name` */
export function checkKeyName(name: string): string {
  if (NAME.test(name)) return name;
  throw new GantryError(
    'keys/bad-name',
    `Cannot name a key ${quote(name)}: expected letters, digits, ".", "_" and "-", starting with a letter or digit, not ending with .pub, at most 64`,
    { name },
  );
}

/**
 * Writes both halves, or none. A directory that is made for them is its owner's alone (0700).
 *
 * @param options.passphrase `undefined` writes the private key as it is: only when a person asked for that
 * @throws GantryError `keys/exists`, `keys/bad-name`, `keys/passphrase-needed`, `tuf/key-unsupported`, `files/…`
 */
export async function writeKeyFile(
  directory: string,
  name: string,
  privateKey: KeyObject,
  options: { readonly passphrase: string | undefined },
): Promise<WrittenKeyFile> {
  const privatePath = join(directory, `${checkKeyName(name)}${PRIVATE_SUFFIX}`);
  const key = publicKeyFromKeyObject(privateKey);
  const { passphrase } = options;
  const text =
    passphrase === undefined ? plainPrivateKey(privateKey) : await encryptPrivateKey(privateKey, checkPassphrase(passphrase, privatePath));
  const publicPath = await writeHalves(directory, { name, key }, { path: privatePath, text, mode: 0o600 });
  return { name, key, keyId: keyIdOf(key), privatePath, publicPath, encrypted: passphrase !== undefined };
}

/** A key of which a line here says where it is. */
export interface WrittenSignerFile {
  readonly keyId: KeyId;
  readonly signerPath: string;
  readonly publicPath: string;
}

/**
 * Writes where a key is to be found, beside its public half, or nothing.
 *
 * @throws GantryError `keys/exists`, `keys/bad-name`, `files/…`
 */
export async function writeSignerFile(directory: string, name: string, key: PublicKey, reference: string): Promise<WrittenSignerFile> {
  const signerPath = join(directory, `${checkKeyName(name)}${SIGNER_SUFFIX}`);
  const publicPath = await writeHalves(directory, { name, key }, { path: signerPath, text: `${reference}\n`, mode: 0o644 });
  return { keyId: keyIdOf(key), signerPath, publicPath };
}

/** The half that signs and the public one, or none. @returns where the public half is */
async function writeHalves(
  directory: string,
  { name, key }: Pick<KeyFile, 'name' | 'key'>,
  { path, text, mode }: { readonly path: string; readonly text: string; readonly mode: number },
): Promise<string> {
  const publicPath = join(directory, `${name}${PUBLIC_SUFFIX}`);
  await ensurePrivateDirectory(directory);
  await refuseTaken(name, async () => writeNewFile(path, text, { mode }));
  try {
    await refuseTaken(name, async () => writeNewFile(publicPath, publicKeyToPem(key)));
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
  return publicPath;
}

async function refuseTaken(name: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    if (!isGantryError(cause, 'files/exists')) throw cause;
    const { path } = cause.details;
    throw new GantryError(
      'keys/exists',
      `Cannot make the key ${quote(name)}: ${quote(path)} exists already; expected a new name`,
      { name, path },
      { cause },
    );
  }
}

/**
 * Brings a key of openssl's into a keys directory: PKCS#8, encrypted or not.
 *
 * @param source stays as it is
 * @param target.passphrase what the copy is encrypted with; `undefined` writes it as it is
 * @param passphrase of the source, asked for only when it is encrypted
 * @throws GantryError like `openKeySigner` and `writeKeyFile`
 */
export async function importKeyFile(
  source: string,
  target: { readonly directory: string; readonly name: string; readonly passphrase: string | undefined },
  passphrase: (path: string) => Promise<string>,
): Promise<WrittenKeyFile> {
  const privateKey = await readPrivateFile(source, checkKeyName(target.name), passphrase);
  return writeKeyFile(target.directory, target.name, privateKey, { passphrase: target.passphrase });
}

/**
 * A public key in SPKI PEM, as `openssl pkey -pubout` writes it.
 *
 * @throws GantryError `files/missing`, `files/not-readable`, `keys/unreadable`, `keys/unsupported`
 */
export async function readPublicKeyFile(path: string): Promise<PublicKey> {
  const { label, der } = readPemBlock(await readText(path), ['PUBLIC KEY'], path);
  try {
    return publicKeyFromPem(encodePem(label, der));
  } catch (cause) {
    if (isGantryError(cause, 'tuf/key-unsupported')) throw unsupportedKind(path, cause);
    throw unreadable(path, 'it holds no public key that openssl knows', cause);
  }
}

/**
 * Every key with a public half in the directory, by name; none when there is no directory. Nothing is decrypted.
 *
 * @throws GantryError like `readPublicKeyFile`
 */
export async function listKeyFiles(directory: string): Promise<readonly KeyFile[]> {
  const files = await readdir(directory).catch((error: unknown) => {
    const known = fromSystemError(error, directory, 'read');
    if (isGantryError(known, 'files/missing')) return [];
    throw known;
  });
  const present = new Set(files);
  const names = files.filter((file) => file.endsWith(PUBLIC_SUFFIX)).map((file) => file.slice(0, -PUBLIC_SUFFIX.length));
  return Promise.all(
    names
      .filter((name) => NAME.test(name))
      .toSorted()
      .map(async (name) => {
        const key = await readPublicKeyFile(join(directory, `${name}${PUBLIC_SUFFIX}`));
        return { name, key, keyId: keyIdOf(key), ...(await privateHalf(directory, name, present)) };
      }),
  );
}

async function privateHalf(
  directory: string,
  name: string,
  present: ReadonlySet<string>,
): Promise<Pick<KeyFile, 'privatePath' | 'encrypted' | 'reference'>> {
  const files = { private: `${name}${PRIVATE_SUFFIX}`, signer: `${name}${SIGNER_SUFFIX}` };
  if (present.has(files.private)) return describePrivate(join(directory, files.private));
  if (!present.has(files.signer)) return {};
  const [reference = ''] = (await readText(join(directory, files.signer))).split('\n');
  return { reference: reference.trim() };
}

async function describePrivate(privatePath: string): Promise<Pick<KeyFile, 'privatePath' | 'encrypted'>> {
  try {
    return { privatePath, encrypted: isEncrypted(await readText(privatePath), privatePath) };
  } catch (error) {
    // A listing goes on; whoever wants to sign with this key is told what is wrong with it.
    if (error instanceof GantryError) return { privatePath };
    throw error;
  }
}

export interface OpenKeyOptions {
  /** What a person calls the key. */
  readonly name: string;
  /** The key that it must turn out to be. */
  readonly expected?: KeyId;
  readonly passphrase: (path: string) => Promise<string>;
}

/**
 * A signer for a private key file: PKCS#8, encrypted or not.
 *
 * @throws GantryError `keys/missing`, `files/exposed`, `keys/passphrase-wrong`, `keys/passphrase-needed`, `keys/unreadable`,
 *   `keys/unsupported`, `keys/mismatch`
 */
export async function openKeySigner(path: string, options: OpenKeyOptions): Promise<Signer> {
  const { expected, name } = options;
  const signer = signerFromKeyObject(await readPrivateFile(path, name, options.passphrase));
  if (expected === undefined || signer.keyId === expected) return signer;
  throw new GantryError(
    'keys/mismatch',
    `Cannot sign with ${quote(path)}: it holds the key ${signer.keyId.slice(0, 12)}…; expected ${expected.slice(0, 12)}… as ${quote(name)}`,
    { name, expected, found: signer.keyId },
  );
}

/** The same, asking as often as it is worth. */
export async function openKeyFile(
  path: string,
  { passphrases, ...options }: Omit<OpenKeyOptions, 'passphrase'> & { readonly passphrases: PassphraseSource },
): Promise<Signer> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await openKeySigner(path, { ...options, passphrase: async (asked) => passphrases.ask(asked, attempt) });
    } catch (error) {
      if (!isGantryError(error, 'keys/passphrase-wrong') || attempt + 1 >= passphrases.tries) throw error;
    }
  }
}

async function readPrivateFile(path: string, name: string, passphrase: (path: string) => Promise<string>): Promise<KeyObject> {
  try {
    refuseExposed(await stat(path), path, 'key');
  } catch (error) {
    const known = fromSystemError(error, path, 'read');
    if (!isGantryError(known, 'files/missing')) throw known;
    throw new GantryError(
      'keys/missing',
      `Cannot find the key ${quote(name)}: there is no ${quote(path)}`,
      { name, path },
      { cause: error },
    );
  }
  return readPrivateKey(await readText(path), path, async () => passphrase(path));
}

async function readText(path: string): Promise<string> {
  return Buffer.from(await readWholeFile(path, { maxBytes: KEY_FILE_MAX_BYTES })).toString('utf8');
}

/**
 * Private keys in PKCS#8 PEM: encrypted ones, which we write, and what else we read.
 *
 * Rules:
 * - Node's own export derives the key with PBKDF2 and 2,048 rounds, so the encryption is ours (`pbes2.ts`); opening is
 *   Node's, which is OpenSSL: what openssl wrote opens here, and what we write opens there;
 * - a passphrase is text in Unicode's NFC form, as UTF-8, so that the same word typed on another system opens the file;
 *   one that openssl was given in another form is tried as it is, too;
 * - OpenSSL reads passphrases up to 1,024 bytes: a longer one would lock a key for good, so it is refused.
 */
import { createCipheriv, createPrivateKey, randomBytes, scrypt, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { publicKeyFromKeyObject } from '../tuf/key.ts';
import { checkEncryptedKey, encodeEncryptedKey, refuseBrokenDer, type ScryptCost } from './pbes2.ts';
import { encodePem, readPemBlock, unreadable, unsupportedKey } from './pem.ts';

const COST: ScryptCost = { N: 2 ** 14, r: 8, p: 5 };
const KEY_BYTES = 32;
const SALT_BYTES = 16;
const IV_BYTES = 16;
const SCRYPT_MAX_MEMORY = 64 << 20;
const PASSPHRASE_MAX_BYTES = 1024;
const ENCRYPTED = 'ENCRYPTED PRIVATE KEY';
const PLAIN = 'PRIVATE KEY';
/** What OpenSSL wrote before PKCS#8: PKCS#1 and SEC1. */
const TRADITIONAL: Readonly<Record<string, 'pkcs1' | 'sec1'>> = { 'RSA PRIVATE KEY': 'pkcs1', 'EC PRIVATE KEY': 'sec1' };

const derive = promisify<Buffer, Uint8Array, number, ScryptCost & { readonly maxmem: number }, Buffer>(scrypt);

/** Why a passphrase is of no use; undefined for a good one. */
export function passphraseProblem(passphrase: string): string | undefined {
  if (passphrase === '') return 'it is empty; expected at least one character';
  const { length } = passphraseBytes(passphrase);
  return length > PASSPHRASE_MAX_BYTES
    ? `it has ${length} bytes; expected at most ${PASSPHRASE_MAX_BYTES}, which openssl can read`
    : undefined;
}

/** @throws GantryError `keys/passphrase-needed` for an empty or an overlong one; it is never quoted */
export function checkPassphrase(passphrase: string, path: string): string {
  const problem = passphraseProblem(passphrase);
  if (problem === undefined) return passphrase;
  throw new GantryError('keys/passphrase-needed', `Cannot use the passphrase for ${quote(path)}: ${problem}`, { path });
}

/**
 * @param passphrase in any normal form; NFC is what counts
 * @returns PEM, `BEGIN ENCRYPTED PRIVATE KEY`
 * @throws RangeError for a passphrase that `passphraseProblem` objects to
 */
export async function encryptPrivateKey(key: KeyObject, passphrase: string): Promise<string> {
  const problem = passphraseProblem(passphrase);
  if (problem !== undefined) throw new RangeError(`Cannot use the passphrase: ${problem}`);
  const salt = randomBytes(SALT_BYTES);
  const iv = randomBytes(IV_BYTES);
  const encryptionKey = await derive(passphraseBytes(passphrase), salt, KEY_BYTES, { ...COST, maxmem: SCRYPT_MAX_MEMORY });
  const cipher = createCipheriv('aes-256-cbc', encryptionKey, iv);
  const encrypted = Buffer.concat([cipher.update(key.export({ format: 'der', type: 'pkcs8' })), cipher.final()]);
  return encodePem(ENCRYPTED, encodeEncryptedKey({ salt, cost: COST, keyBytes: KEY_BYTES, iv, encrypted }));
}

/** PKCS#8 as it is, `BEGIN PRIVATE KEY`. */
export function plainPrivateKey(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' });
}

/** True for PEM that needs a passphrase. @throws GantryError `keys/unreadable`, `keys/unsupported` */
export function isEncrypted(pem: string, path: string): boolean {
  return readPemBlock(pem, [ENCRYPTED, PLAIN], path).label === ENCRYPTED;
}

/**
 * Opens what we wrote, and what `openssl pkcs8 -topk8` writes (PBES2 with PBKDF2 or scrypt).
 *
 * @param path for messages
 * @throws GantryError `keys/passphrase-wrong`, `keys/passphrase-needed`, `keys/unreadable`, `keys/unsupported`
 */
export async function decryptPrivateKey(pem: string, passphrase: string, path: string): Promise<KeyObject> {
  const { der } = readPemBlock(pem, [ENCRYPTED], path);
  checkEncryptedKey(der, path);
  checkPassphrase(passphrase, path);
  // As typed comes second, for files that openssl wrote with a passphrase in another normal form.
  for (const text of new Set([passphrase.normalize('NFC'), passphrase])) {
    const key = open(der, Buffer.from(text, 'utf8'));
    if (key !== undefined) return supported(key, path);
  }
  throw new GantryError(
    'keys/passphrase-wrong',
    `Cannot open the key ${quote(path)}: the passphrase is wrong, or the file is damaged; expected the passphrase that it was encrypted with`,
    { path },
  );
}

/**
 * The key in a PKCS#8 PEM file, encrypted or not.
 *
 * @param path for messages
 * @param passphrase asked for only when the file is encrypted, and well-formed
 * @throws GantryError like `decryptPrivateKey`
 */
export async function readPrivateKey(pem: string, path: string, passphrase: () => Promise<string>): Promise<KeyObject> {
  const { label, der } = readPemBlock(pem, [ENCRYPTED, PLAIN], path);
  if (label === PLAIN) return parsePlain(der, path);
  checkEncryptedKey(der, path);
  return decryptPrivateKey(pem, await passphrase(), path);
}

/** Like `readPrivateKey`, for a key that other tools keep: PKCS#1 and SEC1 as well. @throws GantryError like `readPrivateKey` */
export async function readForeignPrivateKey(pem: string, path: string, passphrase: () => Promise<string>): Promise<KeyObject> {
  const { label, der } = readPemBlock(pem, [ENCRYPTED, PLAIN, ...Object.keys(TRADITIONAL)], path);
  const type = TRADITIONAL[label];
  return type === undefined ? readPrivateKey(pem, path, passphrase) : parsePlain(der, path, type);
}

function passphraseBytes(passphrase: string): Buffer {
  return Buffer.from(passphrase.normalize('NFC'), 'utf8');
}

function open(der: Buffer, passphrase: Buffer): KeyObject | undefined {
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8', passphrase });
  } catch {
    // What a cipher says about a wrong passphrase helps nobody, and the structure has been checked.
    return undefined;
  }
}

function parsePlain(der: Buffer, path: string, type: 'pkcs8' | 'pkcs1' | 'sec1' = 'pkcs8'): KeyObject {
  refuseBrokenDer(der, path);
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: der, format: 'der', type });
  } catch (cause) {
    throw unreadable(path, 'it holds no private key that openssl knows', cause);
  }
  return supported(key, path);
}

function supported(key: KeyObject, path: string): KeyObject {
  try {
    publicKeyFromKeyObject(key);
    return key;
  } catch (cause) {
    if (!isGantryError(cause, 'tuf/key-unsupported')) throw unreadable(path, 'it holds a broken key', cause);
    throw unsupportedKind(path, cause);
  }
}

/** No conversion makes another kind of key of a key, so the way out is a new one. */
export function unsupportedKind(path: string, cause: GantryError<'tuf/key-unsupported'>): GantryError {
  const { keytype } = cause.details;
  return unsupportedKey(
    path,
    `a key of an unsupported kind (${quote(keytype)})`,
    'make a new one: openssl genpkey -algorithm ed25519 -out NEW.pem',
  );
}

/**
 * Private keys in PEM: encrypted PKCS#8 that we write, and what else we read.
 *
 * Node's own export derives the key with PBKDF2 and 2,048 rounds. Ours is PBES2 with scrypt, N=2^14, r=8, p=5 (RFC 7914 §7, the
 * parameters of `openssl pkcs8 -scrypt`) and AES-256-CBC (RFC 8018); `openssl pkey` opens it.
 */
import { createCipheriv, createPrivateKey, randomBytes, scrypt, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { Integer, ObjectIdentifier, OctetString, Sequence, fromBER } from 'asn1js';
import { GantryError, quote } from '../errors.ts';
import { publicKeyFromKeyObject } from '../tuf/key.ts';

const OID = { pbes2: '1.2.840.113549.1.5.13', scrypt: '1.3.6.1.4.1.11591.4.11', aes256cbc: '2.16.840.1.101.3.4.1.42' };
const SCRYPT = { N: 2 ** 14, r: 8, p: 5, keyBytes: 32, maxmem: 64 << 20 };
const SALT_BYTES = 16;
const IV_BYTES = 16;
const derive = promisify<string, Uint8Array, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt);

/**
 * Passphrases are compared as NFC, so that the same word typed on another system opens the file.
 *
 * @returns PEM, `BEGIN ENCRYPTED PRIVATE KEY`
 */
export async function encryptPrivateKey(key: KeyObject, passphrase: string): Promise<string> {
  if (passphrase === '') throw new RangeError('a passphrase has at least one character');
  const salt = randomBytes(SALT_BYTES);
  const iv = randomBytes(IV_BYTES);
  const { keyBytes, ...parameters } = SCRYPT;
  const encryptionKey = await derive(passphrase.normalize('NFC'), salt, keyBytes, parameters);
  const cipher = createCipheriv('aes-256-cbc', encryptionKey, iv);
  const encrypted = Buffer.concat([cipher.update(key.export({ format: 'der', type: 'pkcs8' })), cipher.final()]);
  const derivation = algorithm(OID.scrypt, [
    new OctetString({ valueHex: arrayBufferOf(salt) }),
    new Integer({ value: SCRYPT.N }),
    new Integer({ value: SCRYPT.r }),
    new Integer({ value: SCRYPT.p }),
    new Integer({ value: SCRYPT.keyBytes }),
  ]);
  const scheme = new Sequence({
    value: [new ObjectIdentifier({ value: OID.aes256cbc }), new OctetString({ valueHex: arrayBufferOf(iv) })],
  });
  const info = new Sequence({
    value: [algorithm(OID.pbes2, [derivation, scheme]), new OctetString({ valueHex: arrayBufferOf(encrypted) })],
  });
  return pem('ENCRYPTED PRIVATE KEY', Buffer.from(info.toBER()));
}

export function plainPrivateKey(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString();
}

function algorithm(oid: string, parameters: Sequence['valueBlock']['value']): Sequence {
  return new Sequence({ value: [new ObjectIdentifier({ value: oid }), new Sequence({ value: parameters })] });
}

function arrayBufferOf(bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/gu) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

const LABEL = /-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]+?)-----END \1-----/u;

/** True for a PEM file that needs a passphrase. @throws GantryError `keys/unreadable`, `keys/unsupported` */
export function isEncrypted(text: string, path: string): boolean {
  return readPem(text, path).label === 'ENCRYPTED PRIVATE KEY';
}

/**
 * The key in a PKCS#8 PEM file: encrypted by us, by openssl (PBES2 with PBKDF2 or scrypt), or not at all.
 *
 * @param passphrase asked for only when the file is encrypted
 * @throws GantryError `keys/passphrase-wrong`, `keys/unreadable`, `keys/unsupported`, `tuf/key-unsupported`
 */
export async function readPrivateKey(text: string, path: string, passphrase: () => Promise<string>): Promise<KeyObject> {
  const { label } = readPem(text, path);
  const key = label === 'ENCRYPTED PRIVATE KEY' ? decrypt(text, path, await passphrase()) : parsePlain(text, path);
  publicKeyFromKeyObject(key);
  return key;
}

function decrypt(text: string, path: string, passphrase: string): KeyObject {
  try {
    return createPrivateKey({ key: text, format: 'pem', passphrase: Buffer.from(passphrase.normalize('NFC'), 'utf8') });
  } catch (cause) {
    // The cause is dropped on purpose: what a cipher says of a wrong passphrase helps nobody.
    const known = cause instanceof Error && 'code' in cause && cause.code === 'ERR_OSSL_EVP_UNSUPPORTED';
    if (known) throw unsupported(path, 'a cipher that is no longer supported');
    throw new GantryError('keys/passphrase-wrong', `Cannot open the key ${quote(path)}: the passphrase is wrong`, { path });
  }
}

function parsePlain(text: string, path: string): KeyObject {
  try {
    return createPrivateKey({ key: text, format: 'pem' });
  } catch (cause) {
    throw unreadable(path, 'its content is damaged', cause);
  }
}

function readPem(text: string, path: string): { readonly label: string } {
  const [, label, body] = LABEL.exec(text) ?? [];
  if (label === undefined || body === undefined) throw unreadable(path, 'it is not PEM');
  if (label !== 'ENCRYPTED PRIVATE KEY' && label !== 'PRIVATE KEY') throw unsupported(path, label);
  const der = Buffer.from(body, 'base64');
  // An outer structure that is broken must not be blamed on the passphrase.
  if (fromBER(arrayBufferOf(der)).offset !== der.length) throw unreadable(path, 'its content is damaged');
  return { label };
}

function unreadable(path: string, problem: string, cause?: unknown): GantryError {
  return new GantryError('keys/unreadable', `Cannot read the key ${quote(path)}: ${problem}; expected a PKCS#8 PEM file`, { path }, { cause });
}

function unsupported(path: string, found: string): GantryError {
  return new GantryError(
    'keys/unsupported',
    `Cannot read the key ${quote(path)}: it is ${quote(found)}; expected PKCS#8 (BEGIN PRIVATE KEY or BEGIN ENCRYPTED PRIVATE KEY)`,
    { path, found },
  );
}

/**
 * PEM files (RFC 7468), and what to do with a key that is in another form.
 *
 * Rules:
 * - a file holds one block, in strict base64; text around it is ignored, as openssl does;
 * - what is refused is named, together with the command that makes something of it that is accepted.
 */
import { GantryError, quote } from '../errors.ts';

/** A block that was cut out of a file, not looked into. */
export interface PemBlock {
  readonly label: string;
  readonly der: Buffer;
}

const BEGIN = /^-----BEGIN ([A-Z0-9 ]{1,40})-----[ \t]*$/mu;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/u;
const SSH_PUBLIC = /^(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ AAAA/u;
const LINE_CHARACTERS = 64;

export function encodePem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der).toString('base64');
  const lines: string[] = [];
  for (let at = 0; at < base64.length; at += LINE_CHARACTERS) lines.push(base64.slice(at, at + LINE_CHARACTERS));
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/**
 * @param accepted the labels that the caller can read
 * @param path for messages
 * @throws GantryError `keys/unreadable`, `keys/unsupported`
 */
export function readPemBlock(text: string, accepted: readonly string[], path: string): PemBlock {
  const unix = text.replaceAll('\r\n', '\n').replace(/^\ufeff/u, '');
  const begin = BEGIN.exec(unix);
  const [line = '', label] = begin ?? [];
  if (begin === null || label === undefined) {
    if (SSH_PUBLIC.test(unix)) throw unsupportedForm('SSH PUBLIC KEY', path);
    throw unreadable(path, 'it is not PEM');
  }
  if (!accepted.includes(label)) throw unsupportedForm(label, path);
  const start = begin.index + line.length;
  const end = unix.indexOf(`-----END ${label}-----`, start);
  if (end === -1) throw unreadable(path, `its END ${label} line is missing`);
  const body = unix.slice(start, end).replaceAll(/[ \t\n]/gu, '');
  if (body.length % 4 !== 0 || !BASE64.test(body)) throw unreadable(path, 'its base64 is damaged');
  return { label, der: Buffer.from(body, 'base64') };
}

/** What a label is called by people, and how it becomes a file that Gantry reads. */
const FORMS: Readonly<Record<string, { readonly found: string; readonly remedy: (path: string) => string }>> = {
  'RSA PRIVATE KEY': { found: 'PKCS#1 (BEGIN RSA PRIVATE KEY)', remedy: toPkcs8 },
  'EC PRIVATE KEY': { found: 'SEC1 (BEGIN EC PRIVATE KEY)', remedy: toPkcs8 },
  'EC PARAMETERS': { found: 'SEC1 (BEGIN EC PARAMETERS)', remedy: toPkcs8 },
  'OPENSSH PRIVATE KEY': {
    found: 'an OpenSSH key',
    remedy: () =>
      'openssl cannot read it; RSA and ECDSA P-256: convert a copy with ssh-keygen -p -m PKCS8 -f COPY; ' +
      'ed25519: make a new key with openssl genpkey -algorithm ed25519 -out NEW.pem',
  },
  'PUBLIC KEY': { found: 'a public key', remedy: () => 'give the private half, which openssl genpkey wrote' },
  'PRIVATE KEY': { found: 'a private key', remedy: toPublic },
  'ENCRYPTED PRIVATE KEY': { found: 'an encrypted private key', remedy: toPublic },
  'RSA PUBLIC KEY': {
    found: 'PKCS#1 (BEGIN RSA PUBLIC KEY)',
    remedy: (path) => `convert it: openssl rsa -RSAPublicKey_in -in ${quote(path)} -pubout -out NEW.pub.pem`,
  },
  CERTIFICATE: {
    found: 'a certificate',
    remedy: (path) => `take its key: openssl x509 -in ${quote(path)} -pubkey -noout -out NEW.pub.pem`,
  },
  'SSH PUBLIC KEY': {
    found: 'an OpenSSH public key',
    remedy: (path) => `for RSA and ECDSA, convert it: ssh-keygen -e -m PKCS8 -f ${quote(path)} > NEW.pub.pem`,
  },
};

function toPkcs8(path: string): string {
  return `convert it: openssl pkcs8 -topk8 -scrypt -in ${quote(path)} -out NEW.pem`;
}

function toPublic(path: string): string {
  return `take its public half: openssl pkey -in ${quote(path)} -pubout -out NEW.pub.pem`;
}

/** A file whose label is known to be no use here. */
function unsupportedForm(label: string, path: string): GantryError {
  const form = FORMS[label] ?? { found: `BEGIN ${label}`, remedy: toPkcs8 };
  return unsupportedKey(path, form.found, form.remedy(path));
}

/** PKCS#8 that is encrypted in a way that is not accepted. */
export function unsupportedEncryption(path: string, found: string): GantryError {
  return unsupportedKey(path, found, toPkcs8(path));
}

/** @param remedy a command that makes a file which is accepted */
export function unsupportedKey(path: string, found: string, remedy: string): GantryError {
  return new GantryError(
    'keys/unsupported',
    `Cannot read the key ${quote(path)}: it is ${found}; ` +
      `expected PKCS#8 (private) or SPKI (public) PEM of an ed25519, ECDSA P-256 or RSA key of 2048 to 8192 bits (${remedy})`,
    { path, found },
  );
}

export function unreadable(path: string, problem: string, cause?: unknown): GantryError {
  return new GantryError(
    'keys/unreadable',
    `Cannot read the key ${quote(path)}: ${problem}; expected one PKCS#8 or SPKI key in PEM`,
    { path },
    { cause },
  );
}

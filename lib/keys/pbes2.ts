/**
 * The ASN.1 of an encrypted private key: EncryptedPrivateKeyInfo (RFC 5208 §6) with PBES2 (RFC 8018 §6.2).
 *
 * Rules:
 * - what we write is scrypt with N=2^14, r=8, p=5 (RFC 7914 §7) and AES-256-CBC: the parameters of `openssl pkcs8 -scrypt`;
 * - what we read is checked before anything is derived, so that neither a broken file is blamed on the passphrase nor a
 *   count that somebody changed keeps a processor busy for hours.
 */
import { Integer, ObjectIdentifier, OctetString, Sequence, fromBER } from 'asn1js';
import { unreadable, unsupportedEncryption } from './pem.ts';

const OID = {
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
  scrypt: '1.3.6.1.4.1.11591.4.11',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
} as const;
/** AES-128, -192 and -256 in CBC mode. */
const READABLE_CIPHERS: ReadonlySet<string> = new Set(['2.16.840.1.101.3.4.1.2', '2.16.840.1.101.3.4.1.22', OID.aes256Cbc]);

/** OpenSSL refuses scrypt that needs more than 32 MiB. */
const SCRYPT_MAX_BLOCKS = 2 ** 18;
const SCRYPT_MAX_WORK = 2 ** 25;
const PBKDF2_MAX_ROUNDS = 10_000_000;

export interface ScryptCost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

/** DER. @param parts.encrypted PKCS#8, AES-256-CBC with PKCS#7 padding */
export function encodeEncryptedKey(parts: {
  readonly salt: Uint8Array;
  readonly cost: ScryptCost;
  readonly keyBytes: number;
  readonly iv: Uint8Array;
  readonly encrypted: Uint8Array;
}): Uint8Array {
  const { N, r, p } = parts.cost;
  const numbers = [N, r, p, parts.keyBytes].map((value) => new Integer({ value }));
  const derivation = sequence(oid(OID.scrypt), sequence(octets(parts.salt), ...numbers));
  const scheme = sequence(oid(OID.aes256Cbc), octets(parts.iv));
  const info = sequence(sequence(oid(OID.pbes2), sequence(derivation, scheme)), octets(parts.encrypted));
  return new Uint8Array(info.toBER());
}

/**
 * Passes for a key that a passphrase can open at a bearable cost.
 *
 * @param path for messages
 * @throws GantryError `keys/unreadable`, `keys/unsupported`
 */
export function checkEncryptedKey(der: Uint8Array, path: string): void {
  const [algorithm, encrypted] = children(parse(der, path));
  const [scheme, parameters] = children(algorithm);
  if (!(encrypted instanceof OctetString) || !(scheme instanceof ObjectIdentifier)) throw damaged(path);
  if (scheme.getValue() !== OID.pbes2) throw unsupportedEncryption(path, `encrypted with an outdated scheme (${scheme.getValue()})`);
  const [derivation, cipher] = children(parameters);
  checkDerivation(derivation, path);
  const [cipherId] = children(cipher);
  if (!(cipherId instanceof ObjectIdentifier)) throw damaged(path);
  if (!READABLE_CIPHERS.has(cipherId.getValue()))
    throw unsupportedEncryption(path, `encrypted with an outdated cipher (${cipherId.getValue()})`);
}

function checkDerivation(derivation: unknown, path: string): void {
  const [id, parameters] = children(derivation);
  if (!(id instanceof ObjectIdentifier)) throw damaged(path);
  const [salt, ...numbers] = children(parameters);
  if (!(salt instanceof OctetString)) throw damaged(path);
  switch (id.getValue()) {
    case OID.scrypt: {
      const [N, r, p] = [count(numbers[0], path), count(numbers[1], path), count(numbers[2], path)];
      if (N * r < SCRYPT_MAX_BLOCKS && N * r * p <= SCRYPT_MAX_WORK) return;
      throw unsupportedEncryption(path, `encrypted at a cost that openssl does not bear (scrypt with N=${N}, r=${r}, p=${p})`);
    }
    case OID.pbkdf2: {
      const rounds = count(numbers[0], path);
      if (rounds <= PBKDF2_MAX_ROUNDS) return;
      throw unsupportedEncryption(path, `encrypted at too high a cost (PBKDF2 with ${rounds} rounds, more than ${PBKDF2_MAX_ROUNDS})`);
    }
    default:
      throw unsupportedEncryption(path, `encrypted with a key derivation that is unknown (${id.getValue()})`);
  }
}

/** A structure of definite length and nothing behind it. @throws GantryError `keys/unreadable` */
export function refuseBrokenDer(der: Uint8Array, path: string): void {
  parse(der, path);
}

function parse(der: Uint8Array, path: string): unknown {
  let parsed: ReturnType<typeof fromBER>;
  try {
    parsed = fromBER(new Uint8Array(der));
  } catch (cause) {
    // Absurdly deep nesting ends here: the parser is recursive.
    throw unreadable(path, 'its content is damaged', cause);
  }
  if (parsed.offset !== der.length) throw damaged(path);
  return parsed.result;
}

/** The members of a SEQUENCE; none for anything else. */
function children(block: unknown): readonly unknown[] {
  return block instanceof Sequence ? block.valueBlock.value : [];
}

/** A positive INTEGER; one that does not fit is as good as infinite. */
function count(block: unknown, path: string): number {
  if (!(block instanceof Integer)) throw damaged(path);
  const value = block.toBigInt();
  if (value < 1n) throw damaged(path);
  return Number(value);
}

function damaged(path: string): Error {
  return unreadable(path, 'its content is damaged');
}

function sequence(...value: (Integer | ObjectIdentifier | OctetString | Sequence)[]): Sequence {
  return new Sequence({ value });
}

function oid(value: string): ObjectIdentifier {
  return new ObjectIdentifier({ value });
}

function octets(bytes: Uint8Array): OctetString {
  return new OctetString({ valueHex: new Uint8Array(bytes) });
}

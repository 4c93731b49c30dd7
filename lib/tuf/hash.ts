/** SHA-256, the only digest that Gantry writes (tuf-interop rule 10), and the one that it reads beside it. */
import { hash } from 'node:crypto';
import { GantryError, quote } from '../errors.ts';
import type { Sha256Hex, Sha512Hex } from './types.ts';

const SHA256_HEX = /^[0-9a-f]{64}$/u;
const SHA512_HEX = /^[0-9a-f]{128}$/u;

export function sha256Hex(bytes: Uint8Array): Sha256Hex {
  return parseSha256Hex(hash('sha256', bytes, 'hex'));
}

/** @throws GantryError `tuf/malformed` */
export function parseSha256Hex(text: string, at = 'sha256'): Sha256Hex {
  if (isSha256Hex(text)) return text;
  throw new GantryError('tuf/malformed', `Cannot read ${at}: it is ${quote(text)}; expected 64 lowercase hexadecimal digits`, {
    what: 'digest',
    at,
  });
}

export function isSha512Hex(text: unknown): text is Sha512Hex {
  return typeof text === 'string' && SHA512_HEX.test(text);
}

export function isSha256Hex(text: unknown): text is Sha256Hex {
  return typeof text === 'string' && SHA256_HEX.test(text);
}

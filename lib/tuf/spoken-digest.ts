/**
 * The short digest that key holders read to each other before they sign.
 *
 * It is the first half of the SHA-256 of the canonical bytes of a role, in eight groups of four hexadecimal digits. Two people who
 * hear the same one sign the same bytes: even who may choose both texts needs 2^64 tries for two that share it.
 */
import { sha256Hex } from './hash.ts';

const DIGITS = 32;

/** @param payload the canonical bytes that are signed */
export function spokenDigest(payload: Uint8Array): string {
  return sha256Hex(payload)
    .slice(0, DIGITS)
    .replaceAll(/(.{4})(?=.)/gu, '$1 ');
}

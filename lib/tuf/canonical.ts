/**
 * OLPC canonical JSON, the bytes that are signed.
 *
 * The four canonicalisers of the field agree only on a part of JSON (`portable-json.ts`). What we sign stays inside it, so that no
 * client computes other bytes than we did; what others have signed is verified as long as it has one canonical form.
 */
import { canonicalize } from '@tufjs/canonical-json';
import { GantryError } from '../errors.ts';
import { findBreaches, formatPath, type Breach } from './portable-json.ts';

/**
 * What we sign: UTF-8.
 *
 * @throws GantryError `tuf/malformed` for whatever some client would write differently: floats, integers beyond 2^53-1, -0,
 *   `undefined`, objects that are not plain, text that is not NFC, member names that are sorted differently, deep nesting
 */
export function canonicalBytes(value: unknown): Uint8Array {
  return encode(value, ['formless', 'divergent']);
}

/**
 * What somebody else has signed: as `canonicalBytes`, but text and member names on which clients disagree are written as they are.
 *
 * @throws GantryError `tuf/malformed` for what has no canonical form
 */
export function canonicalBytesAsRead(value: unknown): Uint8Array {
  return encode(value, ['formless']);
}

function encode(value: unknown, refused: readonly Breach[]): Uint8Array {
  findBreaches(value, (path, breach, problem) => {
    if (!refused.includes(breach)) return;
    const at = formatPath('value', path);
    throw new GantryError('tuf/malformed', `Cannot canonicalise ${at}: ${problem}; expected what every TUF client writes alike`, {
      what: 'value',
      at,
    });
  });
  return Buffer.from(canonicalize(value), 'utf8');
}

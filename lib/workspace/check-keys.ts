/** Whether the private keys at hand can sign: each signs something that counts for nothing. */
import { randomBytes } from 'node:crypto';
import { isGantryError, type GantryError } from '../errors.ts';
import { isAtHand, listKeyFiles, type KeyFile } from '../keys/key-file.ts';
import { openKeyRing, type KeyRingOptions } from './key-ring.ts';

export interface CheckedKey {
  readonly file: KeyFile;
  /** Absent: it signs. */
  readonly problem?: GantryError;
}

/**
 * One after the other: a person may have to touch something.
 *
 * @param options.only these, or all that are at hand
 * @throws GantryError `keys/missing`
 */
export async function checkKeys(options: KeyRingOptions): Promise<readonly CheckedKey[]> {
  const ring = await openKeyRing(options);
  const files = (await listKeyFiles(options.keysDirectory)).filter((file) => isAtHand(file) && (options.only?.includes(file.name) ?? true));
  const checked: CheckedKey[] = [];
  try {
    for (const file of files) {
      try {
        // No role is such text, whatever it says.
        await (await ring.open(file.key)).sign(Buffer.concat([Buffer.from('gantry key check '), randomBytes(16)]));
        checked.push({ file });
      } catch (problem) {
        if (!isGantryError(problem) || isGantryError(problem, 'aborted')) throw problem;
        checked.push({ file, problem });
      }
    }
    return checked;
  } finally {
    await ring.close();
  }
}

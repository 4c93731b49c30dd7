/** Secrets that lie about: a file that others can read or write is not used. */
import type { Stats } from 'node:fs';
import { GantryError, quote } from '../errors.ts';

/**
 * Pipes and devices pass: their mode says nothing about who can see what comes out of them.
 *
 * @param what for the message, for example `key`
 * @throws GantryError `files/exposed`
 */
export function refuseExposed(found: Stats, path: string, what: string): void {
  if (!found.isFile() || (found.mode & 0o077) === 0) return;
  const mode = (found.mode & 0o777).toString(8).padStart(3, '0');
  throw new GantryError(
    'files/exposed',
    `Cannot use the ${what} ${quote(path)}: its mode is ${mode}, so others can use it too; expected 600`,
    { path, mode },
  );
}

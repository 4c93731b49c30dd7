/** The token that a URL means, among the libraries that may know it. */
import { isGantryError } from '../../errors.ts';
import { CKF } from './constants.ts';
import { ambiguous, noSuchToken, resultOf } from './failures.ts';
import { badLibrary, libraryPaths, openLibrary, type TokenLibrary } from './library.ts';
import type { Pkcs11Reference } from './uri.ts';

/** A token that is plugged in. */
export interface Token {
  readonly slot: Buffer;
  readonly slotId: number;
  readonly label: string;
  readonly serial: string;
  readonly manufacturer: string;
  readonly model: string;
}

/** A token in a library that is initialised; `release` of the library ends both. */
export interface OpenToken extends Token {
  readonly library: TokenLibrary;
}

/** Every token that somebody has set up. @throws GantryError `keys/token-library` */
export function tokensIn({ cryptoki, path }: Pick<TokenLibrary, 'cryptoki' | 'path'>): readonly Token[] {
  try {
    return cryptoki.C_GetSlotList(true).flatMap((slot) => tokenIn(cryptoki, slot));
  } catch (error) {
    const result = resultOf(error);
    if (result === undefined) throw error;
    throw badLibrary(path, `it does not tell its tokens (${result.name})`, error);
  }
}

function tokenIn(cryptoki: TokenLibrary['cryptoki'], slot: Buffer): readonly Token[] {
  try {
    const info = cryptoki.C_GetTokenInfo(slot);
    if ((info.flags & CKF.tokenInitialized) === 0) return [];
    return [
      {
        slot,
        // The machine's own byte order; six bytes are more slots than there are.
        slotId: slot.readUIntLE(0, Math.min(slot.length, 6)),
        label: padded(info.label),
        serial: padded(info.serialNumber),
        manufacturer: padded(info.manufacturerID),
        model: padded(info.model),
      },
    ];
  } catch (error) {
    // Pulled out just now, or a card of another kind: not one that can be used.
    if (resultOf(error) === undefined) throw error;
    return [];
  }
}

/** Fixed fields are filled up with spaces, and by some tokens with NULs. */
function padded(text: string): string {
  return text.replace(/[ \0]+$/u, '');
}

/** @throws GantryError `keys/token-missing`, `keys/token-ambiguous`, `keys/token-library`, `keys/token-support`, `keys/token-failed` */
export async function openToken(
  url: string,
  reference: Pkcs11Reference,
  env: Readonly<Record<string, string | undefined>>,
): Promise<OpenToken> {
  const paths = await libraryPaths(reference.modulePath, env);
  const labels = new Set<string>();
  for (const path of paths) {
    const library = await openOneOf(path, paths.length);
    if (library === undefined) continue;
    let token: Token | undefined;
    try {
      const tokens = tokensIn(library);
      for (const { label } of tokens) labels.add(label);
      const fitting = tokens.filter((one) => fits(one, reference));
      if (fitting.length > 1)
        throw ambiguous(
          url,
          'tokens',
          fitting.map(({ label, serial }) => `${label} (serial ${serial})`),
        );
      [token] = fitting;
    } finally {
      if (token === undefined) library.release();
    }
    if (token !== undefined) return { ...token, library };
  }
  throw noSuchToken(url, [...labels]);
}

/** One of the usual places that does not work does not matter, unless it is the only one. */
export async function openOneOf(path: string, count: number): Promise<TokenLibrary | undefined> {
  try {
    return await openLibrary(path);
  } catch (error) {
    if (count > 1 && isGantryError(error, 'keys/token-library')) return undefined;
    throw error;
  }
}

function fits(found: Token, { token, serial, slotId, manufacturer, model }: Pkcs11Reference): boolean {
  return (
    (token === undefined || token === found.label) &&
    (serial === undefined || serial === found.serial) &&
    (slotId === undefined || slotId === found.slotId) &&
    (manufacturer === undefined || manufacturer === found.manufacturer) &&
    (model === undefined || model === found.model)
  );
}

/**
 * What is in the tokens of this machine, and the URL of each key.
 *
 * Rules:
 * - nobody is asked for a PIN: a list of tokens must not be what locks one; most tokens show public keys without;
 * - a token that two libraries know is listed once.
 */
import { isGantryError } from '../../errors.ts';
import { keyIdOf } from '../../tuf/key.ts';
import type { KeyId, PublicKey } from '../../tuf/types.ts';
import { CKF } from './constants.ts';
import { resultOf } from './failures.ts';
import { libraryPaths } from './library.ts';
import { keysIn, type FoundKey } from './objects.ts';
import { openSession } from './session.ts';
import { openOneOf, tokensIn, type OpenToken, type Token } from './token.ts';
import { pkcs11Url } from './uri.ts';

/** A key of which at least one half is visible without a PIN. */
export interface TokenKey {
  readonly label: string;
  /** `CKA_ID`, lowercase hexadecimal. */
  readonly id: string;
  /** Absent when it is not visible, or none that can sign here. */
  readonly key?: PublicKey;
  readonly keyId?: KeyId;
  /** Why it cannot sign here. */
  readonly problem?: string;
  /** Absent when only a login tells. */
  readonly maySign?: boolean;
  /** Names this key, on this machine. */
  readonly url: string;
}

/** A token that is plugged in and set up. */
export interface ListedToken extends Omit<Token, 'slot'> {
  /** The library that knows it. */
  readonly library: string;
  /** Names the token; with `;object=LABEL` a key that is yet to be made. */
  readonly url: string;
  readonly keys: readonly TokenKey[];
}

/**
 * @param options.modulePath a library; without one `GANTRY_PKCS11_MODULE` or the usual places
 * @throws GantryError `keys/token-library`, `keys/token-support`
 */
export async function listPkcs11Keys(options: {
  readonly modulePath?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}): Promise<readonly ListedToken[]> {
  const paths = await libraryPaths(options.modulePath, options.env);
  const listed = new Map<string, ListedToken>();
  for (const path of paths) {
    const library = await openOneOf(path, paths.length);
    if (library === undefined) continue;
    try {
      for (const token of tokensIn(library)) {
        const known = JSON.stringify([token.manufacturer, token.serial, token.label]);
        // The session gives back what it was opened with.
        const own = listed.has(known) ? undefined : await openOneOf(path, paths.length);
        if (own !== undefined) listed.set(known, { ...listOne({ ...token, library: own }, options.modulePath), library: path });
      }
    } finally {
      library.release();
    }
  }
  return withSerials([...listed.values()]);
}

function listOne(token: OpenToken, modulePath: string | undefined): ListedToken {
  const { slot: _, library, ...about } = token;
  const place = { token: token.label, ...(modulePath === undefined ? {} : { modulePath }) };
  const visible = visibleKeys(token).toSorted((one, other) => (one.label < other.label ? -1 : 1));
  const keys = visible.map((found) => ({
    ...described(found),
    url: pkcs11Url({ ...place, ...(found.id === '' ? {} : { id: found.id }), ...(found.label === '' ? {} : { object: found.label }) }),
  }));
  return { ...about, library: library.path, url: pkcs11Url(place), keys };
}

/** None of a token that lets nobody look. */
function visibleKeys(token: OpenToken): readonly FoundKey[] {
  try {
    const open = openSession(token, 'list the keys', CKF.serialSession);
    try {
      return keysIn(open);
    } finally {
      open.close();
    }
  } catch (error) {
    if (resultOf(error) === undefined && !isGantryError(error)) throw error;
    return [];
  }
}

function described({ label, id, read, maySign }: FoundKey): Omit<TokenKey, 'url'> {
  const { key, problem } = read ?? {};
  return {
    label,
    id,
    ...(key === undefined ? {} : { key, keyId: keyIdOf(key) }),
    ...(problem === undefined ? {} : { problem }),
    ...(maySign === undefined ? {} : { maySign }),
  };
}

/** Two tokens by one label are told apart by their serial numbers. */
function withSerials(tokens: readonly ListedToken[]): readonly ListedToken[] {
  return tokens.map((token) => {
    if (tokens.filter(({ label }) => label === token.label).length === 1) return token;
    const named = (url: string): string => url.replace(/^pkcs11:token=[^;?]*/u, (path) => `${path};${serialOf(token)}`);
    return { ...token, url: named(token.url), keys: token.keys.map((key) => ({ ...key, url: named(key.url) })) };
  });
}

function serialOf({ serial }: ListedToken): string {
  return pkcs11Url({ serial }).replace('pkcs11:', '');
}

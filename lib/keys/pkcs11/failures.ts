/**
 * What goes wrong with tokens, in one line each.
 *
 * Rules:
 * - a wrong PIN is told as such, never tried again here: a token locks after a few;
 * - labels come from the token, so they are quoted; a PIN is in no message and in no cause.
 */
import { GantryError, named, quote } from '../../errors.ts';
import { CKR } from './constants.ts';

type Codes = 'keys/token-failed' | 'keys/token-locked' | 'keys/token-pin-wrong' | 'keys/token-removed' | 'keys/token-not-permitted';

/** A call to a token that did not return what it should, as pkcs11js throws it. */
interface Result {
  readonly code: number;
  /** `CKR_…` */
  readonly name: string;
}

const RESULT = /\b(CKR_\w+)(?::(\d+))?/u;
const NAMED_CODES: ReadonlySet<number> = new Set([CKR.pinIncorrect, CKR.pinInvalid, CKR.pinLenRange]);
const REMOVED: ReadonlySet<number> = new Set([
  CKR.deviceRemoved,
  CKR.keyHandleInvalid,
  CKR.objectHandleInvalid,
  CKR.sessionClosed,
  CKR.sessionHandleInvalid,
  CKR.tokenNotPresent,
  CKR.tokenNotRecognized,
]);

/** Undefined for an error that no token reported. */
export function resultOf(error: unknown): Result | undefined {
  if (!(error instanceof Error)) return undefined;
  const [, name, digits] = RESULT.exec(error.message) ?? [];
  const stated: unknown = 'code' in error ? error.code : undefined;
  const code = typeof stated === 'number' ? stated : Number(digits);
  return name === undefined || !Number.isSafeInteger(code) ? undefined : { code, name };
}

/** What a call to a token returned, or our error for what it threw. @param token its label */
export function called<T>(token: string, what: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw tokenError(error, token, what);
  }
}

/** @param what for the message: `sign with "root-a"` */
export function tokenError(error: unknown, token: string, what: string): unknown {
  const result = resultOf(error);
  if (result === undefined) return error;
  if (NAMED_CODES.has(result.code)) return pinWrong(token);
  if (result.code === CKR.pinLocked) return locked(token);
  if (REMOVED.has(result.code)) {
    return failure(
      'keys/token-removed',
      `${what}: ${tokenNamed(token)} is not there any more (${result.name}); expected it to stay plugged in`,
      {
        token,
      },
    );
  }
  if (result.code === CKR.keyFunctionNotPermitted) {
    return failure('keys/token-not-permitted', `${what}: ${tokenNamed(token)} says that the key may not sign; expected CKA_SIGN`, {
      token,
    });
  }
  const problem =
    result.code === CKR.userPinNotInitialized
      ? 'has no user PIN yet; expected one to be set with the tool of its maker'
      : result.code === CKR.pinExpired
        ? 'wants a new PIN first; expected it to be changed with the tool of its maker'
        : `answers ${result.name}; expected it to do so`;
  return failure('keys/token-failed', `${what}: ${tokenNamed(token)} ${problem}`, { token, result: result.name });
}

function failure<C extends Codes>(code: C, message: string, details: GantryError<C>['details']): GantryError<C> {
  return new GantryError(code, `Cannot ${message}`, details);
}

/** The token as people are asked about it: `token release`. */
export function tokenNamed(token: string): string {
  return `token ${named(token)}`;
}

export function pinWrong(token: string, why = 'it is wrong'): GantryError<'keys/token-pin-wrong'> {
  const problem = `${why}, and is not tried again, because a token locks; expected its user PIN`;
  return failure('keys/token-pin-wrong', `use this PIN for ${tokenNamed(token)}: ${problem}`, { token });
}

export function locked(token: string): GantryError<'keys/token-locked'> {
  return failure('keys/token-locked', `log in to ${tokenNamed(token)}: it is locked after too many wrong PINs; expected one that is not`, {
    token,
  });
}

export function lastTry(token: string): GantryError<'keys/token-last-try'> {
  return new GantryError(
    'keys/token-last-try',
    `Cannot risk the last try for the PIN of ${tokenNamed(token)}: a wrong one locks it, and nobody is asked; expected a person at a terminal`,
    { token },
  );
}

/** @param found labels of what is there */
export function noSuchToken(reference: string, found: readonly string[]): GantryError<'keys/token-missing'> {
  const there = found.length === 0 ? 'there is no token' : `there is ${found.map((label) => tokenNamed(label)).join(', ')}`;
  return new GantryError('keys/token-missing', `Cannot find the token of ${quote(reference)}: ${there}; expected it to be plugged in`, {
    reference,
    found,
  });
}

export function noSuchKey(reference: string, token: string, found: readonly string[]): GantryError<'keys/token-key-missing'> {
  const there = found.length === 0 ? 'it holds no private key' : `it holds ${found.map(quote).join(', ')}`;
  return new GantryError(
    'keys/token-key-missing',
    `Cannot find the private key of ${quote(reference)} in ${tokenNamed(token)}: ${there}; expected a key by that label or id`,
    { reference, token, found },
  );
}

export function ambiguous(reference: string, what: 'tokens' | 'keys', found: readonly string[]): GantryError<'keys/token-ambiguous'> {
  return new GantryError(
    'keys/token-ambiguous',
    `Cannot tell which of ${found.length} ${what} ${quote(reference)} means: ${found.map(quote).join(', ')}; expected a URL that fits one`,
    { reference, found },
  );
}

export function labelTaken(token: string, label: string): GantryError<'keys/token-exists'> {
  return new GantryError(
    'keys/token-exists',
    `Cannot make the key ${quote(label)} in ${tokenNamed(token)}: it has a key by that label or id; expected a new one`,
    { token, label },
  );
}

export function notPermitted(reference: string, token: string): GantryError<'keys/token-not-permitted'> {
  return failure(
    'keys/token-not-permitted',
    `sign with ${quote(reference)}: ${tokenNamed(token)} has it as a key that may not sign (CKA_SIGN is false); expected one that may`,
    { token },
  );
}

/** @param found what it is or lacks */
export function unsupportedKey(reference: string, found: string): GantryError<'keys/token-unsupported'> {
  return new GantryError(
    'keys/token-unsupported',
    `Cannot sign with ${quote(reference)}: ${found}; expected ed25519, ECDSA P-256 or RSA of 2048 to 8192 bits`,
    { reference, found },
  );
}

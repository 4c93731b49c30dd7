/**
 * Logging in to a token.
 *
 * Rules:
 * - a token locks after about three wrong PINs, for good: one that was wrong is never sent to the same token twice by one process, for
 *   whichever of its keys, and a person is asked again only after having been told;
 * - the last try is left to a person; when few are left, that is said where the PIN is asked for;
 * - one login at a time, so that two keys of a token ask once.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { PassphraseSource } from '../passphrase.ts';
import { CKF, CKR, CKS_USER, CKU } from './constants.ts';
import { called, lastTry, locked, pinWrong, resultOf, tokenError, tokenNamed } from './failures.ts';
import type { OpenToken } from './token.ts';

const WRONG: ReadonlySet<number> = new Set([CKR.pinIncorrect, CKR.pinInvalid, CKR.pinLenRange]);
const salt = randomBytes(16);
/** Digests of what was wrong, each with the token that said so. */
const refused = new Set<string>();
let turn: Promise<unknown> = Promise.resolve();

/** @throws GantryError `keys/token-pin-wrong`, `keys/token-locked`, `keys/token-last-try`, `keys/pin-needed`, `keys/token-…` */
export async function logIn(token: OpenToken, session: Buffer, pin: PassphraseSource): Promise<void> {
  return inTurn(async () => {
    if ((flagsOf(token) & CKF.loginRequired) === 0 || isLoggedIn(token, session)) return;
    await ask(token, session, { pin, user: CKU.user });
  });
}

/** Once more for one signature, where the key wants that: with the PIN that opened the token, when it is known. */
export async function authenticate(token: OpenToken, session: Buffer, pin: PassphraseSource): Promise<void> {
  return inTurn(async () => {
    const known = token.library.pins.get(slotOf(token));
    if (known === undefined) return ask(token, session, { pin, user: CKU.contextSpecific });
    const result = attemptWith(token, session, known, CKU.contextSpecific);
    if (result === 'wrong') throw wrong(token);
  });
}

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const mine = turn.then(work);
  turn = mine.catch(() => undefined);
  return mine;
}

interface Asking {
  readonly pin: PassphraseSource;
  readonly user: number;
}

async function ask(token: OpenToken, session: Buffer, { pin, user }: Asking): Promise<void> {
  if ((flagsOf(token) & CKF.protectedAuthenticationPath) !== 0) {
    // Its own keypad asks.
    if (attemptWith(token, session, undefined, user) === 'wrong') throw wrong(token);
    return;
  }
  for (let attempt = 0; attempt < pin.tries; attempt += 1) {
    const flags = flagsOf(token);
    if ((flags & CKF.userPinLocked) !== 0) throw locked(token.label);
    if ((flags & CKF.userPinFinalTry) !== 0 && pin.tries === 1) throw lastTry(token.label);
    const secret = await pin.ask(`${tokenNamed(token.label)}${warning(flags, attempt)}`, attempt);
    if (refused.has(digestOf(token, secret))) {
      if (attempt + 1 === pin.tries) throw pinWrong(token.label, 'it was wrong before');
    } else if (attemptWith(token, session, secret, user) === 'open') return;
  }
  throw wrong(token);
}

/** Behind the name of the token, where its PIN is asked for. */
function warning(flags: number, attempt: number): string {
  const left =
    (flags & CKF.userPinFinalTry) !== 0
      ? ['the last try before it locks']
      : (flags & CKF.userPinCountLow) !== 0
        ? ['a PIN was wrong lately, and few tries are left before it locks']
        : [];
  const words = [...(attempt === 0 ? [] : ['that PIN was wrong']), ...left];
  return words.length === 0 ? '' : ` (${words.join('; ')})`;
}

function attemptWith(token: OpenToken, session: Buffer, secret: string | undefined, user: number): 'open' | 'wrong' {
  const { cryptoki, pins } = token.library;
  try {
    cryptoki.C_Login(session, user, secret);
  } catch (error) {
    const code = resultOf(error)?.code;
    if (code === CKR.userAlreadyLoggedIn) return 'open';
    if (code === undefined || !WRONG.has(code)) throw tokenError(error, token.label, `log in to ${tokenNamed(token.label)}`);
    pins.delete(slotOf(token));
    if (secret !== undefined) refused.add(digestOf(token, secret));
    return 'wrong';
  }
  if (secret !== undefined) pins.set(slotOf(token), secret);
  return 'open';
}

/** What a wrong PIN led to. */
function wrong(token: OpenToken): Error {
  return (flagsOf(token) & CKF.userPinLocked) === 0 ? pinWrong(token.label) : locked(token.label);
}

function flagsOf({ library, slot, label }: OpenToken): number {
  return called(label, `log in to ${tokenNamed(label)}`, () => library.cryptoki.C_GetTokenInfo(slot)).flags;
}

function isLoggedIn({ library, label }: OpenToken, session: Buffer): boolean {
  return CKS_USER.has(called(label, `log in to ${tokenNamed(label)}`, () => library.cryptoki.C_GetSessionInfo(session)).state);
}

function slotOf({ slot }: OpenToken): string {
  return slot.toString('hex');
}

/** The same token through another library is the same token. */
function digestOf({ manufacturer, serial, label }: OpenToken, secret: string): string {
  return createHash('sha256')
    .update(salt)
    .update(JSON.stringify([manufacturer, serial, label, secret]))
    .digest('base64');
}

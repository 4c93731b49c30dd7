/** A session with a token, given back as a whole: session, login, library. */
import { called, resultOf } from './failures.ts';
import type { TokenSession } from './objects.ts';
import type { OpenToken } from './token.ts';

export interface OpenSession extends TokenSession {
  readonly token: OpenToken;
  /** The login ends with the last session; a token that was pulled out has closed its own already. */
  close(): void;
}

/**
 * @param token is released when this fails, and by `close`
 * @param what for messages: `sign with "pkcs11:…"`
 */
export function openSession(token: OpenToken, what: string, flags: number): OpenSession {
  const { cryptoki } = token.library;
  let session: Buffer;
  try {
    session = called(token.label, what, () => cryptoki.C_OpenSession(token.slot, flags));
  } catch (error) {
    token.library.release();
    throw error;
  }
  let isOpen = true;
  return {
    token,
    cryptoki,
    session,
    close() {
      if (!isOpen) return;
      isOpen = false;
      try {
        cryptoki.C_CloseSession(session);
      } catch (error) {
        if (resultOf(error) === undefined) throw error;
      } finally {
        token.library.release();
      }
    },
  };
}

/** What back ends of signing are given in tests: nobody to ask, and an environment of their own. */
import type { SignerAccess } from '../../lib/keys/access.ts';
import { passphraseFrom, PIN } from '../../lib/keys/passphrase.ts';

export function accessOf(options: Partial<SignerAccess> = {}): SignerAccess {
  return { name: 'k', passphrases: passphraseFrom({ env: {} }), pin: passphraseFrom({ env: {} }, PIN), env: {}, ...options };
}

/** What a back end of signing is given to open a key that lies elsewhere: in a token, in a cloud, with an agent. */
import type { PublicKey } from '../tuf/types.ts';
import type { PassphraseSource } from './passphrase.ts';

export interface SignerAccess {
  /** What a person calls the key; for messages. */
  readonly name: string;
  /** The key that it must turn out to be; absent while it is being found out. */
  readonly expected?: PublicKey;
  /** Of key files. */
  readonly passphrases: PassphraseSource;
  /** Asked for only by a back end that wants one, and only when it does: `ask('the token "release"', attempt)`. */
  readonly pin: PassphraseSource;
  readonly env: Readonly<Record<string, string | undefined>>;
}

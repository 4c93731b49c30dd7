/** Questions that must not be seen on the screen. Callers have checked that there is a terminal. */
import password from '@inquirer/password';

/** Empty answers are returned as they are; the caller knows what they mean. */
export async function askPassphrase(message: string, signal: AbortSignal): Promise<string> {
  return password({ message, mask: false, toggleMask: false }, { signal, output: process.stderr });
}

const TRIES = 3;

/** Asks twice, because a typing mistake would lock the keys for good. Undefined when the two never agreed. */
export async function askNewPassphrase(message: string, signal: AbortSignal): Promise<string | undefined> {
  for (let tried = 0; tried < TRIES; tried += 1) {
    const first = await askPassphrase(message, signal);
    if (first === '') {
      process.stderr.write('A passphrase has at least one character.\n');
      continue;
    }
    if (first === (await askPassphrase('The same again:', signal))) return first;
    process.stderr.write('The two are not the same.\n');
  }
  return undefined;
}

/**
 * Where a passphrase comes from, in this order: a file, a descriptor, the environment, a person.
 *
 * Rules (design D9):
 * - the environment's is removed as soon as it is read, so no child process inherits it;
 * - a file that others can read is refused, like a key file;
 * - without any source and without a person the answer is an error, never a wait.
 */
import { fstatSync, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { GantryError, quote } from '../errors.ts';
import { fromSystemError, readWholeFile } from '../files/read.ts';

export const PASSPHRASE_VARIABLE = 'GANTRY_PASSPHRASE';
const PASSPHRASE_MAX_BYTES = 4096;

export interface PassphraseSources {
  /** `--passphrase-file` */
  readonly file?: string | undefined;
  /** `--passphrase-fd` */
  readonly fd?: number | undefined;
  /** `GANTRY_PASSPHRASE` is deleted from it. */
  readonly env: Record<string, string | undefined>;
  /** Asks a person; absent when there is nobody. `attempt` counts from 0, and grows when the answer was wrong. */
  readonly prompt?: ((path: string, attempt: number) => Promise<string>) | undefined;
}

export interface PassphraseSource {
  /** How often it is worth asking for the same key: a file does not change its mind, a person does. */
  readonly tries: number;
  /** @throws GantryError `keys/passphrase-needed`, `files/…` */
  ask(path: string, attempt: number): Promise<string>;
}

const PERSON_TRIES = 3;

/** The passphrases of key files; everything but a person is read once, and answers for every key. */
export function passphraseFrom(sources: PassphraseSources): PassphraseSource {
  const fromEnvironment = sources.env[PASSPHRASE_VARIABLE];
  delete sources.env[PASSPHRASE_VARIABLE];
  let given: Promise<string | undefined> | undefined;
  const isGiven = sources.file !== undefined || sources.fd !== undefined || (fromEnvironment ?? '') !== '';
  return {
    tries: isGiven || sources.prompt === undefined ? 1 : PERSON_TRIES,
    async ask(path, attempt) {
      given ??= readGiven(sources, fromEnvironment);
      const passphrase = (await given) ?? (await sources.prompt?.(path, attempt));
      if (passphrase !== undefined && passphrase !== '') return passphrase;
      throw new GantryError(
        'keys/passphrase-needed',
        `Cannot open the key ${quote(path)}: ${passphrase === '' ? 'the passphrase is empty' : 'no passphrase was given, and there is no terminal to ask on'}`,
        { path },
      );
    },
  };
}

async function readGiven({ file, fd }: PassphraseSources, fromEnvironment: string | undefined): Promise<string | undefined> {
  if (file !== undefined) return firstLine(await readPrivateFile(file));
  if (fd !== undefined) return firstLine(readDescriptor(fd));
  return fromEnvironment === undefined || fromEnvironment === '' ? undefined : fromEnvironment;
}

async function readPrivateFile(path: string): Promise<Uint8Array> {
  const bytes = await readWholeFile(path, { maxBytes: PASSPHRASE_MAX_BYTES });
  const { mode } = await stat(path);
  if ((mode & 0o077) === 0) return bytes;
  const octal = (mode & 0o777).toString(8);
  throw new GantryError('files/exposed', `Cannot use the passphrase in ${quote(path)}: its mode is ${octal}, so others can read it; expected 600`, {
    path,
    mode: octal,
  });
}

function readDescriptor(fd: number): Uint8Array {
  const name = `descriptor ${fd}`;
  try {
    fstatSync(fd);
    return readFileSync(fd).subarray(0, PASSPHRASE_MAX_BYTES);
  } catch (error) {
    throw fromSystemError(error, name, 'read');
  }
}

function firstLine(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8').split(/\r?\n/u, 1)[0] ?? '';
}

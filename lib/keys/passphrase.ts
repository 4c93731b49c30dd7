/**
 * Where a passphrase or a PIN comes from, in this order: a file, a descriptor, the environment, a person.
 *
 * Rules (design D9):
 * - the environment's is removed as soon as it is read, so no child process inherits it;
 * - a file that others can read is refused, like a key file;
 * - of a file or descriptor the first line counts, without its end of line;
 * - a source that was named is used or refused, never passed over for the next one: an empty passphrase is an error;
 * - without any source and without a person the answer is an error, never a wait.
 */
import { closeSync, fstatSync, open as openCallback, read as readCallback, type Stats } from 'node:fs';
import { Socket } from 'node:net';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';
import { GantryError, quote } from '../errors.ts';
import { fromSystemError } from '../files/read.ts';
import { refuseExposed } from './exposed.ts';
import { passphraseProblem } from './pkcs8.ts';

/** What opens something: a passphrase a file, a PIN a token. */
interface SecretKind {
  readonly name: 'passphrase' | 'PIN';
  readonly variable: string;
  readonly code: 'keys/passphrase-needed' | 'keys/pin-needed';
}

export const PASSPHRASE: SecretKind = { name: 'passphrase', variable: 'GANTRY_PASSPHRASE', code: 'keys/passphrase-needed' };
export const PIN: SecretKind = { name: 'PIN', variable: 'GANTRY_PIN', code: 'keys/pin-needed' };

const LINE_MAX_BYTES = 4096;
const LINE_FEED = 0x0a;
const openDescriptor = promisify(openCallback);
const read = promisify(readCallback);

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
  /**
   * @param path of a key file, or the label of a token
   * @throws GantryError `keys/passphrase-needed`, `keys/pin-needed`, `files/…`
   */
  ask(path: string, attempt: number): Promise<string>;
}

const PERSON_TRIES = 3;

/** The passphrases of key files, or the PINs of tokens; everything but a person is read once, and answers for every key. */
export function passphraseFrom(sources: PassphraseSources, kind: SecretKind = PASSPHRASE): PassphraseSource {
  const fromEnvironment = sources.env[kind.variable];
  delete sources.env[kind.variable];
  let given: Promise<string | undefined> | undefined;
  const isGiven = sources.file !== undefined || sources.fd !== undefined || fromEnvironment !== undefined;
  return {
    tries: isGiven || sources.prompt === undefined ? 1 : PERSON_TRIES,
    async ask(path, attempt) {
      given ??= readGiven(sources, fromEnvironment, kind);
      const secret = (await given) ?? (await sources.prompt?.(path, attempt));
      if (secret === undefined) throw needed(kind, 'get', path, 'none was given, and there is no terminal to ask on');
      const problem = passphraseProblem(secret);
      if (problem !== undefined) throw needed(kind, 'use', path, problem);
      return secret;
    },
  };
}

async function readGiven(
  { file, fd }: PassphraseSources,
  fromEnvironment: string | undefined,
  kind: SecretKind,
): Promise<string | undefined> {
  if (file !== undefined) return readPassphraseFile(file, kind);
  if (fd !== undefined) return readPassphraseDescriptor(fd, kind);
  return fromEnvironment;
}

async function readPassphraseFile(path: string, kind: SecretKind): Promise<string> {
  try {
    const fd = await openDescriptor(path, 'r');
    const found = fstatSync(fd);
    try {
      refuseExposed(found, path, `${kind.name} in`);
      return await readFirstLine(fd, path, kind);
    } finally {
      // A pipe's descriptor belongs to the socket that read it.
      if (!isStream(found)) closeSync(fd);
    }
  } catch (error) {
    throw fromSystemError(error, path, 'read');
  }
}

async function readPassphraseDescriptor(fd: number, kind: SecretKind): Promise<string> {
  const name = `descriptor ${fd}`;
  // A terminal would show what is typed, and wait for somebody who does not know that.
  if (isatty(fd)) throw unusable(kind, name, 'it is a terminal; expected a pipe or a file');
  try {
    return await readFirstLine(fd, name, kind);
  } catch (error) {
    throw fromSystemError(error, name, 'read');
  }
}

async function readFirstLine(fd: number, name: string, kind: SecretKind): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunksOf(fd)) {
    const end = chunk.indexOf(LINE_FEED);
    chunks.push(end === -1 ? chunk : chunk.subarray(0, end));
    length += chunk.length;
    if (end !== -1) break;
    if (length > LINE_MAX_BYTES)
      throw unusable(kind, name, `its first line has more than ${LINE_MAX_BYTES} bytes; expected a ${kind.name}`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks)).replace(/\r$/u, '');
  } catch {
    // The cause would quote nothing useful, and must not quote the bytes.
    throw unusable(kind, name, 'its first line is not UTF-8; expected text');
  }
}

/** A pipe is awaited, not read: a blocked read would keep the process from ending on Ctrl-C. */
function chunksOf(fd: number): AsyncIterable<Uint8Array> {
  return isStream(fstatSync(fd)) ? new Socket({ fd, readable: true, writable: false }) : readChunks(fd);
}

function isStream(found: Stats): boolean {
  return found.isFIFO() || found.isSocket();
}

async function* readChunks(fd: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (;;) {
    const { bytesRead, buffer } = await read(fd, Buffer.alloc(LINE_MAX_BYTES), 0, LINE_MAX_BYTES, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

function needed({ code, name }: SecretKind, verb: 'get' | 'use', path: string, problem: string): GantryError {
  return new GantryError(code, `Cannot ${verb} the ${name} for ${quote(path)}: ${problem}`, { path });
}

function unusable({ code, name }: SecretKind, path: string, problem: string): GantryError {
  return new GantryError(code, `Cannot read a ${name} from ${quote(path)}: ${problem}`, { path });
}

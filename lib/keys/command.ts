/**
 * A signer that is a program of somebody's own: `command:PROGRAM?arg=…&arg=…` (docs/keys.md has the contract).
 *
 * ```
 * PROGRAM ARGS… public-key   writes the public key to stdout: SPKI in PEM
 * PROGRAM ARGS… sign         reads what is to be signed on stdin, writes the signature to stdout: ed25519 64 bytes, ECDSA in DER
 *                            over SHA-256, RSA-PSS over SHA-256 with a salt of 32 bytes
 * ```
 *
 * Rules:
 * - no shell; its environment has no passphrase and no PIN of ours (design D9);
 * - exit code 0 is done; all else is a failure, told with the end of what it wrote to stderr;
 * - it may take its time, because a person may have to touch something, and Ctrl-C ends it.
 */
import { execa, ExecaError } from 'execa';
import { isGantryError, quote } from '../errors.ts';
import { publicKeyFromPem } from '../tuf/key.ts';
import type { SignerAccess } from './access.ts';
import { verifyingSigner } from './key-signer.ts';
import { badReference, signerFailed } from './reference.ts';
import type { Signer } from './signer.ts';

/** No public key and no signature is longer. */
const MAX_OUTPUT_BYTES = 1 << 16;
/** Of what a program says on stderr, the end is kept. */
const MAX_WORDS = 400;

interface Program {
  readonly file: string;
  readonly arguments: readonly string[];
}

/** @throws GantryError `keys/bad-reference`, `keys/signer-failed` */
export async function openCommandSigner(url: string, { name, env }: SignerAccess): Promise<Signer> {
  const program = programIn(url);
  const run = async (verb: string, input?: Uint8Array): Promise<Uint8Array> => runProgram(program, verb, { name, env, input });
  const pem = Buffer.from(await run('public-key')).toString('utf8');
  try {
    return verifyingSigner(publicKeyFromPem(pem), async (payload) => run('sign', payload));
  } catch (cause) {
    if (!isGantryError(cause)) throw cause;
    throw signerFailed(name, `what ${quote(program.file)} public-key wrote is no key that can sign: ${cause.message}`, cause);
  }
}

function programIn(url: string): Program {
  const [program = '', query = ''] = url.slice('command:'.length).split(/\?(.*)/su);
  const options = new URLSearchParams(query);
  const others = [...options.keys()].filter((key) => key !== 'arg');
  if (others.length > 0) throw badReference(url, `${others.join(', ')} means nothing there; expected command:PROGRAM?arg=…&arg=…`);
  const file = decoded(program);
  if (file === undefined || file === '') throw badReference(url, 'it names no program; expected command:PROGRAM?arg=…&arg=…');
  return { file, arguments: options.getAll('arg') };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

async function runProgram(
  { file, arguments: first }: Program,
  verb: string,
  { name, env, input }: Pick<SignerAccess, 'name' | 'env'> & { readonly input: Uint8Array | undefined },
): Promise<Uint8Array> {
  try {
    const { stdout } = await execa(file, [...first, verb], {
      env: Object.fromEntries(Object.entries(env).filter(([variable]) => !variable.startsWith('GANTRY_'))),
      extendEnv: false,
      ...(input === undefined ? { stdin: 'ignore' } : { input }),
      encoding: 'buffer',
      maxBuffer: MAX_OUTPUT_BYTES,
      // A signature ends with whatever byte it ends with.
      stripFinalNewline: false,
    });
    return stdout;
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error;
    // Of a program that did not start there is none.
    const stderr: unknown = error.stderr;
    const words = Buffer.from(stderr instanceof Uint8Array ? stderr : [])
      .toString('utf8')
      .trim()
      .slice(-MAX_WORDS);
    const said = words === '' ? '' : `; it says ${quote(words)}`;
    throw signerFailed(name, `${quote(file)} ${verb} ${howItEnded(error)}${said}; expected exit code 0`, error);
  }
}

function howItEnded({ code, exitCode, signal, isMaxBuffer }: ExecaError): string {
  if (isMaxBuffer) return `wrote more than ${MAX_OUTPUT_BYTES} bytes`;
  if (code === 'ENOENT') return 'cannot be run: there is no such program';
  if (code === 'EACCES') return 'cannot be run: it is not executable';
  return exitCode === undefined ? `was stopped by ${signal ?? 'an error'}` : `ended with exit code ${exitCode}`;
}

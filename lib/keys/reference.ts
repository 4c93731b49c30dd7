/**
 * Where a private key is, as a URL (docs/keys.md), and what opens it.
 *
 * Rules:
 * - a URL never holds a secret, so it may lie in a file, in a CI's settings, on a command line;
 * - what is opened must be the key that is expected: an alias, a label or an agent may answer with another one;
 * - a back end is loaded when a key of its kind is opened.
 */
import { GantryError, quote } from '../errors.ts';
import { keyContentOf, keyIdOf } from '../tuf/key.ts';
import type { SignerAccess } from './access.ts';
import type { Signer } from './signer.ts';

type Open = (url: string, access: SignerAccess) => Promise<Signer>;

const BACK_ENDS: Readonly<Record<string, () => Promise<Open>>> = {
  'aws-kms': async () => (await import('./aws/kms.ts')).openKmsSigner,
  'aws-ssm': async () => (await import('./aws/ssm.ts')).openSsmSigner,
  command: async () => (await import('./command.ts')).openCommandSigner,
  file: async () => (await import('./file-reference.ts')).openFileSigner,
  pkcs11: async () => (await import('./pkcs11/signer.ts')).openPkcs11Signer,
  'ssh-agent': async () => (await import('./ssh-agent.ts')).openAgentSigner,
};

const SCHEME = /^([a-z][a-z0-9-]*):/u;
/** Longer than a Windows drive letter. */
const MIN_SCHEME = 2;

/** True for text that is meant as a URL, and not as the path of a file. */
export function isKeyReference(text: string): boolean {
  return (SCHEME.exec(text)?.[1]?.length ?? 0) >= MIN_SCHEME;
}

/** @throws GantryError `keys/bad-reference`, `keys/mismatch`, `keys/signer-failed`, and what a back end has of its own */
export async function openReference(url: string, access: SignerAccess): Promise<Signer> {
  const open = BACK_ENDS[SCHEME.exec(url)?.[1] ?? ''];
  if (open === undefined) throw badReference(url, `expected one of ${Object.keys(BACK_ENDS).join(':, ')}:`);
  const signer = await (await open())(url, access);
  const { expected, name } = access;
  if (expected === undefined || keyContentOf(signer.key) === keyContentOf(expected)) return signer;
  await signer.close?.();
  const keyId = keyIdOf(expected);
  throw new GantryError(
    'keys/mismatch',
    `Cannot sign with ${quote(url)}: it is the key ${signer.keyId.slice(0, 12)}…; expected ${keyId.slice(0, 12)}… as ${quote(name)}`,
    { name, expected: keyId, found: signer.keyId },
  );
}

export function badReference(reference: string, problem: string): GantryError<'keys/bad-reference'> {
  return new GantryError('keys/bad-reference', `Cannot use ${quote(reference)} as a key: ${problem}`, { reference });
}

/** A back end that did not sign, or did not tell its key. @param reason ends with what should be */
export function signerFailed(name: string, reason: string, cause?: unknown): GantryError<'keys/signer-failed'> {
  return new GantryError('keys/signer-failed', `Cannot use the key ${quote(name)}: ${reason}`, { name, reason }, { cause });
}

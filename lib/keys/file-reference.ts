/** `file:///media/usb/root-a.pem`: a private key in a file that stays where it is. */
import { fileURLToPath } from 'node:url';
import type { SignerAccess } from './access.ts';
import { openKeyFile } from './key-file.ts';
import { badReference } from './reference.ts';
import type { Signer } from './signer.ts';

/** @throws GantryError like `openKeySigner`, `keys/bad-reference` */
export async function openFileSigner(url: string, { name, passphrases }: SignerAccess): Promise<Signer> {
  return openKeyFile(pathIn(url), { name, passphrases });
}

function pathIn(url: string): string {
  try {
    // Text without the slashes would be read as a path all the same, and as another one than it looks like.
    if (url.startsWith('file:///')) return fileURLToPath(url);
  } catch {
    // Told below.
  }
  throw badReference(url, 'it names no file of this machine; expected file:///PATH');
}

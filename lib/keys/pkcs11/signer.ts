/**
 * A signer whose private key is in a token: a smart card, a YubiKey, an HSM, SoftHSM.
 *
 * Rules:
 * - the key never leaves the token; nothing is handed out that does not verify (`verifyingSigner`);
 * - a URL that fits two tokens or two keys names none;
 * - the session stays open until `close`, so that one login serves all signatures.
 */
import { quote } from '../../errors.ts';
import type { PublicKey } from '../../tuf/types.ts';
import type { SignerAccess } from '../access.ts';
import { verifyingSigner } from '../key-signer.ts';
import { passphraseFrom, PIN, type PassphraseSource } from '../passphrase.ts';
import type { Signer } from '../signer.ts';
import { CKF } from './constants.ts';
import { ambiguous, noSuchKey, notPermitted, tokenError, unsupportedKey } from './failures.ts';
import { authenticate, logIn } from './login.ts';
import { signingWith, type TokenSigning } from './mechanism.ts';
import { keysIn, type FoundKey } from './objects.ts';
import { openSession, type OpenSession } from './session.ts';
import { openToken, type OpenToken } from './token.ts';
import { parsePkcs11Url, type Pkcs11Reference } from './uri.ts';

/** The longest signature is one of RSA with 8192 bits. */
const MAX_SIGNATURE_BYTES = 1024;

/** @throws GantryError `keys/bad-reference`, `keys/token-…`, `keys/pin-needed`, `keys/bad-signature` */
export async function openPkcs11Signer(url: string, access: SignerAccess): Promise<Signer> {
  const reference = parsePkcs11Url(url);
  return signerOf(await openToken(url, reference, access.env), { url, reference, access });
}

interface Wanted {
  readonly url: string;
  readonly reference: Pkcs11Reference;
  readonly access: Pick<SignerAccess, 'pin' | 'expected'>;
}

/** @param token is released when this fails, and by `close` */
export async function signerOf(token: OpenToken, { url, reference, access }: Wanted): Promise<Signer> {
  const what = `sign with ${quote(url)}`;
  const open = openSession(token, what, CKF.serialSession);
  try {
    const pin = pinSource(reference, access.pin);
    await logIn(token, open.session, pin);
    const found = pick(keysIn(open, reference.id), { url, reference, label: token.label });
    const key = publicKeyOf(found, url, access.expected);
    const signing = signingWith(key.keytype, new Set(open.cryptoki.C_GetMechanismList(token.slot)));
    if (signing === undefined) throw unsupportedKey(url, `the token cannot sign with ${key.keytype} in the way of TUF`);
    const signer = verifyingSigner(key, async (payload) => {
      try {
        return await rawSignature({ open, pin, signing, found }, payload);
      } catch (error) {
        throw tokenError(error, token.label, what);
      }
    });
    return { ...signer, close: async () => open.close() };
  } catch (error) {
    open.close();
    throw tokenError(error, token.label, what);
  }
}

export function pinSource({ pinFile }: Pkcs11Reference, otherwise: PassphraseSource): PassphraseSource {
  return pinFile === undefined ? otherwise : passphraseFrom({ file: pinFile, env: {} }, PIN);
}

interface Place {
  readonly url: string;
  readonly reference: Pkcs11Reference;
  readonly label: string;
}

function pick(keys: readonly FoundKey[], { url, reference, label }: Place): FoundKey & { readonly handle: Buffer } {
  const privates = keys.flatMap((key) => (key.handle === undefined ? [] : [{ ...key, handle: key.handle }]));
  const [found, ...more] = privates.filter(({ labels }) => reference.object === undefined || labels.includes(reference.object));
  if (found === undefined) throw noSuchKey(url, label, privates.map(described));
  if (more.length > 0) throw ambiguous(url, 'keys', [found, ...more].map(described));
  if (found.maySign === false) throw notPermitted(url, label);
  return found;
}

function described({ label, id }: FoundKey): string {
  return id === '' ? label : `${label} (id ${id})`;
}

/** Where the token does not tell it, the key that is expected will do: a signature by another one does not verify. */
function publicKeyOf({ read, keytype }: FoundKey, url: string, expected: PublicKey | undefined): PublicKey {
  if (read?.key !== undefined) return read.key;
  if (read?.problem !== undefined) throw unsupportedKey(url, read.problem);
  if (expected !== undefined && expected.keytype === keytype) return expected;
  throw unsupportedKey(url, 'the token does not tell its public half, neither as a key nor in a certificate');
}

interface Signing {
  readonly open: OpenSession;
  readonly pin: PassphraseSource;
  readonly signing: TokenSigning;
  readonly found: FoundKey & { readonly handle: Buffer };
}

async function rawSignature({ open, pin, signing, found }: Signing, payload: Uint8Array): Promise<Uint8Array> {
  const { cryptoki, session, token } = open;
  cryptoki.C_SignInit(session, signing.mechanism, found.handle);
  if (found.alwaysAuthenticate) await authenticate(token, session, pin);
  return signing.output(await cryptoki.C_SignAsync(session, signing.input(payload), Buffer.alloc(MAX_SIGNATURE_BYTES)));
}

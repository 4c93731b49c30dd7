/**
 * New keys that are made in a token and never leave it.
 *
 * Rules:
 * - the private half is sensitive and not extractable, and may sign and nothing else;
 * - a label or an id that a key of the token has is refused: a URL must go on naming one.
 */
import { randomBytes } from 'node:crypto';
import { quote } from '../../errors.ts';
import type { PublicKey } from '../../tuf/types.ts';
import type { SignerAccess } from '../access.ts';
import type { KeyType } from '../generate.ts';
import { badReference } from '../reference.ts';
import { CKA, CKF, CKM, CKO, CKR, CURVES } from './constants.ts';
import { labelTaken, resultOf, tokenError, unsupportedKey } from './failures.ts';
import { logIn } from './login.ts';
import { signingWith } from './mechanism.ts';
import { keysIn } from './objects.ts';
import { openSession, type OpenSession } from './session.ts';
import { pinSource } from './signer.ts';
import { openToken } from './token.ts';
import { parsePkcs11Url, pkcs11Url } from './uri.ts';

export interface GeneratedTokenKey {
  readonly key: PublicKey;
  /** Names it: the one that was given, with the label and the id of the new key. */
  readonly url: string;
  /** Ends the login: until then the key can be opened without a PIN. */
  close(): Promise<void>;
}

const ID_BYTES = 8;
const RSA_BITS = 3072;
const RSA_EXPONENT = Buffer.from([1, 0, 1]);
const OTHER_CURVE_NAME: ReadonlySet<number> = new Set([CKR.attributeValueInvalid, CKR.curveNotSupported, CKR.domainParamsInvalid]);

type Attribute = { readonly type: number; readonly value: number | boolean | string | Buffer };

/** How each kind is made; a token may know a curve by another name. */
const KINDS: Readonly<Record<KeyType, { readonly mechanism: number; readonly forms: readonly (readonly Attribute[])[] }>> = {
  ed25519: {
    mechanism: CKM.edwardsKeyPairGen,
    forms: [[{ type: CKA.ecParams, value: CURVES.ed25519 }], [{ type: CKA.ecParams, value: CURVES.ed25519Name }]],
  },
  ecdsa: { mechanism: CKM.ecKeyPairGen, forms: [[{ type: CKA.ecParams, value: CURVES.p256 }]] },
  rsa: {
    mechanism: CKM.rsaKeyPairGen,
    forms: [
      [
        { type: CKA.modulusBits, value: RSA_BITS },
        { type: CKA.publicExponent, value: RSA_EXPONENT },
      ],
    ],
  },
};

/**
 * @param url names the token and, by `object`, the label of the new key
 * @throws GantryError `keys/bad-reference`, `keys/token-…`, `keys/pin-needed`
 */
export async function generatePkcs11Key(url: string, type: KeyType, access: SignerAccess): Promise<GeneratedTokenKey> {
  const reference = parsePkcs11Url(url);
  const { object: label, id = randomBytes(ID_BYTES).toString('hex') } = reference;
  if (label === undefined || label === '') throw badReference(url, 'it gives the new key no label; expected …;object=LABEL');
  const token = await openToken(url, reference, access.env);
  const what = `make a key with ${quote(url)}`;
  const open = openSession(token, what, CKF.serialSession | CKF.rwSession);
  try {
    await logIn(token, open.session, pinSource(reference, access.pin));
    if (keysIn(open).some((key) => key.labels.includes(label) || key.id === id)) throw labelTaken(token.label, label);
    await makePair(open, { url, type, label, id });
    const made = keysIn(open, id).find(({ handle }) => handle !== undefined)?.read;
    if (made?.key === undefined) throw unsupportedKey(url, made?.problem ?? 'the token does not tell the public half of the new key');
    return { key: made.key, url: pkcs11Url({ ...reference, object: label, id }), close: async () => open.close() };
  } catch (error) {
    open.close();
    throw tokenError(error, token.label, what);
  }
}

interface NewPair {
  readonly url: string;
  readonly type: KeyType;
  readonly label: string;
  readonly id: string;
}

async function makePair({ cryptoki, session, token }: OpenSession, { url, type, label, id }: NewPair): Promise<void> {
  const { mechanism, forms } = KINDS[type];
  const available = new Set(cryptoki.C_GetMechanismList(token.slot));
  if (!available.has(mechanism) || signingWith(type, available) === undefined) {
    throw unsupportedKey(url, `the token makes no ${type} keys that sign in the way of TUF; another --type may do`);
  }
  const both: readonly Attribute[] = [
    { type: CKA.token, value: true },
    { type: CKA.label, value: label },
    { type: CKA.id, value: Buffer.from(id, 'hex') },
  ];
  const privateHalf: readonly Attribute[] = [
    { type: CKA.class, value: CKO.privateKey },
    ...both,
    { type: CKA.private, value: true },
    { type: CKA.sensitive, value: true },
    { type: CKA.extractable, value: false },
    { type: CKA.sign, value: true },
  ];
  for (const [at, form] of forms.entries()) {
    const publicHalf = [{ type: CKA.class, value: CKO.publicKey }, ...both, { type: CKA.verify, value: true }, ...form];
    try {
      await cryptoki.C_GenerateKeyPairAsync(session, { mechanism }, publicHalf, [...privateHalf]);
      return;
    } catch (error) {
      if (at + 1 === forms.length || !OTHER_CURVE_NAME.has(resultOf(error)?.code ?? -1)) throw error;
    }
  }
}

/** A token in memory that does what SoftHSM does not: it locks, wants its PIN for every signature, has a keypad, is pulled out, or lies. */
import { constants, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { CKA, CKF, CKK, CKM, CKO, CKR, CKU, CURVES } from '../../lib/keys/pkcs11/constants.ts';
import type { Cryptoki } from '../../lib/keys/pkcs11/library.ts';
import type { OpenToken } from '../../lib/keys/pkcs11/token.ts';

export interface FakeKey {
  readonly key: KeyObject;
  readonly label: string;
  readonly id: string;
  readonly maySign?: boolean;
  readonly alwaysAuthenticate?: boolean;
  /** How the public half is told. */
  readonly half?: 'bare' | 'wrapped' | 'certificate' | 'none';
  /** Label of the public half, where that is another one. */
  readonly halfLabel?: string;
  readonly certificate?: Buffer;
}

export interface FakeOptions {
  readonly label: string;
  readonly pin: string;
  readonly keys: readonly FakeKey[];
  readonly tries?: number;
  readonly hasKeypad?: boolean;
  readonly mechanisms?: readonly number[];
  /** In place of what it would return as a signature. */
  readonly lie?: (signature: Buffer) => Buffer;
}

type Attributes = ReadonlyMap<number, Buffer>;

export interface FakeToken extends OpenToken {
  /** PINs that came, with the kind of login. */
  readonly logins: readonly { readonly user: number; readonly pin: string | undefined }[];
  isReleased: boolean;
  isPulledOut: boolean;
  triesLeft: number;
}

const ALL_MECHANISMS = Object.values(CKM);

/** As pkcs11js throws it. */
function result(name: string, code: number): Error {
  return Object.assign(new Error(name), { code });
}

export function makeFakeToken(options: FakeOptions): FakeToken {
  const logins: { user: number; pin: string | undefined }[] = [];
  const objects = options.keys.flatMap(objectsOf);
  const mostTries = options.tries ?? 3;
  const state = { isLoggedIn: false, isAuthenticated: false, search: [] as Buffer[], signing: undefined as undefined | Signing };
  const here = (): void => {
    if (token.isPulledOut) throw result('CKR_DEVICE_REMOVED', CKR.deviceRemoved);
  };
  const logIn = (user: number, pin: string | undefined): void => {
    if (token.triesLeft === 0) throw result('CKR_PIN_LOCKED', CKR.pinLocked);
    if (pin !== options.pin && !(options.hasKeypad === true && pin === undefined)) {
      token.triesLeft -= 1;
      throw result('CKR_PIN_INCORRECT', CKR.pinIncorrect);
    }
    token.triesLeft = mostTries;
    if (user === CKU.user) state.isLoggedIn = true;
    else state.isAuthenticated = true;
  };
  const cryptoki = {
    C_OpenSession: () => Buffer.from([1]),
    C_CloseSession: here,
    C_GetTokenInfo() {
      here();
      const left = token.triesLeft;
      const warning = left === 0 ? CKF.userPinLocked : left === 1 ? CKF.userPinFinalTry : left < mostTries ? CKF.userPinCountLow : 0;
      const keypad = options.hasKeypad === true ? CKF.protectedAuthenticationPath : 0;
      return { flags: CKF.loginRequired | CKF.tokenInitialized | warning | keypad };
    },
    C_GetSessionInfo: () => ({ state: state.isLoggedIn ? 1 : 0 }),
    C_GetMechanismList: () => options.mechanisms ?? ALL_MECHANISMS,
    C_Login(_: Buffer, user: number, pin?: string) {
      here();
      logins.push({ user, pin });
      logIn(user, pin);
    },
    C_FindObjectsInit(_: Buffer, template: readonly { readonly type: number; readonly value: number | Buffer }[]) {
      here();
      const isFitting = (one: Attributes): boolean =>
        template.every(({ type, value }) => one.get(type)?.equals(typeof value === 'number' ? ulong(value) : value) === true);
      state.search = objects.flatMap((one, at) => (isFitting(one) ? [Buffer.from([at])] : []));
    },
    C_FindObjects: () => state.search.splice(0),
    C_FindObjectsFinal: here,
    C_GetAttributeValue(_: Buffer, handle: Buffer, [wanted]: readonly [{ readonly type: number }]) {
      const value = objects[handle[0] ?? 0]?.get(wanted.type);
      if (value === undefined) throw result('CKR_ATTRIBUTE_TYPE_INVALID', 0x12);
      return [{ type: wanted.type, value }];
    },
    C_SignInit(_: Buffer, { mechanism }: { readonly mechanism: number }, handle: Buffer) {
      here();
      const id = objects[handle[0] ?? 0]?.get(CKA.id)?.toString('hex');
      const held = options.keys.find((one) => one.id === id);
      if (held === undefined) throw result('CKR_KEY_HANDLE_INVALID', CKR.keyHandleInvalid);
      state.isAuthenticated = false;
      state.signing = { held, mechanism };
    },
    async C_SignAsync(_: Buffer, input: Buffer) {
      here();
      const { held, mechanism } = state.signing ?? fail();
      if (held.alwaysAuthenticate === true && !state.isAuthenticated) throw result('CKR_USER_NOT_LOGGED_IN', 0x101);
      const signature = signed(held.key, mechanism, input);
      return options.lie?.(signature) ?? signature;
    },
  };
  const token: FakeToken = {
    slot: Buffer.from([7]),
    slotId: 7,
    label: options.label,
    serial: options.label,
    manufacturer: 'a test',
    model: 'a fake',
    logins,
    isReleased: false,
    isPulledOut: false,
    triesLeft: mostTries,
    library: {
      path: '/a/library',
      // The proof: every function that the signer calls is there, in the form that pkcs11js gives it.
      cryptoki: cryptoki as unknown as Cryptoki,
      pins: new Map(),
      release() {
        token.isReleased = true;
      },
    },
  };
  return token;
}

interface Signing {
  readonly held: FakeKey;
  readonly mechanism: number;
}

function fail(): never {
  throw result('CKR_OPERATION_NOT_INITIALIZED', 0x91);
}

function signed(key: KeyObject, mechanism: number, input: Buffer): Buffer {
  const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  switch (mechanism) {
    case CKM.eddsa:
      return sign(null, input, key);
    case CKM.ecdsaSha256:
      return sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' });
    case CKM.sha256RsaPss:
      return sign('sha256', input, pss);
    default:
      throw result('CKR_MECHANISM_INVALID', 0x70);
  }
}

function objectsOf(held: FakeKey): readonly Attributes[] {
  const { label, id, maySign = true, alwaysAuthenticate = false, half = 'wrapped', halfLabel = label, certificate } = held;
  const common = (kind: number, name: string): [number, Buffer][] => [
    [CKA.class, ulong(kind)],
    [CKA.label, Buffer.from(name)],
    [CKA.id, Buffer.from(id, 'hex')],
  ];
  const told = publicAttributes(held.key, half);
  const keyType: [number, Buffer] = [CKA.keyType, ulong(told.keyType)];
  return [
    new Map([
      ...common(CKO.privateKey, label),
      keyType,
      [CKA.sign, Buffer.from([Number(maySign)])],
      [CKA.alwaysAuthenticate, Buffer.from([Number(alwaysAuthenticate)])],
    ]),
    ...(half === 'bare' || half === 'wrapped' ? [new Map([...common(CKO.publicKey, halfLabel), keyType, ...told.attributes])] : []),
    ...(certificate === undefined ? [] : [new Map([...common(CKO.certificate, halfLabel), [CKA.value, certificate] as const])]),
  ];
}

function publicAttributes(
  key: KeyObject,
  half: FakeKey['half'],
): { readonly keyType: number; readonly attributes: readonly (readonly [number, Buffer])[] } {
  const { kty, x = '', y = '', n = '', e = '' } = createPublicKey(key).export({ format: 'jwk' });
  const bytes = (text: string): Buffer => Buffer.from(text, 'base64url');
  const point = (body: Buffer): readonly [number, Buffer] => [
    CKA.ecPoint,
    half === 'wrapped' ? Buffer.concat([Buffer.from([4, body.length]), body]) : body,
  ];
  if (kty === 'RSA') {
    return {
      keyType: CKK.rsa,
      attributes: [
        [CKA.modulus, bytes(n)],
        [CKA.publicExponent, bytes(e)],
      ],
    };
  }
  if (kty === 'OKP') return { keyType: CKK.ecEdwards, attributes: [[CKA.ecParams, CURVES.ed25519], point(bytes(x))] };
  return {
    keyType: CKK.ec,
    attributes: [[CKA.ecParams, CURVES.p256], point(Buffer.concat([Buffer.from([4]), bytes(x), bytes(y)]))],
  };
}

function ulong(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(value);
  return bytes;
}

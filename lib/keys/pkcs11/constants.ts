/** The numbers of PKCS#11 (OASIS, version 3.1) that are used here: `pkcs11js` lacks those of ed25519, and is not always there. */

export const CKO = { certificate: 1, publicKey: 2, privateKey: 3 } as const;
export const CKK = { rsa: 0, ec: 3, ecEdwards: 0x40 } as const;
export const CKU = { user: 1, contextSpecific: 2 } as const;

export const CKA = {
  class: 0x00,
  token: 0x01,
  private: 0x02,
  label: 0x03,
  value: 0x11,
  keyType: 0x100,
  id: 0x102,
  sensitive: 0x103,
  sign: 0x108,
  verify: 0x10a,
  modulus: 0x120,
  modulusBits: 0x121,
  publicExponent: 0x122,
  extractable: 0x162,
  ecParams: 0x180,
  ecPoint: 0x181,
  alwaysAuthenticate: 0x202,
} as const;

export const CKM = {
  rsaKeyPairGen: 0x0000,
  rsaPss: 0x000d,
  sha256: 0x0250,
  sha256RsaPss: 0x0043,
  ecKeyPairGen: 0x1040,
  ecdsa: 0x1041,
  ecdsaSha256: 0x1044,
  edwardsKeyPairGen: 0x1055,
  eddsa: 0x1057,
} as const;

/** Flags: of the module, of a session, of a token. */
export const CKF = {
  osLockingOk: 0x02,
  rwSession: 0x02,
  serialSession: 0x04,
  loginRequired: 0x04,
  userPinInitialized: 0x08,
  protectedAuthenticationPath: 0x100,
  tokenInitialized: 0x400,
  userPinCountLow: 0x10000,
  userPinFinalTry: 0x20000,
  userPinLocked: 0x40000,
} as const;

/** States of a session in which the user is logged in. */
export const CKS_USER: ReadonlySet<number> = new Set([1, 3]);

/** What a call returned. */
export const CKR = {
  argumentsBad: 0x07,
  cantLock: 0x0a,
  attributeValueInvalid: 0x13,
  deviceRemoved: 0x32,
  keyHandleInvalid: 0x60,
  keyFunctionNotPermitted: 0x68,
  objectHandleInvalid: 0x82,
  pinIncorrect: 0xa0,
  pinInvalid: 0xa1,
  pinLenRange: 0xa2,
  pinExpired: 0xa3,
  pinLocked: 0xa4,
  sessionClosed: 0xb0,
  sessionHandleInvalid: 0xb3,
  curveNotSupported: 0x140,
  domainParamsInvalid: 0x130,
  tokenNotPresent: 0xe0,
  tokenNotRecognized: 0xe1,
  userAlreadyLoggedIn: 0x100,
  userPinNotInitialized: 0x102,
  cryptokiAlreadyInitialized: 0x191,
} as const;

/** Mask generation with SHA-256. */
export const CKG_MGF1_SHA256 = 2;
/** pkcs11js's own: how a parameter of a mechanism is laid out. */
export const PARAMETERS_RSA_PSS = 5;

/** The curves, as `CKA_EC_PARAMS` names them. */
export const CURVES: Readonly<Record<'p256' | 'ed25519' | 'ed25519Name', Buffer>> = {
  /** The object identifier of prime256v1, in DER. */
  p256: Buffer.from('06082a8648ce3d030107', 'hex'),
  /** The object identifier of Ed25519 (RFC 8410), in DER. */
  ed25519: Buffer.from('06032b6570', 'hex'),
  /** The text `edwards25519`, in DER, which PKCS#11 3.0 asks for. */
  ed25519Name: Buffer.from('130c656477617264733235353139', 'hex'),
};

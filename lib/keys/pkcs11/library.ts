/**
 * PKCS#11 libraries: where they are, and one of each in the process.
 *
 * Rules:
 * - `pkcs11js`, which is compiled on installation, is loaded when a token is used, and may be absent;
 * - a library is initialised once for all signers of a process, and finalised with the last of them;
 * - without a library that was named, the usual places are looked at.
 */
import { realpath } from 'node:fs/promises';
import { arch } from 'node:process';
import type { PKCS11 } from 'pkcs11js';
import { GantryError, quote } from '../../errors.ts';
import { CKF, CKR } from './constants.ts';
import { resultOf } from './failures.ts';

/** What is called of a library. */
export type Cryptoki = Pick<
  PKCS11,
  | 'C_CloseSession'
  | 'C_FindObjects'
  | 'C_FindObjectsFinal'
  | 'C_FindObjectsInit'
  | 'C_GenerateKeyPairAsync'
  | 'C_GetAttributeValue'
  | 'C_GetMechanismList'
  | 'C_GetSessionInfo'
  | 'C_GetSlotList'
  | 'C_GetTokenInfo'
  | 'C_Login'
  | 'C_OpenSession'
  | 'C_SignAsync'
  | 'C_SignInit'
>;

/** A library that is initialised. */
export interface TokenLibrary {
  readonly path: string;
  readonly cryptoki: Cryptoki;
  /** By slot: what opened a token, for keys that want it with every signature. */
  readonly pins: Map<string, string>;
  /** Finalises it with its last user. */
  release(): void;
}

interface Loaded {
  readonly module: PKCS11;
  readonly pins: Map<string, string>;
  users: number;
  /** False when somebody else in the process initialised it. */
  isOurs: boolean;
}

export const MODULE_VARIABLE = 'GANTRY_PKCS11_MODULE';

const TRIPLE = arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
const FOLDERS = [`/usr/lib/${TRIPLE}`, '/usr/lib64', '/usr/lib', '/usr/local/lib', '/opt/homebrew/lib'];
/** The proxy of p11-kit comes last: it answers with the tokens of the others once more. */
const FILES = [
  'libykcs11.so.2',
  'libykcs11.so',
  'libykcs11.dylib',
  'softhsm/libsofthsm2.so',
  'opensc-pkcs11.so',
  'pkcs11/opensc-pkcs11.so',
  'p11-kit-proxy.so',
];

/** Kept, because a library does not expect to be unloaded. */
const loaded = new Map<string, Loaded>();

/** The libraries to look at, in order. @throws GantryError `keys/token-library` when there is none */
export async function libraryPaths(
  modulePath: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly string[]> {
  const wanted = modulePath ?? (env[MODULE_VARIABLE] === '' ? undefined : env[MODULE_VARIABLE]);
  if (wanted !== undefined) {
    const path = await pathOf(wanted);
    if (path !== undefined) return [path];
    throw badLibrary(wanted, 'there is no such file');
  }
  const usual = await Promise.all(FILES.flatMap((file) => FOLDERS.map(async (folder) => pathOf(`${folder}/${file}`))));
  const found = [...new Set(usual.flatMap((path) => path ?? []))];
  if (found.length > 0) return found;
  throw new GantryError(
    'keys/token-library',
    'Cannot find a PKCS#11 library: the usual places have none of SoftHSM, OpenSC, YubiKey or p11-kit; expected one',
    {},
  );
}

async function pathOf(path: string): Promise<string | undefined> {
  return realpath(path).catch(() => undefined);
}

/**
 * @param path as `libraryPaths` found it
 * @throws GantryError `keys/token-library`, `keys/token-support`
 */
export async function openLibrary(path: string): Promise<TokenLibrary> {
  const { PKCS11: Module } = await support();
  const one = loaded.get(path) ?? { module: load(new Module(), path), pins: new Map<string, string>(), users: 0, isOurs: false };
  loaded.set(path, one);
  if (one.users === 0) one.isOurs = initialize(one.module, path);
  one.users += 1;
  let isReleased = false;
  return {
    path,
    cryptoki: one.module,
    pins: one.pins,
    release() {
      if (isReleased) return;
      isReleased = true;
      one.users -= 1;
      if (one.users > 0) return;
      one.pins.clear();
      if (one.isOurs) finalize(one.module);
    },
  };
}

async function support(): Promise<{ readonly PKCS11: new () => PKCS11 }> {
  try {
    const { default: pkcs11js } = await import('pkcs11js');
    return pkcs11js;
  } catch (cause) {
    throw new GantryError(
      'keys/token-support',
      'Cannot use tokens: the package pkcs11js is not there, or was not compiled; expected it beside gantry',
      { package: 'pkcs11js' },
      { cause },
    );
  }
}

function load(module: PKCS11, path: string): PKCS11 {
  try {
    module.load(path);
    return module;
  } catch (cause) {
    throw badLibrary(path, 'it is no PKCS#11 library of this machine', cause);
  }
}

/** True when it was not initialised yet. */
function initialize(module: PKCS11, path: string): boolean {
  try {
    try {
      // Signatures are made on another thread, so that Ctrl-C works meanwhile.
      module.C_Initialize({ flags: CKF.osLockingOk });
    } catch (error) {
      const code = resultOf(error)?.code;
      if (code !== CKR.cantLock && code !== CKR.argumentsBad) throw error;
      module.C_Initialize();
    }
    return true;
  } catch (cause) {
    if (resultOf(cause)?.code === CKR.cryptokiAlreadyInitialized) return false;
    throw badLibrary(path, `it does not start (${resultOf(cause)?.name ?? 'it says no more'})`, cause);
  }
}

function finalize(module: PKCS11): void {
  try {
    module.C_Finalize();
  } catch (error) {
    // What was signed is signed; a token that is gone cannot be left in order.
    if (resultOf(error) === undefined) throw error;
  }
}

export function badLibrary(path: string, problem: string, cause?: unknown): GantryError<'keys/token-library'> {
  return new GantryError(
    'keys/token-library',
    `Cannot load the PKCS#11 library ${quote(path)}: ${problem}; expected the one that came with the token`,
    { path },
    { cause },
  );
}

/** The root that a host was born with: the only thing that it believes without proof. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { GantryError, isGantryError } from '../errors.ts';
import { fromSystemError } from '../files/read.ts';
import { readSignedRole } from '../tuf/role.ts';
import { verifyThreshold } from '../tuf/signature.ts';
import { readTrustAnchor as readRoot } from './tuf.ts';

export interface TrustAnchor {
  readonly bytes: Uint8Array;
  readonly version: number;
}

/** From bytes, or the path of a file. @throws GantryError `client/bad-root`, `files/…` */
export async function readTrustAnchor(root: Uint8Array | string | URL): Promise<TrustAnchor> {
  if (root instanceof Uint8Array) return parseTrustAnchor(root);
  const path = root instanceof URL ? fileURLToPath(root) : root;
  try {
    return parseTrustAnchor(await readFile(path));
  } catch (error) {
    throw fromSystemError(error, path, 'read');
  }
}

/** @throws GantryError `client/bad-root` */
function parseTrustAnchor(bytes: Uint8Array): TrustAnchor {
  try {
    const { version } = readRoot(bytes);
    if (!Number.isSafeInteger(version) || version < 1) throw new RangeError(`its version is ${version}`);
    return { bytes, version };
  } catch (cause) {
    const problem = ourProblem(bytes) ?? (cause instanceof Error ? cause.message : String(cause));
    throw new GantryError('client/bad-root', `Cannot start from this root: ${problem}`, { path: 'root' }, { cause });
  }
}

/** tuf-js has refused it; our own reader says more about why. */
function ourProblem(bytes: Uint8Array): string | undefined {
  try {
    const { role, signatures } = readSignedRole(bytes, 'root');
    verifyThreshold({ signed: role, signatures }, role.keys, role.roles.root, 'root');
    return undefined;
  } catch (error) {
    if (isGantryError(error)) return error.message;
    throw error;
  }
}

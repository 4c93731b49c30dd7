/** The root that a host was born with: the only thing that it believes without proof. */
import { GantryError, isGantryError } from '../errors.ts';
import { readSignedRole } from '../tuf/role.ts';
import { verifyThreshold } from '../tuf/signature.ts';
import { readTrustAnchor } from './tuf.ts';

export interface TrustAnchor {
  readonly bytes: Uint8Array;
  readonly version: number;
}

/** @throws GantryError `client/bad-root` */
export function parseTrustAnchor(bytes: Uint8Array): TrustAnchor {
  try {
    const { version } = readTrustAnchor(bytes);
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

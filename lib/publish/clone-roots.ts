/** The root from which a clone starts, and those that lead up to it. */
import { placeUrl } from '../client/folder-url.ts';
import { transportFor } from '../client/transports.ts';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { sha256Hex } from '../tuf/hash.ts';
import { readSignedRole } from '../tuf/role.ts';
import type { Sha256Hex } from '../tuf/types.ts';

/** Whom to believe. `first-use` takes what the source has for it: whoever controls it then controls the copy. */
export type CloneTrust =
  | { readonly kind: 'root'; readonly bytes: Uint8Array }
  | { readonly kind: 'digest'; readonly sha256: Sha256Hex }
  | { readonly kind: 'first-use' };

export interface CloneRoots {
  readonly root: Uint8Array;
  readonly version: number;
  /** Ascending, without gaps up to the root. */
  readonly earlier: readonly Uint8Array[];
}

export interface RootSource {
  readonly metadataUrl: string;
  readonly ca?: Uint8Array;
  readonly signal: AbortSignal;
}

/** Every client's cap on a root, and on how many it follows. */
const ROOT_MAX_BYTES = 512_000;
const MAX_ROOTS = 1024;

/** @throws GantryError `client/bad-root` when the source has no such root, `tuf/malformed`, `http/…`, `aborted` */
export async function findRoots(source: RootSource, trust: CloneTrust): Promise<CloneRoots> {
  const folder = placeUrl(source.metadataUrl);
  const transport = transportFor([{ metadataUrl: folder, targetsUrl: folder }], source);
  const read = async (version: number): Promise<Uint8Array | undefined> => {
    try {
      return await transport.fetchBytes(new URL(`${version}.root.json`, folder), { maxBytes: ROOT_MAX_BYTES, signal: source.signal });
    } catch (error) {
      if (isGantryError(error, 'http/missing')) return undefined;
      throw error;
    }
  };
  try {
    return trust.kind === 'root' ? await before(trust.bytes, read) : await search(source.metadataUrl, trust, read);
  } finally {
    transport.close();
  }
}

type ReadRoot = (version: number) => Promise<Uint8Array | undefined>;

/** Old roots may be gone from the source: those that are there up to the first gap, downwards. */
async function before(root: Uint8Array, read: ReadRoot): Promise<CloneRoots> {
  const { version } = readSignedRole(root, 'root').role;
  const earlier: Uint8Array[] = [];
  for (let older = version - 1; older >= 1 && earlier.length < MAX_ROOTS; older -= 1) {
    const bytes = await read(older);
    if (bytes === undefined) break;
    earlier.unshift(bytes);
  }
  return { root, version, earlier };
}

async function search(place: string, trust: Exclude<CloneTrust, { readonly kind: 'root' }>, read: ReadRoot): Promise<CloneRoots> {
  const earlier: Uint8Array[] = [];
  for (let version = 1; version <= MAX_ROOTS; version += 1) {
    const bytes = await read(version);
    if (bytes === undefined) break;
    if (trust.kind === 'first-use' || sha256Hex(bytes) === trust.sha256) return { root: bytes, version, earlier };
    earlier.push(bytes);
  }
  const wanted = trust.kind === 'first-use' ? '1.root.json' : `one with SHA-256 ${trust.sha256}`;
  const problem = `Cannot start from a root of ${quote(place)}: none of its ${earlier.length} roots is it; expected ${wanted}`;
  throw new GantryError('client/bad-root', problem, { path: 'root' });
}

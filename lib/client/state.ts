/**
 * What a host has trusted before: `root.json`, `timestamp.json`, `snapshot.json`, `targets.json` in one directory, the exact bytes
 * received.
 *
 * Rules:
 * - a file that is torn, foreign or damaged is discarded and said so; it is never a reason to stop;
 * - files are replaced atomically and synced, and only with what tuf-js has accepted;
 * - the root never goes back behind the trust anchor that the caller brings.
 */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError, isGantryError } from '../errors.ts';
import { ensurePrivateDirectory, writeFileAtomic } from '../files/atomic.ts';
import { readWholeFile } from '../files/read.ts';
import { readSignedRole } from '../tuf/role.ts';
import { verifyThreshold } from '../tuf/signature.ts';
import type { Root, SignedRole, TopRoleName } from '../tuf/types.ts';

const ROLES: readonly TopRoleName[] = ['root', 'timestamp', 'snapshot', 'targets'];
const ROLE_MAX_BYTES = 64 << 20;
const SESSION_PREFIX = '.session-';

/** The roles that a session of tuf-js left in its directory, by name. */
export type RoleFiles = Readonly<Partial<Record<TopRoleName, Uint8Array>>>;

export interface ClientState {
  readonly directory: string;
  /** A private directory that holds what is trusted so far: tuf-js works there. */
  openSession(): Promise<Session>;
}

export interface Session {
  readonly directory: string;
  /** What is there now: what was seeded, and what tuf-js has accepted since. */
  read(): Promise<RoleFiles>;
  /** Makes what tuf-js accepted the new trusted state, and removes the session. */
  close(): Promise<void>;
}

/** @throws GantryError `client/bad-root` */
export function parseTrustAnchor(bytes: Uint8Array): SignedRole<Root> {
  try {
    const anchor = readSignedRole(bytes, 'root');
    verifyThreshold({ signed: anchor.role, signatures: anchor.signatures }, anchor.role.keys, anchor.role.roles.root, 'root');
    return anchor;
  } catch (cause) {
    if (!(cause instanceof GantryError)) throw cause;
    throw new GantryError('client/bad-root', `Cannot start from this root: ${cause.message}`, { path: 'root' }, { cause });
  }
}

/**
 * @param onNotice told of everything that was discarded
 * @throws GantryError `files/…`
 */
export async function openClientState(
  directory: string,
  anchor: SignedRole<Root>,
  onNotice: (notice: string) => void,
): Promise<ClientState> {
  await ensurePrivateDirectory(directory);
  return {
    directory,
    async openSession() {
      await removeSessions(directory);
      const seeded = await readTrusted(directory, anchor, onNotice);
      const session = await mkdtemp(join(directory, SESSION_PREFIX));
      for (const [name, bytes] of Object.entries(seeded)) await writeFile(join(session, `${name}.json`), bytes, { mode: 0o600 });
      return {
        directory: session,
        read: async () => readRoles(session, () => undefined),
        async close() {
          const accepted = await readRoles(session, () => undefined);
          for (const name of ROLES) {
            const bytes = accepted[name];
            const before = seeded[name];
            const isNew = bytes !== undefined && (before === undefined || Buffer.compare(bytes, before) !== 0);
            if (isNew || (name === 'root' && bytes !== undefined))
              await writeFileAtomic(join(directory, `${name}.json`), bytes, { mode: 0o600 });
          }
          await rm(session, { recursive: true, force: true });
        },
      };
    },
  };
}

/** Sessions of processes that died; the caller holds the lock, so none of them is in use. */
async function removeSessions(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const left = (await readdir(directory)).filter((name) => name.startsWith(SESSION_PREFIX));
  await Promise.all(left.map(async (name) => rm(join(directory, name), { recursive: true, force: true })));
}

async function readTrusted(directory: string, anchor: SignedRole<Root>, onNotice: (notice: string) => void): Promise<RoleFiles> {
  const stored = await readRoles(directory, onNotice);
  const root = stored.root === undefined ? undefined : storedRoot(stored.root, onNotice);
  // A host image may bring a newer root than the one it has walked to.
  const newest = root !== undefined && root.role.version >= anchor.role.version ? root : anchor;
  return { ...stored, root: newest.bytes };
}

function storedRoot(bytes: Uint8Array, onNotice: (notice: string) => void): SignedRole<Root> | undefined {
  try {
    return parseTrustAnchor(bytes);
  } catch (error) {
    if (!isGantryError(error)) throw error;
    onNotice(`Discarded the stored root.json: ${error.message}`);
    return undefined;
  }
}

async function readRoles(directory: string, onNotice: (notice: string) => void): Promise<RoleFiles> {
  const found: Partial<Record<TopRoleName, Uint8Array>> = {};
  for (const name of ROLES) {
    try {
      const bytes = await readWholeFile(join(directory, `${name}.json`), { maxBytes: ROLE_MAX_BYTES });
      readSignedRole(bytes, name);
      found[name] = bytes;
    } catch (error) {
      if (!isGantryError(error)) throw error;
      if (error.code !== 'files/missing') onNotice(`Discarded the stored ${name}.json: ${error.message}`);
    }
  }
  return found;
}

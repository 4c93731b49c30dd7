/**
 * What a host has trusted before: `root.json`, `timestamp.json`, `snapshot.json`, `targets.json` in one directory, the exact bytes
 * received, and `roots/N.root.json`, the way from the trust anchor to `root.json`.
 *
 * Rules:
 * - a file that is torn, foreign or damaged is discarded and said so; it is never a reason to stop;
 * - files are replaced atomically and synced, and only with what tuf-js has accepted;
 * - every refresh starts at the trust anchor that the caller brings: a stored root counts because tuf-js has walked to it over
 *   `roots/`, never because it lies there.
 */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { GantryError, isGantryError } from '../errors.ts';
import { ensurePrivateDirectory, writeFileAtomic } from '../files/atomic.ts';
import { fromSystemError, readWholeFile } from '../files/read.ts';
import { readSignedRole } from '../tuf/role.ts';
import { verifyThreshold } from '../tuf/signature.ts';
import type { Root, SignedRole, TopRoleName } from '../tuf/types.ts';

const ROLES: readonly TopRoleName[] = ['root', 'timestamp', 'snapshot', 'targets'];
const ROLE_MAX_BYTES = 64 << 20;
const ROOTS = 'roots';
const SESSION_PREFIX = '.session-';
/** What a process that died may have left: its session, a spool that it had no time to unname, a file before its rename. */
const LEFTOVER = /^\.(?:session-|spool-|(?:[0-9]+\.)?(?:root|timestamp|snapshot|targets)\.json\..*\.tmp$)/u;

/** The roles that a session of tuf-js left in its directory, by name. */
export type RoleFiles = Readonly<Partial<Record<TopRoleName, Uint8Array>>>;

export interface ClientState {
  readonly directory: string;
  /** A private directory that holds what is trusted so far: tuf-js works there. The caller holds the lock. */
  openSession(): Promise<Session>;
}

export interface Session {
  readonly directory: string;
  /** What is there now: what was seeded, and what tuf-js has accepted since. @param onProblem told what we cannot read */
  read(onProblem?: (problem: string) => void): Promise<RoleFiles>;
  /** The root of this version that was accepted in an earlier session. */
  storedRoot(version: number): Promise<Uint8Array | undefined>;
  /** It does not follow from the root before it. */
  discardRoot(version: number, reason: string): Promise<void>;
  /** Stored at the end when tuf-js has accepted it. */
  offerRoot(version: number, bytes: Uint8Array): void;
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
      const stored = await writing(directory, async () => {
        await removeLeftovers(directory);
        return readRoles(directory, discarding(onNotice));
      });
      const session = await writing(directory, async () => seedSession(directory, { ...stored, root: anchor.bytes }));
      // A later run may bring an older anchor, and the server may no longer have what lies between.
      const offered = new Map(anchor.role.version > 1 ? [[anchor.role.version, anchor.bytes]] : []);
      return {
        directory: session,
        read: async (onProblem = () => undefined) => readRoles(session, onProblem),
        storedRoot: async (version) => readStored(rootPath(directory, version), 'root', discarding(onNotice)),
        async discardRoot(version, reason) {
          onNotice(`Discarded the stored ${version}.root.json: ${reason}`);
          await rm(rootPath(directory, version), { force: true });
        },
        offerRoot: (version, bytes) => offered.set(version, bytes),
        async close() {
          try {
            const accepted = await readRoles(session, () => undefined);
            await promoteRoots(directory, offered, accepted.root);
            await promoteRoles(directory, stored, accepted, onNotice);
          } finally {
            await rm(session, { recursive: true, force: true });
          }
        },
      };
    },
  };
}

async function seedSession(directory: string, seeds: RoleFiles): Promise<string> {
  const session = await mkdtemp(join(directory, SESSION_PREFIX));
  try {
    for (const [name, bytes] of Object.entries(seeds)) await writeFile(join(session, `${name}.json`), bytes, { mode: 0o600 });
    return session;
  } catch (error) {
    await rm(session, { recursive: true, force: true });
    throw error;
  }
}

async function writing<T>(directory: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fromSystemError(error, directory, 'write');
  }
}

function rootPath(directory: string, version: number): string {
  return join(directory, ROOTS, `${version}.root.json`);
}

/** The caller holds the lock, so nobody is at work here, except with spools, and those do not need their names. */
async function removeLeftovers(directory: string): Promise<void> {
  await ensurePrivateDirectory(directory);
  for (const folder of [directory, join(directory, ROOTS)]) {
    const names = await readdir(folder).catch(() => []);
    const left = names.filter((name) => LEFTOVER.test(name));
    await Promise.all(left.map(async (name) => rm(join(folder, name), { recursive: true, force: true })));
  }
}

/** Before the roles, so that a crash between them leaves the way to every root that `root.json` may be. */
async function promoteRoots(directory: string, offered: ReadonlyMap<number, Uint8Array>, root: Uint8Array | undefined): Promise<void> {
  const newest = root === undefined ? 0 : readSignedRole(root, 'root').role.version;
  for (const [version, bytes] of offered) {
    const path = rootPath(directory, version);
    if (version > newest || (await isStored(path, bytes))) continue;
    await ensurePrivateDirectory(join(directory, ROOTS));
    await writeFileAtomic(path, bytes, { mode: 0o600 });
  }
}

async function isStored(path: string, bytes: Uint8Array): Promise<boolean> {
  const stored = await readStored(path, 'root', () => undefined);
  return stored !== undefined && Buffer.compare(stored, bytes) === 0;
}

async function promoteRoles(directory: string, stored: RoleFiles, accepted: RoleFiles, onNotice: (notice: string) => void): Promise<void> {
  for (const name of ROLES) {
    const [before, after] = [stored[name], accepted[name]];
    if (after === undefined || (before !== undefined && Buffer.compare(before, after) === 0)) continue;
    if (before !== undefined) noticeDisbelief(name, before, after, onNotice);
    await writeFileAtomic(join(directory, `${name}.json`), after, { mode: 0o600 });
  }
}

/** tuf-js passes over a stored file that it does not believe without a word, and takes any version in its place. */
function noticeDisbelief(name: TopRoleName, before: Uint8Array, after: Uint8Array, onNotice: (notice: string) => void): void {
  const [stored, accepted] = [before, after].map((bytes) => readSignedRole(bytes, name).role.version);
  if (stored === undefined || accepted === undefined || stored < accepted) return;
  onNotice(
    `Discarded the stored ${name}.json, version ${stored}: it does not follow from the trust anchor; version ${accepted} is now trusted`,
  );
}

function discarding(onNotice: (notice: string) => void): (problem: string) => void {
  return (problem) => onNotice(`Discarded the stored ${problem}`);
}

async function readRoles(directory: string, onProblem: (problem: string) => void): Promise<RoleFiles> {
  const found: Partial<Record<TopRoleName, Uint8Array>> = {};
  for (const name of ROLES) {
    const bytes = await readStored(join(directory, `${name}.json`), name, onProblem);
    if (bytes !== undefined) found[name] = bytes;
  }
  return found;
}

/** Undefined when it is missing, or not such a role at all. */
async function readStored(path: string, name: TopRoleName, onProblem: (problem: string) => void): Promise<Uint8Array | undefined> {
  try {
    const bytes = await readWholeFile(path, { maxBytes: ROLE_MAX_BYTES });
    readSignedRole(bytes, name);
    return bytes;
  } catch (error) {
    if (!isGantryError(error)) throw error;
    if (error.code !== 'files/missing') onProblem(`${basename(path)}: ${error.message}`);
    return undefined;
  }
}

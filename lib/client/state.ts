/**
 * What a host has trusted before: `root.json`, `timestamp.json`, `snapshot.json`, `targets.json` in one directory, the exact bytes
 * received; `roots/N.root.json`, the way from the trust anchor to `root.json`; `delegated/ROLE.json`; and `trusted-time.json`.
 *
 * Rules:
 * - a file that is torn, foreign or damaged is discarded and said so; it is never a reason to stop;
 * - files are replaced atomically and synced, and only with what tuf-js has accepted;
 * - every refresh starts at the trust anchor that the caller brings: a stored root counts because tuf-js has walked to it over
 *   `roots/`, never because it lies there;
 * - what is stored for a delegated role is a cache: the snapshot says which version and digest it must have.
 */
import { readdir, rm } from 'node:fs/promises';
import { readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { ensurePrivateDirectory, writeFileAtomic } from '../files/atomic.ts';
import { fromSystemError, readWholeFile } from '../files/read.ts';
import { readSignedRole } from '../tuf/role.ts';
import type { TopRoleName } from '../tuf/types.ts';
import type { TrustAnchor } from './anchor.ts';
import { isSame, isTopRole, isWhole, TOP_ROLES, versionOf, type RoleFiles } from './role-files.ts';
import { readTrustedTime, saveTrustedTime } from './trusted-time.ts';
import type { RoleStorage } from './tuf.ts';

/** 100,000 targets as other tools write them have 20 MB. */
export const ROLE_MAX_BYTES: number = 64 << 20;
const ROOTS = 'roots';
const DELEGATED = 'delegated';
/** A file name has 255 bytes at most. What is longer is fetched each time. */
const MAX_FILE_NAME = 240;
/** What a process that died may have left: a spool that it had no time to unname, a file before its rename. */
const LEFTOVER = /^\.(?:session-|spool-|.*\.json\..*\.tmp$)/u;

export interface ClientState {
  readonly directory: string;
  /** What is trusted so far. The caller holds the lock. */
  openSession(): Promise<Session>;
}

/** What tuf-js reads and accepts between two visits to the disk. */
export interface Session extends RoleStorage {
  /** What lay in the directory, as far as it can be read. */
  readonly before: RoleFiles;
  /** What is trusted now: what lay there, and what was accepted since. */
  current(): RoleFiles;
  /** The time of the last refresh that succeeded. */
  readonly trustedTime: Date | undefined;
  /** The root of this version that was accepted in an earlier session. */
  storedRoot(version: number): Promise<Uint8Array | undefined>;
  /** It does not follow from the root before it. */
  discardRoot(version: number, reason: string): Promise<void>;
  /** Whether anything was accepted that is not on the disk. */
  hasNews(): boolean;
  /** Forgets what was accepted but roots: it was refused after all. */
  forget(): void;
  /** Makes what was accepted the new trusted state. The caller holds the lock. @param trustedAt when all of it held together */
  save(trustedAt?: Date): Promise<void>;
}

/**
 * @param onNotice told of everything that was discarded
 * @throws GantryError `files/…`
 */
export async function openClientState(directory: string, anchor: TrustAnchor, onNotice: (notice: string) => void): Promise<ClientState> {
  await ensurePrivateDirectory(directory);
  // The disk is told less often.
  const memory: Memory = {};
  return {
    directory,
    async openSession() {
      const stored = await writing(directory, async () => {
        await removeLeftovers(directory);
        return readRoles(directory, discarding(onNotice));
      });
      const time = await readTrustedTime(directory, stored, onNotice);
      return new StateSession({ directory, anchor, stored, time, memory, onNotice });
    },
  };
}

/** What is known as long as the process lives. */
interface Memory {
  trustedAt?: Date;
}

interface Parts {
  readonly directory: string;
  readonly anchor: TrustAnchor;
  readonly stored: RoleFiles;
  /** Of the last refresh that succeeded, as it is stored. */
  readonly time: Date | undefined;
  readonly memory: Memory;
  readonly onNotice: (notice: string) => void;
}

class StateSession implements Session {
  readonly #parts: Parts;
  #stored: RoleFiles;
  /** Not on the disk yet, by role. The root from which everything started may not be there either. */
  readonly #accepted: Map<string, Uint8Array>;
  readonly #roots = new Map<number, Uint8Array>();
  /** Roots that lie there already. */
  readonly #known = new Map<number, Uint8Array>();

  constructor(parts: Parts) {
    this.#parts = parts;
    const { anchor, stored } = parts;
    this.#stored = stored;
    this.#accepted = new Map([['root', anchor.bytes]]);
    // A later run may bring an older anchor, and the server may no longer have what lies between.
    if (anchor.version > 1) this.#roots.set(anchor.version, anchor.bytes);
  }

  get trustedTime(): Date | undefined {
    const { time, memory } = this.#parts;
    return time !== undefined && (memory.trustedAt ?? 0) < time ? time : memory.trustedAt;
  }

  get before(): RoleFiles {
    return this.#stored;
  }

  read(role: string): Uint8Array | undefined {
    const { anchor, directory } = this.#parts;
    if (role === 'root') return anchor.bytes;
    return isTopRole(role) ? this.#stored[role] : (this.#accepted.get(role) ?? readDelegated(directory, role));
  }

  accept(role: string, bytes: Uint8Array): void {
    this.#accepted.set(role, bytes);
    if (role !== 'root') return;
    const version = versionOf(bytes) ?? 0;
    const known = this.#known.get(version);
    if (known === undefined || !isSame(known, bytes)) this.#roots.set(version, bytes);
  }

  current(): RoleFiles {
    const top = [...this.#accepted].filter(([role]) => isTopRole(role));
    return { ...this.#stored, ...Object.fromEntries(top) };
  }

  async storedRoot(version: number): Promise<Uint8Array | undefined> {
    const { directory, onNotice } = this.#parts;
    const bytes = await readStored(rootPath(directory, version), 'root', discarding(onNotice));
    if (bytes !== undefined) this.#known.set(version, bytes);
    return bytes;
  }

  async discardRoot(version: number, reason: string): Promise<void> {
    const { directory, onNotice } = this.#parts;
    onNotice(`Discarded the stored ${version}.root.json: ${reason}`);
    await writing(directory, async () => rm(rootPath(directory, version), { force: true }));
  }

  hasNews(): boolean {
    return this.#accepted.size > 0;
  }

  forget(): void {
    for (const role of [...this.#accepted.keys()].filter((each) => each !== 'root')) this.#accepted.delete(role);
  }

  async save(trustedAt?: Date): Promise<void> {
    const { directory, time, memory } = this.#parts;
    await this.#saveRoots();
    for (const role of TOP_ROLES) await this.#saveTopRole(role);
    const delegated = [...this.#accepted].filter(([role]) => !isTopRole(role));
    for (const [role, bytes] of delegated) await saveDelegated(directory, role, bytes);
    if (trustedAt !== undefined) {
      memory.trustedAt = trustedAt;
      await saveTrustedTime(directory, trustedAt, { stored: time, isNews: [...this.#accepted.keys()].some((role) => role !== 'root') });
      const snapshot = this.#accepted.get('snapshot');
      if (snapshot !== undefined) await pruneDelegated(directory, snapshot);
    }
    // What is large is not held for as long as the client lives; tuf-js has read it.
    this.#stored = {};
    this.#accepted.clear();
  }

  /** Before the roles, so that a crash between them leaves the way to every root that `root.json` may be. */
  async #saveRoots(): Promise<void> {
    const { directory } = this.#parts;
    for (const [version, bytes] of this.#roots) {
      const path = rootPath(directory, version);
      const stored = await readStored(path, 'root', () => undefined);
      if (stored !== undefined && isSame(stored, bytes)) continue;
      await ensurePrivateDirectory(join(directory, ROOTS));
      await writeFileAtomic(path, bytes, { mode: 0o600 });
    }
    this.#roots.clear();
  }

  async #saveTopRole(role: TopRoleName): Promise<void> {
    const { directory, onNotice } = this.#parts;
    const [before, after] = [this.#stored[role], this.#accepted.get(role)];
    if (after === undefined || (before !== undefined && isSame(before, after))) return;
    if (before !== undefined) noticeDisbelief(role, before, after, onNotice);
    await writeFileAtomic(join(directory, `${role}.json`), after, { mode: 0o600 });
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

/** Undefined when the name of the role is too long for a file. */
function delegatedPath(directory: string, role: string): string | undefined {
  const name = `${encodeURIComponent(role.toWellFormed())}.json`;
  return name.length > MAX_FILE_NAME || !role.isWellFormed() ? undefined : join(directory, DELEGATED, name);
}

/** tuf-js asks for it in the middle of its walk, and does not wait. What cannot be read is fetched. */
function readDelegated(directory: string, role: string): Uint8Array | undefined {
  const path = delegatedPath(directory, role);
  try {
    return path === undefined || statSync(path).size > ROLE_MAX_BYTES ? undefined : readFileSync(path);
  } catch {
    return undefined;
  }
}

async function saveDelegated(directory: string, role: string, bytes: Uint8Array): Promise<void> {
  const path = delegatedPath(directory, role);
  if (path === undefined) return;
  await ensurePrivateDirectory(join(directory, DELEGATED));
  await writeFileAtomic(path, bytes, { mode: 0o600 });
}

/** Roles that are no longer in the repository would stay for ever. */
async function pruneDelegated(directory: string, snapshot: Uint8Array): Promise<void> {
  const names = await readdir(join(directory, DELEGATED)).catch(() => []);
  if (names.length === 0) return;
  // Accepted by tuf-js, which has looked at every entry.
  const { meta } = JSON.parse(Buffer.from(snapshot).toString('utf8')).signed as { readonly meta: Readonly<Record<string, unknown>> };
  const known = new Set(Object.keys(meta).map((file) => `${encodeURIComponent(file.slice(0, -'.json'.length).toWellFormed())}.json`));
  const gone = names.filter((name) => !known.has(name));
  for (const name of gone) await writing(directory, async () => rm(join(directory, DELEGATED, name), { recursive: true, force: true }));
}

/** The caller holds the lock, so nobody is at work here, except with spools, and those do not need their names. */
async function removeLeftovers(directory: string): Promise<void> {
  await ensurePrivateDirectory(directory);
  for (const folder of [directory, join(directory, ROOTS), join(directory, DELEGATED)]) {
    const names = await readdir(folder).catch(() => []);
    const left = names.filter((name) => LEFTOVER.test(name));
    await Promise.all(left.map(async (name) => rm(join(folder, name), { recursive: true, force: true })));
  }
}

/** tuf-js passes over a stored file that it does not believe without a word, and takes any version in its place. */
function noticeDisbelief(name: TopRoleName, before: Uint8Array, after: Uint8Array, onNotice: (notice: string) => void): void {
  const [stored, accepted] = [before, after].map(versionOf);
  if (stored === undefined) return onNotice(`Discarded the stored ${name}.json: it is damaged`);
  if (accepted === undefined || stored < accepted) return;
  onNotice(
    `Discarded the stored ${name}.json, version ${stored}: it does not follow from the trust anchor; version ${accepted} is now trusted`,
  );
}

function discarding(onNotice: (notice: string) => void): (problem: string) => void {
  return (problem) => onNotice(`Discarded the stored ${problem}`);
}

async function readRoles(directory: string, onProblem: (problem: string) => void): Promise<RoleFiles> {
  const found: Partial<Record<TopRoleName, Uint8Array>> = {};
  for (const name of TOP_ROLES) {
    const bytes = await readStored(join(directory, `${name}.json`), name, onProblem);
    if (bytes !== undefined) found[name] = bytes;
  }
  return found;
}

/** Undefined when it is missing, or visibly torn. Whether it is to be believed is for tuf-js to say. */
async function readStored(path: string, name: TopRoleName, onProblem: (problem: string) => void): Promise<Uint8Array | undefined> {
  try {
    const bytes = await readWholeFile(path, { maxBytes: ROLE_MAX_BYTES });
    if (isWhole(bytes, name)) return bytes;
    // It knows why.
    readSignedRole(bytes, name);
    throw new GantryError('tuf/malformed', `Cannot read ${name} metadata: it is of another role than ${quote(name)}`, {
      what: name,
      at: name,
    });
  } catch (error) {
    if (!isGantryError(error)) throw error;
    if (error.code !== 'files/missing') onProblem(`${basename(path)}: ${error.message}`);
    return undefined;
  }
}

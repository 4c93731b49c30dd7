/**
 * Locks between processes.
 *
 * The lock is an exclusive transaction of the built-in SQLite: the kernel releases it when its holder dies, however it dies
 * (design D9). A lease or a file that says "locked" would outlive a crash.
 */
import { constants } from 'node:fs';
import { access, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type * as Sqlite from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { GantryError, isGantryError, quote, refuseAborted } from '../errors.ts';
import { fromSystemError } from './system-error.ts';

export interface LockOptions {
  /** How long to wait for another holder, in milliseconds. */
  readonly waitMs: number;
  readonly signal?: AbortSignal;
  /** What becomes of the file: `keep` by default; `remove` where nobody should find it: then its folder is not made either. */
  readonly after?: 'keep' | 'remove';
}

const POLL_MS = 20;
const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;

/** Who waits or holds in this process, in order: SQLite would let them poll. */
const queues = new Map<string, Promise<void>>();

/**
 * Runs `work` while nobody else holds the lock at `path`, a file that is made when it is missing.
 *
 * @throws GantryError `files/locked` when it is not free in time, `files/not-writable`, `files/disk-full`, `aborted`
 */
export async function withLock<T>(path: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const key = resolve(path);
  const deadline = performance.now() + options.waitMs;
  const before = queues.get(key) ?? Promise.resolve();
  const { promise: done, resolve: leave } = Promise.withResolvers<void>();
  // Who gives up keeps its place until it would have been its turn, so that the next one still waits for the holder.
  const stay = async (): Promise<void> => {
    await before;
    await done;
    if (queues.get(key) === mine) queues.delete(key);
  };
  const mine = stay();
  queues.set(key, mine);
  try {
    await waitForTurn(before, key, options);
    return await holdLock(key, deadline, options, work);
  } finally {
    leave();
  }
}

async function waitForTurn(before: Promise<void>, path: string, options: LockOptions): Promise<void> {
  const over = new AbortController();
  const signal = options.signal === undefined ? over.signal : AbortSignal.any([over.signal, options.signal]);
  const late = delay(options.waitMs, 'late', { signal }).catch(() => 'cancelled');
  const first = await Promise.race([before.then(() => 'free'), late]);
  over.abort();
  refuseAborted(options.signal);
  if (first === 'late') throw locked(path, options);
}

async function holdLock<T>(path: string, deadline: number, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const { DatabaseSync } = loadSqlite();
  if (options.after !== 'remove') {
    await mkdir(dirname(path), { recursive: true }).catch((error: unknown) => {
      throw fromSystemError(error, path, 'lock');
    });
  }
  for (;;) {
    const before = options.after === 'remove' ? await madeFile(path) : undefined;
    const database = openDatabase(() => new DatabaseSync(path, { timeout: 0 }), path);
    try {
      // Whoever held it before may have removed it: then this would be the lock of a file that nobody else finds.
      const isGone = async (): Promise<boolean> => before !== undefined && (await identityOf(path)) !== before;
      try {
        await refuseReadOnly(path);
        await begin(database, path, deadline, options);
      } catch (error) {
        if (isGantryError(error, 'files/locked') || isGantryError(error, 'aborted') || !(await isGone())) throw error;
        continue;
      }
      if (await isGone()) continue;
      try {
        return await work();
      } finally {
        if (before !== undefined) await rm(path, { force: true });
      }
    } finally {
      database.close();
    }
  }
}

async function madeFile(path: string): Promise<string> {
  for (;;) {
    await writeFile(path, '', { flag: 'a', mode: 0o600 }).catch((error: unknown) => {
      throw fromSystemError(error, path, 'write');
    });
    const identity = await identityOf(path);
    if (identity !== undefined) return identity;
  }
}

/** Never the same for two files, as the number of an inode may be. */
async function identityOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found === undefined ? undefined : `${found.ino} ${found.birthtimeNs}`;
}

let sqlite: typeof Sqlite | undefined;

/** On some Nodes the first load warns that SQLite is experimental, which a user cannot act on; every other warning passes. */
function loadSqlite(): typeof Sqlite {
  if (sqlite !== undefined) return sqlite;
  const original: unknown = Reflect.get(process, 'emitWarning');
  const emit = process.emitWarning.bind(process);
  process.emitWarning = (...args: readonly unknown[]) => {
    if (!String(args[0]).startsWith('SQLite is an experimental feature')) Reflect.apply(emit, process, args);
  };
  try {
    // Loaded at once, so that nobody else can warn while we listen.
    sqlite = process.getBuiltinModule('node:sqlite');
    return sqlite;
  } finally {
    Reflect.set(process, 'emitWarning', original);
  }
}

interface Database {
  exec(sql: string): void;
  close(): void;
}

function openDatabase<D extends Database>(make: () => D, path: string): D {
  try {
    return make();
  } catch (error) {
    throw unusable(path, error);
  }
}

/** SQLite opens what it may not write all the same, and then makes an exclusive transaction one that excludes nobody. */
async function refuseReadOnly(path: string): Promise<void> {
  await access(path, constants.W_OK).catch((error: unknown) => {
    throw fromSystemError(error, path, 'lock');
  });
}

async function begin(database: Database, path: string, deadline: number, options: LockOptions): Promise<void> {
  for (;;) {
    refuseAborted(options.signal);
    try {
      database.exec('BEGIN EXCLUSIVE');
      return;
    } catch (error) {
      if (!hasCode(error, SQLITE_BUSY)) throw unusable(path, error);
    }
    if (performance.now() >= deadline) throw locked(path, options);
    // A cancelled wait ends early, and the next round says so.
    await delay(POLL_MS, undefined, options.signal === undefined ? {} : { signal: options.signal }).catch(() => undefined);
  }
}

function locked(path: string, { waitMs }: LockOptions): GantryError {
  return new GantryError('files/locked', `Cannot go on: somebody else holds ${quote(path)}; expected it to be free within ${waitMs} ms`, {
    path,
  });
}

function unusable(path: string, cause: unknown): GantryError {
  const problem = cause instanceof Error ? cause.message : String(cause);
  if (hasCode(cause, SQLITE_FULL)) {
    return new GantryError('files/disk-full', `Cannot lock ${quote(path)}: the disk is full`, { path }, { cause });
  }
  return new GantryError('files/not-writable', `Cannot lock ${quote(path)}: it cannot be used as a lock (${problem})`, { path }, { cause });
}

/** Extended codes have the plain one in their last byte. */
function hasCode(error: unknown, code: number): boolean {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' && (error.errcode & 0xff) === code;
}

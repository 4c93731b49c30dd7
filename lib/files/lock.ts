/**
 * Locks between processes.
 *
 * The lock is an exclusive transaction of the built-in SQLite: the kernel releases it when its holder dies, however it dies
 * (design D9). A lease or a file that says "locked" would outlive a crash.
 */
import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { GantryError, quote } from '../errors.ts';
import { fromSystemError } from './system-error.ts';

export interface LockOptions {
  /** How long to wait for another holder, in milliseconds. */
  readonly waitMs: number;
  readonly signal?: AbortSignal;
}

const POLL_MS = 20;
const SQLITE_BUSY = 5;

/** Holders in this process, which SQLite would not make wait for each other in order. */
const queues = new Map<string, Promise<unknown>>();

/**
 * Runs `work` while nobody else holds the lock at `path`, a file that is made when it is missing.
 *
 * @throws GantryError `files/locked` when it is not free in time
 */
export async function withLock<T>(path: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const key = resolve(path);
  const deadline = performance.now() + options.waitMs;
  const before = queues.get(key) ?? Promise.resolve();
  const mine = before.then(
    async () => holdLock(key, deadline, options, work),
    async () => holdLock(key, deadline, options, work),
  );
  const settled = mine.then(
    () => undefined,
    () => undefined,
  );
  queues.set(key, settled);
  try {
    return await mine;
  } finally {
    if (queues.get(key) === settled) queues.delete(key);
  }
}

async function holdLock<T>(path: string, deadline: number, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const { DatabaseSync } = await import('node:sqlite');
  await mkdir(dirname(path), { recursive: true }).catch((error: unknown) => {
    throw fromSystemError(error, path, 'lock');
  });
  const database = openDatabase(() => new DatabaseSync(path, { timeout: 0 }), path);
  try {
    await begin(database, path, deadline, options);
    return await work();
  } finally {
    database.close();
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
    throw new GantryError('files/not-writable', `Cannot lock ${quote(path)}: the lock file cannot be opened`, { path }, { cause: error });
  }
}

async function begin(database: Database, path: string, deadline: number, options: LockOptions): Promise<void> {
  for (;;) {
    options.signal?.throwIfAborted();
    try {
      database.exec('BEGIN EXCLUSIVE');
      return;
    } catch (error) {
      if (!isBusy(error)) {
        throw new GantryError(
          'files/not-writable',
          `Cannot lock ${quote(path)}: the lock file cannot be written`,
          { path },
          { cause: error },
        );
      }
    }
    if (performance.now() >= deadline) {
      throw new GantryError(
        'files/locked',
        `Cannot go on: another process holds ${quote(path)}; expected it to be free within ${options.waitMs} ms`,
        {
          path,
        },
      );
    }
    await delay(POLL_MS, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' && (error.errcode & 0xff) === SQLITE_BUSY;
}

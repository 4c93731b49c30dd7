/**
 * A store that lies, in front of one that does not: what networks, caches and servers do to a publisher.
 *
 * Rules:
 * - a lie never changes what is stored: the store behind it holds what hosts get, and judges;
 * - several publishers share the history that stale answers come from, and each lies for itself;
 * - a write whose answer is lost may take effect at once, later, or never.
 */
import { GantryError } from '../../lib/errors.ts';
import type { ByteSource, ObjectInfo, Store, StorePath, StoreVersion, StoredObject, WriteOptions } from '../../lib/store/store.ts';
import { bytesSource } from '../../lib/store/source.ts';
import { collect } from './bytes.ts';

export const LIES = [
  'none',
  /** A 500, or a slow-down: nothing happened. */
  'refused',
  /** A timeout, and the write has taken effect. */
  'unanswered',
  /** A timeout, and the write takes effect a few calls later, if its condition still holds then. */
  'late',
  /** What was there before the last write, or that nothing was. */
  'stale',
  /** The bytes from before, with the version and digest of now: two caches that do not agree. */
  'torn',
  /** A missing object is denied. */
  'denied',
  /** A listing ends early and says nothing. */
  'truncated',
  /** The version of an object is written in another form from now on, as a copy or a multipart upload changes an ETag. */
  'reworded',
] as const;
export type Lie = (typeof LIES)[number];

/** Calls until a late write takes effect. */
const LATE_CALLS = 5;
const OTHER_FORM = '-2';

interface Kept {
  readonly info: ObjectInfo;
  readonly bytes: Uint8Array;
}

export interface LyingWorld {
  /** @param nextLie asked at every call */
  storeFor(nextLie: (path: string) => Lie): Store;
  /** Whatever is under way takes effect now. */
  settle(): Promise<void>;
  /** How often each lie was told to somebody it could mislead. */
  readonly told: Readonly<Partial<Record<Lie, number>>>;
}

export function createLyingWorld(inner: Store): LyingWorld {
  const world = new World(inner);
  return { storeFor: (nextLie) => world.storeFor(nextLie), settle: async () => world.settle(), told: world.told };
}

class World {
  readonly told: Partial<Record<Lie, number>> = {};
  readonly #inner: Store;
  readonly #before = new Map<StorePath, Kept | undefined>();
  readonly #reworded = new Set<StoreVersion>();
  #late: { calls: number; readonly write: () => Promise<void> }[] = [];

  constructor(inner: Store) {
    this.#inner = inner;
  }

  storeFor(nextLie: (path: string) => Lie): Store {
    const turn = async (path: string): Promise<Lie> => {
      await this.#elapse();
      return nextLie(path);
    };
    return {
      description: this.#inner.description,
      read: async (path) => this.#read(path, await turn(path)),
      head: async (path) => this.#head(path, await turn(path)),
      write: async (path, source, options) => this.#write(path, source, options, await turn(path)),
      list: (prefix) => this.#list(prefix, turn),
      remove: async (path) => this.#inner.remove(path),
    };
  }

  async settle(): Promise<void> {
    for (const { write } of this.#late.splice(0)) await write();
  }

  async #elapse(): Promise<void> {
    for (const one of this.#late) one.calls -= 1;
    const due = this.#late.filter(({ calls }) => calls <= 0);
    this.#late = this.#late.filter(({ calls }) => calls > 0);
    for (const { write } of due) await write();
  }

  async #read(path: StorePath, lie: Lie): Promise<StoredObject> {
    if (lie === 'refused' || lie === 'unanswered' || lie === 'late') throw this.#tell(lie, failed(path, 'read'));
    const now = await this.#now(path);
    const before = this.#before.has(path) ? { kept: this.#before.get(path) } : undefined;
    if (lie === 'stale' && before !== undefined) {
      this.#count(lie);
      return objectOf(path, before.kept);
    }
    if (lie === 'torn' && now !== undefined && before?.kept !== undefined) {
      this.#count(lie);
      return objectOf(path, { info: this.#worded(now.info), bytes: before.kept.bytes });
    }
    if (lie === 'denied' && now === undefined) throw this.#tell(lie, denied(path));
    this.#reword(now?.info, lie);
    return objectOf(path, now === undefined ? undefined : { ...now, info: this.#worded(now.info) });
  }

  async #head(path: StorePath, lie: Lie): Promise<ObjectInfo | undefined> {
    if (lie === 'refused' || lie === 'unanswered' || lie === 'late') throw this.#tell(lie, failed(path, 'head'));
    const info = await this.#inner.head(path);
    if (lie === 'stale' && this.#before.has(path)) {
      this.#count(lie);
      return this.#before.get(path)?.info;
    }
    if (lie === 'denied' && info === undefined) throw this.#tell(lie, denied(path));
    this.#reword(info, lie);
    return info === undefined ? undefined : this.#worded(info);
  }

  async #write(path: StorePath, source: ByteSource, options: WriteOptions, lie: Lie): Promise<StoreVersion> {
    if (lie === 'refused') throw this.#tell(lie, failed(path, 'write'));
    // What the publisher sends is sent by now, whatever becomes of it.
    const sent = bytesSource(await collect(source.open()));
    const { signal: _, ...kept } = options;
    if (lie === 'late') {
      const write = async (): Promise<void> => void (await this.#effect(path, sent, kept).catch(ifRefused));
      this.#late.push({ calls: LATE_CALLS, write });
      throw this.#tell(lie, failed(path, 'write'));
    }
    const version = await this.#effect(path, sent, kept);
    if (lie === 'unanswered') throw this.#tell(lie, failed(path, 'write'));
    return version;
  }

  async #effect(path: StorePath, source: ByteSource, options: WriteOptions): Promise<StoreVersion> {
    const { expect } = options;
    const before = await this.#now(path);
    const isReworded = before !== undefined && this.#reworded.has(before.info.version);
    const stated = expect === 'absent' ? undefined : expect.version;
    // Only the form that counts now is known to the server.
    const meant = isReworded && stated === `${before.info.version}${OTHER_FORM}` ? before.info.version : stated;
    const unknown = isReworded && stated === before.info.version ? (`${stated}-old` as StoreVersion) : meant;
    const version = await this.#inner.write(path, source, { ...options, expect: unknown === undefined ? 'absent' : { version: unknown } });
    this.#before.set(path, before);
    return version;
  }

  async *#list(prefix: string, turn: (path: string) => Promise<Lie>): AsyncGenerator<ObjectInfo, void, undefined> {
    const lie = await turn(prefix);
    if (lie === 'refused') throw this.#tell(lie, failed(prefix as StorePath, 'list'));
    for await (const info of this.#inner.list(prefix)) {
      if (lie === 'truncated') {
        this.#count(lie);
        return;
      }
      yield this.#worded(info);
    }
  }

  async #now(path: StorePath): Promise<Kept | undefined> {
    if ((await this.#inner.head(path)) === undefined) return undefined;
    const { info, body } = await this.#inner.read(path);
    return { info, bytes: await collect(body) };
  }

  #reword(info: ObjectInfo | undefined, lie: Lie): void {
    if (lie !== 'reworded' || info === undefined || this.#reworded.has(info.version)) return;
    this.#count(lie);
    this.#reworded.add(info.version);
  }

  #worded(info: ObjectInfo): ObjectInfo {
    return this.#reworded.has(info.version) ? { ...info, version: `${info.version}${OTHER_FORM}` as StoreVersion } : info;
  }

  #count(lie: Lie): void {
    this.told[lie] = (this.told[lie] ?? 0) + 1;
  }

  #tell(lie: Lie, error: GantryError): GantryError {
    this.#count(lie);
    return error;
  }
}

function ifRefused(error: unknown): void {
  if (!(error instanceof GantryError)) throw error;
}

function objectOf(path: StorePath, kept: Kept | undefined): StoredObject {
  if (kept === undefined) throw new GantryError('store/missing', `Cannot read "${path}": it is not in the store`, { path });
  return { info: kept.info, body: bytesSource(kept.bytes).open() };
}

function failed(path: StorePath, call: string): GantryError {
  return new GantryError('store/failed', `Cannot ${call} "${path}": no answer`, { path, call });
}

function denied(path: StorePath): GantryError {
  return new GantryError('store/denied', `Cannot read "${path}": access was denied`, { path });
}

/** A store in memory with conditional writes, as an object store has them; hooks make it fail or lie. */
import { createHash } from 'node:crypto';
import { GantryError } from '../../lib/errors.ts';
import type { ObjectInfo, Store, StorePath, StoreVersion } from '../../lib/store/store.ts';
import { collect } from './bytes.ts';

export type StoreCall = 'read' | 'head' | 'write' | 'list' | 'remove';

export interface MemoryStoreHooks {
  /** Fails a call by throwing, before it has any effect. */
  readonly before?: (call: StoreCall, path: string) => void | Promise<void>;
  /** Fails a call by throwing, after it took effect: its outcome is unknown to the caller. */
  readonly after?: (call: StoreCall, path: string) => void | Promise<void>;
  /** The store's clock; by default this machine's. */
  readonly clock?: () => Date;
  /** What a read gives instead of the bytes that were stored. */
  readonly lie?: (path: StorePath, bytes: Uint8Array) => Uint8Array;
}

/** A version is the digest and a count, since an object that is written twice is two objects. */
export function createMemoryStore(hooks: MemoryStoreHooks = {}): Store {
  const objects = new Map<StorePath, { readonly info: ObjectInfo; readonly bytes: Uint8Array }>();
  let writes = 0;
  const around = async <T>(call: StoreCall, path: string, work: () => T | Promise<T>): Promise<T> => {
    await hooks.before?.(call, path);
    const result = await work();
    await hooks.after?.(call, path);
    return result;
  };
  const refuseUnexpected = (path: StorePath, expected: string | undefined): void => {
    const found = objects.get(path)?.info.version;
    if (found === expected) return;
    const name = (version: string | undefined): string => (version === undefined ? 'nothing' : `version ${version}`);
    const details = { path, expected: name(expected), found: name(found) };
    throw new GantryError('store/conflict', `Cannot write "${path}": found ${details.found}; expected ${details.expected}`, details);
  };
  return {
    description: 'memory',
    read: async (path) =>
      around('read', path, () => {
        const found = objects.get(path);
        if (found === undefined) throw new GantryError('store/missing', `Cannot read "${path}": it is not in the store`, { path });
        return { info: found.info, body: streamOf(hooks.lie?.(path, found.bytes) ?? found.bytes) };
      }),
    head: async (path) => around('head', path, () => objects.get(path)?.info),
    write: async (path, source, { expect, onProgress }) =>
      around('write', path, async () => {
        const expected = expect === 'absent' ? undefined : expect.version;
        refuseUnexpected(path, expected);
        const bytes = await collect(source.open());
        const sha256 = createHash('sha256').update(bytes).digest('hex');
        if (bytes.length !== source.lengthBytes || sha256 !== source.sha256) {
          throw new GantryError('store/source-changed', `Cannot write "${path}": its source is not what it says`, { path });
        }
        onProgress?.(bytes.length);
        // Somebody may have written while the source was read.
        refuseUnexpected(path, expected);
        writes += 1;
        const version = `${writes}-${sha256}` as StoreVersion;
        objects.set(path, { info: { path, lengthBytes: bytes.length, version, sha256, modified: hooks.clock?.() ?? new Date() }, bytes });
        return version;
      }),
    async *list(prefix) {
      const found = await around('list', prefix, () => [...objects.values()].filter(({ info }) => info.path.startsWith(prefix)));
      for (const { info } of found) yield info;
    },
    remove: async (path) => around('remove', path, () => void objects.delete(path)),
  };
}

async function* streamOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

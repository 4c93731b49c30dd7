/** Stores that do what networks and disks do: fail at the n-th write, before or after it took effect, or deny everything. */
import { GantryError, isGantryError } from '../../lib/errors.ts';
import type { Store, StorePath } from '../../lib/store/store.ts';

export interface FaultyStore extends Store {
  /** Every path that was written with success, in order. */
  readonly written: StorePath[];
}

/** @param failAt the number of the write that fails, from 0; `when` says whether its bytes arrived all the same */
export function failingStore(inner: Store, failAt: number, when: 'before' | 'after'): FaultyStore {
  const written: StorePath[] = [];
  let count = 0;
  return {
    ...delegate(inner),
    written,
    async write(path, body, options) {
      const failing = count === failAt;
      count += 1;
      if (failing && when === 'before') throw failed(path);
      const version = await inner.write(path, body, options);
      written.push(path);
      if (failing) throw failed(path);
      return version;
    },
  };
}

/** A bucket whose credentials went wrong: every read is denied. */
export function deniedStore(inner: Store): Store {
  const deny = async (path: StorePath): Promise<never> => {
    throw new GantryError('store/denied', `Cannot read ${path}: access was denied`, { path });
  };
  return { ...delegate(inner), read: deny, head: deny };
}

/** Runs `before` once, ahead of the first write of a path that matches. */
export function interruptedStore(inner: Store, matches: (path: StorePath) => boolean, before: () => Promise<void>): Store {
  let done = false;
  return {
    ...delegate(inner),
    async write(path, body, options) {
      if (!done && matches(path)) {
        done = true;
        await before();
      }
      return inner.write(path, body, options);
    },
  };
}

/** Ignores what a write expects, as servers do that answer 200 to any condition. */
export function carelessStore(inner: Store): Store {
  return {
    ...delegate(inner),
    async write(path, body, options) {
      for (;;) {
        const found = await inner.head(path);
        try {
          return await inner.write(path, body, { ...options, expect: found === undefined ? 'absent' : { version: found.version } });
        } catch (error) {
          // Somebody was quicker: the last one wins.
          if (!isGantryError(error, 'store/conflict')) throw error;
        }
      }
    },
  };
}

/** The same store, for a double that changes one of its calls. */
export function delegate(inner: Store): Store {
  return {
    description: inner.description,
    read: async (path, options) => inner.read(path, options),
    head: async (path, options) => inner.head(path, options),
    write: async (path, body, options) => inner.write(path, body, options),
    list: (prefix, options) => inner.list(prefix, options),
    remove: async (path) => inner.remove(path),
  };
}

function failed(path: StorePath): GantryError {
  return new GantryError('store/failed', `Cannot write ${path}: the connection was reset`, { path, call: 'write' });
}

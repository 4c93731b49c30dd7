/**
 * A store that does not keep conditions, for an operator who promises that nobody else writes at the same time.
 *
 * Looking first finds what was there before; what comes between the look and the write is lost without a word.
 */
import { refuseUnexpected } from './refusals.ts';
import type { Store } from './store.ts';

/** What is given up, in sentences. */
export const LOST_PROMISES: readonly string[] = [
  'Two publishers at the same time: the later timestamp.json replaces the earlier one, and neither learns of it.',
  'A release that was replaced like that is not offered any more until it is published again.',
  'Two writers of one version number: hosts may get metadata of one with a timestamp of the other, and refuse it.',
];

export function singleWriterStore(store: Store): Store {
  return {
    description: store.description,
    read: async (path, options) => store.read(path, options),
    head: async (path, options) => store.head(path, options),
    list: (prefix, options) => store.list(prefix, options),
    remove: async (path) => store.remove(path),
    ...(store.unfinished === undefined ? {} : { unfinished: store.unfinished }),
    async write(path, body, options) {
      refuseUnexpected(path, await store.head(path, options.signal === undefined ? {} : { signal: options.signal }), options.expect);
      return store.write(path, body, options);
    },
  };
}

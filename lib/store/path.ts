/** Names inside a store. The grammar is what every object store and file system keeps apart alike. */
import { GantryError, quote } from '../errors.ts';
import type { StorePath } from './store.ts';

const SEGMENT = /^[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,254}$/u;
const MAX_LENGTH = 1024;

export function isStorePath(text: string): text is StorePath {
  return text.length <= MAX_LENGTH && text.split('/').every((segment) => SEGMENT.test(segment));
}

/** @throws GantryError `store/bad-path` */
export function parseStorePath(text: string): StorePath {
  if (isStorePath(text)) return text;
  throw new GantryError(
    'store/bad-path',
    `Cannot use ${quote(text)} as a name in a store: expected parts of A-Z a-z 0-9 . _ - + joined by "/", none empty or starting with a dot`,
    { path: text },
  );
}

/** @throws GantryError `store/bad-path` */
export function joinStorePath(...segments: readonly string[]): StorePath {
  return parseStorePath(segments.join('/'));
}

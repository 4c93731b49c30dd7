/** The cache header of each class of object, wherever it is served from. */
import type { CacheClass } from './store.ts';

const YEAR_SECONDS = 31_536_000;

/** `timestamp.json` may be a minute old at an edge: that is the longest that a host waits for a pause. */
export const TIMESTAMP_MAX_AGE_SECONDS = 60;

const HEADERS: Readonly<Record<CacheClass, string>> = {
  immutable: `public, max-age=${YEAR_SECONDS}, immutable`,
  revalidate: `public, max-age=${TIMESTAMP_MAX_AGE_SECONDS}, must-revalidate`,
};

export function cacheControlOf(cacheClass: CacheClass): string {
  return HEADERS[cacheClass];
}

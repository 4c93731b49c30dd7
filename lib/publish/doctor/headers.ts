/** What headers say about caching (RFC 9111), read as a cache would. */
import type { IncomingHttpHeaders } from 'node:http';

/** The words and numbers of Cache-Control, in lower case; a word without a value has `''`. */
export function cacheDirectives(headers: IncomingHttpHeaders): ReadonlyMap<string, string> {
  return new Map(
    (headers['cache-control'] ?? '')
      .toLowerCase()
      .split(',')
      .map((part) => part.trim().split('=', 2))
      .map(([name = '', value = '']) => [name.trim(), value.trim().replaceAll('"', '')]),
  );
}

/** How long a cache may serve it without asking, in seconds; undefined when the answer leaves that to the cache. */
export function lifetimeSeconds(headers: IncomingHttpHeaders): number | undefined {
  const directives = cacheDirectives(headers);
  if (directives.has('no-store') || directives.has('no-cache')) return 0;
  const seconds = (name: string): number | undefined => {
    const value = directives.get(name) ?? '';
    return /^\d+$/u.test(value) ? Number(value) : undefined;
  };
  const stated = ['max-age', 's-maxage'].map(seconds).filter((value) => value !== undefined);
  if (stated.length > 0) return Math.max(...stated) + (seconds('stale-while-revalidate') ?? 0);
  const expires = Date.parse(headers.expires ?? '');
  if (headers.expires === undefined) return undefined;
  const date = Date.parse(headers.date ?? '');
  // An Expires that is no date means "at once".
  return Number.isNaN(expires) || Number.isNaN(date) ? 0 : Math.max(0, (expires - date) / 1000);
}

/** How long it has lain in a cache, in seconds. */
export function ageSeconds(headers: IncomingHttpHeaders): number {
  return /^\d+$/u.test(headers.age ?? '') ? Number(headers.age) : 0;
}

/** The headers in which caches tell what they did: CloudFront, Fastly, Varnish, Cloudflare, nginx by custom, RFC 9211. */
const CACHE_HEADERS = ['x-cache', 'x-cache-status', 'x-proxy-cache', 'cf-cache-status', 'cache-status'];

/** True when it can be seen that a cache answered. */
export function isFromCache(headers: IncomingHttpHeaders): boolean {
  return ageSeconds(headers) > 0 || CACHE_HEADERS.some((name) => /(?:^|[^a-z])hit/iu.test(String(headers[name] ?? '')));
}

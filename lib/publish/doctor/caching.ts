/** How long caches may keep a file, how long this one did, and what they take it for. */
import { cacheControlOf } from '../../store/cache-control.ts';
import type { Sighting } from './edges.ts';
import { ageSeconds, cacheDirectives, lifetimeSeconds } from './headers.ts';
import type { ServedObject } from './objects.ts';
import type { Visit } from './visit.ts';

const DAY_SECONDS = 86_400;
/** What Gantry writes for timestamp.json; a store that says less is fine. */
export const TIMESTAMP_MAX_AGE_SECONDS: number = lifetimeSeconds({ 'cache-control': cacheControlOf('revalidate') }) ?? 0;

export function judgeTimestampCaching(visit: Visit, object: ServedObject, seen: readonly Sighting[], maxAgeSeconds: number): void {
  const at = visit.placeOf(object.url);
  const lifetime = lifetimeSeconds(object.answer.headers);
  if (lifetime === undefined) {
    visit.report('timestamp-cache-unset', at, 'it does not say how long it may be cached; expected a max-age');
  } else if (lifetime > maxAgeSeconds) {
    visit.report('timestamp-cache-long', at, `caches may keep it for ${lifetime} s; expected at most ${maxAgeSeconds} s`);
  }
  const oldest = Math.max(...[object, ...seen].map(({ answer }) => ageSeconds(answer.headers)));
  if (oldest > maxAgeSeconds) visit.report('timestamp-stale', at, `its Age is ${oldest} s; expected at most ${maxAgeSeconds} s`);
}

export function judgeImmutable({ report, placeOf }: Visit, { url, answer }: ServedObject): void {
  const lifetime = lifetimeSeconds(answer.headers);
  const directives = cacheDirectives(answer.headers);
  const is =
    lifetime === undefined
      ? 'it does not say how long it may be cached'
      : directives.has('private')
        ? 'shared caches may not keep it'
        : lifetime < DAY_SECONDS
          ? `caches may keep it for ${lifetime} s`
          : directives.has('immutable')
            ? undefined
            : 'it does not say that it never changes';
  if (is !== undefined) report('cache-short', placeOf(url), `${is}; expected ${cacheControlOf('immutable')}`);
}

export function judgeContentType({ report, placeOf }: Visit, { url, kind, answer }: ServedObject): void {
  const type = (answer.headers['content-type'] ?? '').toLowerCase();
  const isFine = kind === 'target' ? !type.startsWith('text/') : /^application\/json\s*(?:;|$)/u.test(type);
  if (isFine) return;
  const is = type === '' ? 'it has no Content-Type' : `its Content-Type is ${JSON.stringify(type.slice(0, 60))}`;
  report('content-type', placeOf(url), `${is}; expected application/${kind === 'target' ? 'octet-stream' : 'json'}`);
}

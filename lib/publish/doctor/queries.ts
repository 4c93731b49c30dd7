/** Stock hosts append a query string to every URL: neither the answer nor the cache may depend on it. */
import { isFromCache } from './headers.ts';
import type { ServedObject } from './objects.ts';
import { withHostQuery, type Visit } from './visit.ts';

/** @param objects whose content never changes */
export async function judgeQueries(visit: Visit, objects: readonly ServedObject[]): Promise<void> {
  for (const object of objects) {
    const { url } = object.answer;
    const plain = await visit.ask(url, { maxBytes: object.body.length });
    const asked = await visit.ask(withHostQuery(url), { maxBytes: object.body.length });
    if (plain === undefined || asked === undefined) continue;
    const at = visit.placeOf(url);
    if (asked.status !== plain.status || !Buffer.from(asked.body).equals(plain.body)) {
      const is = asked.status === plain.status ? 'has other bytes' : `is ${asked.status}`;
      visit.report('query-changes', at, `with a query string the answer ${is}; expected the same file as without`);
    } else if (isFromCache(plain.headers) && !isFromCache(asked.headers)) {
      visit.report('query-in-cache-key', at, 'a cache has it, but fetches it anew for another query string; expected one copy for all');
    }
  }
}

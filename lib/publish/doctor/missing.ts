/** What a server says about files that do not exist: hosts learn from a plain 404, and only from that, that there is no newer root. */
import { randomBytes } from 'node:crypto';
import type { ProbedAnswer } from '../../http/probe.ts';
import { isFromCache, lifetimeSeconds } from './headers.ts';
import type { DoctorRuleId } from './rules.ts';
import type { Visit } from './visit.ts';

/** @param newest the highest root that is served */
export async function judgeMissing(visit: Visit, newest: number): Promise<void> {
  const root = `${newest + 1}.root.json`;
  await judgeOne(visit, new URL(root, visit.metadataUrl), 'next-root', `for ${root}, which does not exist,`);
  // A name that no cache has met, so that only the second answer can come from one.
  const target = `${randomBytes(32).toString('hex')}.gantry-doctor`;
  await judgeOne(visit, new URL(target, visit.targetsUrl), 'missing-target', 'for a target that does not exist');
}

async function judgeOne(visit: Visit, url: URL, rule: DoctorRuleId, what: string): Promise<void> {
  // A redirect is a finding of its own; what hosts get in the end decides.
  const first = await visit.follow(url);
  if (first === undefined) return;
  if (first.status !== 404) {
    visit.report(
      rule,
      visit.placeOf(url),
      `${what} the answer is ${first.status === 200 ? '200 with something else' : first.status}; expected 404`,
    );
    return;
  }
  const second = await visit.ask(first.url);
  if (second !== undefined && isFromCache(second.headers)) {
    visit.report(
      'missing-cached',
      visit.placeOf(url),
      'asked for twice, its 404 comes from a cache; expected one from the server each time',
    );
    return;
  }
  judgeLifetime(visit, url, first);
}

function judgeLifetime({ report, placeOf }: Visit, url: URL, { headers }: ProbedAnswer): void {
  const lifetime = lifetimeSeconds(headers);
  if (lifetime === 0) return;
  const is = lifetime === undefined ? 'it does not say whether it may be cached' : `caches may keep it for ${lifetime} s`;
  report('missing-cacheable', placeOf(url), `its status is 404, and ${is}; expected Cache-Control: no-store`);
}

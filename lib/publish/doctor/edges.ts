/** `timestamp.json`, asked for again and again: whether all servers behind a name show the same, and what time it is there. */
import type { ProbedAnswer } from '../../http/probe.ts';
import type { SignedRole, Timestamp } from '../../tuf/types.ts';
import { timestampIn } from './contact.ts';
import { ageSeconds } from './headers.ts';
import { withHostQuery, type Visit } from './visit.ts';

/** One answer. */
export interface Sighting {
  readonly answer: ProbedAnswer;
  readonly file: SignedRole<Timestamp>;
}

const SKEW_MS = 60_000;

/** @param times how often, each on a connection of its own, every other one with a query string that no cache has met */
export async function askAgain(visit: Visit, url: URL, times: number): Promise<readonly Sighting[]> {
  const seen: Sighting[] = [];
  for (let index = 1; index <= times; index += 1) {
    const hasQuery = index % 2 === 1;
    const answer = await visit.follow(hasQuery ? withHostQuery(url) : url, { address: index, maxBytes: 1 << 20 });
    if (answer === undefined) continue;
    const file = answer.status === 200 ? timestampIn(answer.body) : undefined;
    if (file !== undefined) seen.push({ answer, file });
    else if (hasQuery) reportQuery(visit, url, answer);
    else visit.report('unsteady', visit.placeOf(url), `one of the answers is ${described(answer)}; expected the file each time`);
  }
  return seen;
}

function reportQuery({ report, placeOf }: Visit, url: URL, answer: ProbedAnswer): void {
  report('query-changes', placeOf(url), `with a query string the answer is ${described(answer)}; expected the same file as without`);
}

/** `404`, or what is wrong with a 200. */
function described({ status }: ProbedAnswer): string {
  return status === 200 ? '200 with something else' : String(status);
}

/** @param seen in the order in which they came */
export function judgeVersions({ report, placeOf }: Visit, url: URL, seen: readonly Sighting[]): void {
  const versions = seen.map(({ file }) => file.role.version);
  const at = placeOf(url);
  const back = versions.findIndex((version, index) => version < Math.max(...versions.slice(0, index)));
  if (back !== -1) {
    const newer = seen[versions.indexOf(Math.max(...versions.slice(0, back)))];
    report(
      'version-back',
      at,
      `version ${versions[back]} came${from(seen[back])} after version ${newer?.file.role.version}${from(newer)}; expected none older than before`,
    );
  } else if (new Set(versions).size > 1) {
    report('version-differs', at, `in ${seen.length} answers there were the versions ${[...new Set(versions)].join(', ')}; expected one`);
  }
  const digests = new Map<number, string>();
  for (const { file } of seen) {
    const { version } = file.role;
    const known = digests.get(version) ?? file.sha256;
    digests.set(version, known);
    if (known !== file.sha256) report('version-forked', at, `version ${version} came with different bytes; expected the same each time`);
  }
}

function from(sighting: Sighting | undefined): string {
  return sighting === undefined || sighting.answer.address === '' ? '' : ` (from ${sighting.answer.address})`;
}

/** The clock that differs most; a Date that a cache kept is as old as its Age. */
export function judgeClock({ report, placeOf }: Visit, url: URL, seen: readonly Sighting[]): void {
  const skews = seen.map(({ answer }) => skewMs(answer)).filter((skew) => skew !== undefined);
  const worst = skews.toSorted((a, b) => Math.abs(b) - Math.abs(a))[0] ?? 0;
  if (Math.abs(worst) <= SKEW_MS) return;
  const seconds = Math.round(Math.abs(worst) / 1000);
  report(
    'clock-skew',
    placeOf(url),
    `the server's Date is ${seconds} s ${worst > 0 ? 'ahead of' : 'behind'} this machine's clock; expected at most ${SKEW_MS / 1000} s`,
  );
}

/** Undefined without a Date. Time on the way counts for neither side. */
function skewMs({ headers, askedMs, answeredMs }: ProbedAnswer): number | undefined {
  const date = Date.parse(headers.date ?? '');
  if (Number.isNaN(date)) return undefined;
  const distance = (ms: number): number => (ms > answeredMs ? ms - answeredMs : Math.min(0, ms + 1000 - askedMs));
  const [asItIs, aged] = [distance(date), distance(date + ageSeconds(headers) * 1000)];
  return Math.abs(asItIs) < Math.abs(aged) ? asItIs : aged;
}

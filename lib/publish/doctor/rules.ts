/** What each rule of the doctor wants: findings and docs/doctor.md take their words from here. */
import type { LintFinding } from '../../errors.ts';
import type { LintRule } from '../../tuf/lint/rules.ts';

export interface DoctorRule extends LintRule {
  readonly severity: LintFinding['severity'];
}

export type DoctorRuleId =
  | 'plain-http'
  | 'certificate'
  | 'certificate-expiring'
  | 'redirect'
  | 'redirect-elsewhere'
  | 'redirect-loop'
  | 'unsteady'
  | 'next-root'
  | 'missing-target'
  | 'missing-cacheable'
  | 'missing-cached'
  | 'named-missing'
  | 'named-altered'
  | 'version-back'
  | 'version-forked'
  | 'version-differs'
  | 'expired'
  | 'expiring'
  | 'timestamp-cache-long'
  | 'timestamp-cache-unset'
  | 'timestamp-stale'
  | 'cache-short'
  | 'query-changes'
  | 'query-in-cache-key'
  | 'range-wrong'
  | 'range-ignored'
  | 'range-unannounced'
  | 'if-range-ignored'
  | 'if-range-unchecked'
  | 'encoded'
  | 'length-wrong'
  | 'length-missing'
  | 'content-type'
  | 'clock-skew';

const RULES: Readonly<Record<DoctorRuleId, Omit<DoctorRule, 'id'>>> = {
  'plain-http': {
    severity: 'warning',
    wants: 'HTTPS, except on this machine itself',
    who: 'nobody is deceived, but whoever is on the way sees what hosts run, and can hold updates back',
    fix: 'serve it over HTTPS as well, and give hosts that URL',
  },
  certificate: {
    severity: 'error',
    wants: 'a certificate that is valid, for this name, and from an authority that is known',
    who: 'every host with this URL',
    fix: 'renew it, or send the whole chain; --ca FILE makes an authority of your own known',
  },
  'certificate-expiring': {
    severity: 'warning',
    wants: 'a certificate that is valid for 14 more days',
    who: 'every host with this URL, from that day on',
    fix: 'renew it, and look why it was not renewed by itself',
  },
  redirect: {
    severity: 'warning',
    wants: 'the file itself at its URL',
    who: 'hosts ask twice for every file',
    fix: 'serve the file where it is asked for',
  },
  'redirect-elsewhere': {
    severity: 'error',
    wants: 'no redirect to another scheme, host or port',
    who: "Gantry's client refuses it; others follow",
    fix: 'give hosts the URL that the redirect leads to, or serve the file where it is asked for',
  },
  'redirect-loop': {
    severity: 'error',
    wants: 'redirects that end at a file',
    who: 'every host',
    fix: 'redirect from http to https or from https to http, not both; a server behind a TLS proxy must look at X-Forwarded-Proto',
  },
  unsteady: {
    severity: 'error',
    wants: 'a complete answer to every request',
    who: 'the hosts whose request it was',
    fix: "look into the server's log, then run gantry doctor again",
  },
  'next-root': {
    severity: 'error',
    wants: '404 for the root after the newest one',
    who: 'go-tuf refuses 403; python-tuf and go-tuf fail on 410, on redirects to a page and on a page with status 200',
    fix: 'answer 404 for what is not there; on S3 grant s3:ListBucket, in a web application switch the fallback page off',
  },
  'missing-target': {
    severity: 'warning',
    wants: '404 for a target that does not exist',
    who: 'people: a 403 hides wrong permissions, and a page with status 200 looks like a forged target',
    fix: 'answer 404 for what is not there; on S3 grant s3:ListBucket, in a web application switch the fallback page off',
  },
  'missing-cacheable': {
    severity: 'warning',
    wants: '`Cache-Control: no-store` (or `no-cache`, or `max-age=0`) with every 404',
    who: 'hosts behind a cache that remembers "there is no newer root" after there is one',
    fix: 'send no-store with 404s; on CloudFront set ErrorCachingMinTTL to 0',
  },
  'missing-cached': {
    severity: 'error',
    wants: 'a 404 that comes from the server, not from a cache',
    who: 'hosts behind that cache do not see the next root, and fail once older keys are gone',
    fix: 'send no-store with 404s, and switch negative caching off; on CloudFront set ErrorCachingMinTTL to 0',
  },
  'named-missing': {
    severity: 'error',
    wants: 'every file that `timestamp.json` leads to (of the targets: the smallest and the largest)',
    who: 'every host that was given this `timestamp.json`',
    fix: 'publish again; where folders are copied, copy timestamp.json last; --targets-url says where targets are',
  },
  'named-altered': {
    severity: 'error',
    wants: 'the files that were signed, byte for byte',
    who: 'every host',
    fix: 'let nothing on the way transform files, then publish again; gantry verify says what hosts make of it',
  },
  'version-back': {
    severity: 'error',
    wants: 'a `timestamp.json` that never gets older from one request to the next',
    who: 'hosts that saw the newer one refuse the older one as a rollback',
    fix: 'copy publications to all servers at once, and cache timestamp.json for a minute at most; then run gantry doctor again',
  },
  'version-forked': {
    severity: 'error',
    wants: 'one `timestamp.json` of each version',
    who: 'hosts see different repositories, depending on whom they ask',
    fix: 'find out who else publishes; then publish a higher version everywhere',
  },
  'version-differs': {
    severity: 'warning',
    wants: 'the same `timestamp.json` from every server',
    who: 'nobody if somebody published just now; otherwise hosts behind the server that is late',
    fix: 'run gantry doctor again in a minute; if it stays, look for a server or a cache that was not updated',
  },
  expired: {
    severity: 'error',
    wants: 'metadata that has not expired',
    who: 'every host',
    fix: 'gantry refresh --even-expired && gantry sign && gantry publish',
  },
  expiring: {
    severity: 'warning',
    wants: 'metadata that is valid for 24 more hours',
    who: 'every host, from that moment on',
    fix: 'gantry refresh --online && gantry sign && gantry publish',
  },
  'timestamp-cache-long': {
    severity: 'error',
    wants: 'a `timestamp.json` that caches keep for at most `--max-timestamp-age`',
    who: 'hosts behind a cache learn of updates and pauses late',
    fix: 'send Cache-Control: public, max-age=60, must-revalidate with timestamp.json, or say what you allow with --max-timestamp-age',
  },
  'timestamp-cache-unset': {
    severity: 'warning',
    wants: 'a `timestamp.json` that says how long it may be cached',
    who: 'hosts behind a cache that makes up a time of its own; with CloudFront it is a day',
    fix: 'send Cache-Control: public, max-age=60, must-revalidate with timestamp.json',
  },
  'timestamp-stale': {
    severity: 'error',
    wants: 'a `timestamp.json` whose `Age` is at most `--max-timestamp-age`',
    who: 'hosts behind this cache learn of updates and pauses late',
    fix: "limit the cache's own time for timestamp.json to a minute (on CloudFront: MaxTTL)",
  },
  'cache-short': {
    severity: 'warning',
    wants: '`Cache-Control: public, max-age=31536000, immutable` (a day at least) with versioned metadata and targets',
    who: 'nobody fails, but caches ask the server for every image again and again',
    fix: 'send this header with N.ROLE.json and everything in targets/',
  },
  'query-changes': {
    severity: 'error',
    wants: 'the same answer with and without a query string',
    who: 'stock hosts append version, seed and more to every URL',
    fix: 'answer from the path alone',
  },
  'query-in-cache-key': {
    severity: 'warning',
    wants: 'a cache that does not look at query strings',
    who: 'every stock host fetches a copy of its own from the server behind the cache',
    fix: 'leave the query string out of the cache key (nginx: proxy_cache_key $uri; CloudFront: QueryStringBehavior none)',
  },
  'range-wrong': {
    severity: 'error',
    wants: 'for `Range: bytes=A-B` the answer 206 with these bytes and a `Content-Range` that says so',
    who: 'hosts whose download was interrupted: tough continues at the wrong place',
    fix: 'correct the range support of the server, or switch it off together with Accept-Ranges',
  },
  'range-ignored': {
    severity: 'warning',
    wants: 'answers to `Range` requests',
    who: 'hosts on slow and broken links: an interrupted download begins again',
    fix: 'switch range support on, in the cache too',
  },
  'range-unannounced': {
    severity: 'warning',
    wants: '`Accept-Ranges: bytes` where ranges are answered',
    who: 'tough does not continue a download without it',
    fix: 'send Accept-Ranges: bytes with targets',
  },
  'if-range-ignored': {
    severity: 'warning',
    wants: '206 for `If-Range` with the current ETag',
    who: 'careful clients: an interrupted download begins again',
    fix: 'let server and cache agree on one strong ETag for a file',
  },
  'if-range-unchecked': {
    severity: 'warning',
    wants: 'the whole file, with 200, for `If-Range` with another ETag',
    who: 'clients that continue a download of a file that was replaced; the names here never change their content, so only mirrors of other layouts suffer',
    fix: 'nothing on S3, which is built so; elsewhere correct the server',
  },
  encoded: {
    severity: 'error',
    wants: 'no `Content-Encoding`, whatever the client would accept',
    who: 'python-tuf and every client that counts and hashes the bytes on the wire',
    fix: 'switch compression off for JSON and for targets, in the cache too',
  },
  'length-wrong': {
    severity: 'error',
    wants: 'a body as long as its `Content-Length` says',
    who: 'every host: the download breaks off',
    fix: 'look for a proxy that changes or cuts files, and for a full disk in front of its cache',
  },
  'length-missing': {
    severity: 'warning',
    wants: 'a `Content-Length`',
    who: 'agents cannot say how far they are, or plan the disk',
    fix: 'serve files as they are: a length is missing where something transforms them on the way',
  },
  'content-type': {
    severity: 'warning',
    wants: '`application/json` for metadata, and anything but text for targets',
    who: 'caches and proxies that compress or rewrite by type',
    fix: 'set the types in the server: application/json for .json, application/octet-stream for the rest',
  },
  'clock-skew': {
    severity: 'warning',
    wants: 'a `Date` within a minute of the clock of this machine',
    who: 'hosts judge expiry and waves by the clock; caches judge age by it',
    fix: 'let both machines set their clocks over the network',
  },
};

// Proof of the cast: the keys of RULES are exactly the ids.
export const doctorRules: readonly DoctorRule[] = (Object.keys(RULES) as DoctorRuleId[]).map((id) => ({ id, ...RULES[id] }));

/** @param at the path of a URL, or a whole URL where it is another host's */
export type Report = (rule: DoctorRuleId, at: string, message: string) => void;

export interface Findings {
  readonly report: Report;
  readonly all: () => readonly LintFinding[];
}

/** Collects findings; what is said of several files in the same words is one finding. */
export function collectFindings(): Findings {
  const found = new Map<string, { readonly rule: DoctorRuleId; readonly message: string; readonly places: Set<string> }>();
  return {
    report(rule, at, message) {
      const key = `${rule} ${message}`;
      const known = found.get(key) ?? { rule, message, places: new Set() };
      found.set(key, known);
      known.places.add(at);
    },
    all: () =>
      [...found.values()].map(({ rule, message, places }) => {
        const [first = '', ...others] = places;
        const { severity, fix } = RULES[rule];
        const at = others.length === 0 ? first : `${first} and ${others.length} more`;
        return { rule, severity, at, message, fix };
      }),
  };
}

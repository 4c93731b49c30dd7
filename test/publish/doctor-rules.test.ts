/** One rule broken at a time: exactly this one is found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { DoctorOptions } from '../../lib/publish/doctor/doctor.ts';
import { doctorRules, type DoctorRuleId } from '../../lib/publish/doctor/rules.ts';
import type { Ailment } from '../support/ailing-server.ts';
import { isManifest, isTarget, NEXT_ROOT, openPractice, TIMESTAMP, where, withBody, withHeaders } from '../support/doctor-practice.ts';

const { examine, fileAt } = openPractice();

interface Case {
  readonly ailment: Ailment;
  readonly at: RegExp;
  readonly message: RegExp;
  readonly options?: DoctorOptions;
}

/** Both clocks are moved, so that only the dates in the metadata are near. */
function atTime(iso: string, at: RegExp, message: RegExp): Case {
  const now = new Date(iso);
  const ahead = now.getTime() - Date.now();
  return { ailment: (answer) => answer, at, message, options: { now: () => new Date(Date.now() + ahead) } };
}

/** Rules that need TLS, two servers or another address have tests of their own. */
type Special = 'plain-http' | 'certificate' | 'certificate-expiring' | 'redirect-elsewhere';

const CASES: Readonly<Record<Exclude<DoctorRuleId, Special>, Case>> = {
  redirect: {
    ailment: where(
      ({ path, time }, { status }) => path === TIMESTAMP && status === 200 && time === 3,
      (answer) => ({ ...withHeaders(answer, { location: TIMESTAMP }), status: 302, body: Buffer.alloc(0) }),
    ),
    at: /timestamp\.json$/u,
    message: /redirects to another path of this server/u,
  },
  'redirect-loop': {
    ailment: where(
      ({ path }) => path === TIMESTAMP,
      (answer) => ({ ...withHeaders(answer, { location: TIMESTAMP }), status: 301, body: Buffer.alloc(0) }),
    ),
    at: /timestamp\.json$/u,
    message: /after 5 redirects there is still no file/u,
  },
  unsteady: {
    ailment: where(
      ({ path, time }) => path === TIMESTAMP && time === 4,
      (answer) => ({ ...answer, status: 503 }),
    ),
    at: /timestamp\.json$/u,
    message: /one of the answers is 503/u,
  },
  'next-root': {
    ailment: where(
      ({ path }) => path === NEXT_ROOT,
      (answer) => ({ ...answer, status: 403 }),
    ),
    at: /3\.root\.json$/u,
    message: /3\.root\.json, which does not exist, the answer is 403; expected 404/u,
  },
  'missing-target': {
    ailment: where(
      ({ path }, { status }) => isTarget(path) && status === 404,
      (answer) => ({ ...answer, status: 200 }),
    ),
    at: /\.gantry-doctor$/u,
    message: /200 with something else; expected 404/u,
  },
  'missing-cacheable': {
    ailment: where(
      (_, { status }) => status === 404,
      (answer) => withHeaders(answer, { 'cache-control': 'max-age=10' }),
    ),
    at: /3\.root\.json and 1 more$/u,
    message: /caches may keep it for 10 s; expected Cache-Control: no-store/u,
  },
  'missing-cached': {
    ailment: where(
      ({ path, time }) => path === NEXT_ROOT && time > 1,
      (answer) => withHeaders(answer, { age: '3' }),
    ),
    at: /3\.root\.json$/u,
    message: /its 404 comes from a cache/u,
  },
  'named-missing': {
    ailment: where(
      ({ path }) => path.endsWith('/9.snapshot.json'),
      (answer) => ({ ...answer, status: 404 }),
    ),
    at: /9\.snapshot\.json$/u,
    message: /says 404; expected the file, which the metadata names/u,
  },
  'named-altered': {
    ailment: where(
      ({ path }) => isManifest(path),
      (answer) => withBody(answer, (text) => text.replace('updates', 'UPDATES')),
    ),
    at: /manifest\.json$/u,
    message: /its SHA-256 is [0-9a-f]{64}; expected [0-9a-f]{64}/u,
  },
  'version-back': {
    ailment: where(
      ({ path, time }) => path === TIMESTAMP && time === 4,
      (answer) => withBody(answer, (text) => text.replace('"version": 12', '"version": 11')),
    ),
    at: /timestamp\.json$/u,
    message: /version 11 came \(from 127\.0\.0\.1\) after version 12 \(from 127\.0\.0\.1\)/u,
  },
  'version-forked': {
    ailment: where(
      ({ path, time }) => path === TIMESTAMP && time === 4,
      (answer) => withBody(answer, (text) => `${text} `),
    ),
    at: /timestamp\.json$/u,
    message: /version 12 came with different bytes/u,
  },
  'version-differs': {
    ailment: where(
      ({ path, time }) => path === TIMESTAMP && time > 3,
      (answer) => withBody(answer, (text) => text.replace('"version": 12', '"version": 13')),
    ),
    at: /timestamp\.json$/u,
    message: /in 5 answers there were the versions 12, 13; expected one/u,
  },
  expired: atTime('2100-01-01T00:00:01Z', /2\.root\.json and 3 more/u, /it expired at 2100-01-01T00:00:00Z/u),
  expiring: atTime('2099-12-31T00:30:00Z', /2\.root\.json and 3 more/u, /it expires at 2100-01-01T00:00:00Z; expected more than 24 h/u),
  'timestamp-cache-long': {
    ailment: where(
      ({ path }) => path === TIMESTAMP,
      (answer) => withHeaders(answer, { 'cache-control': 'max-age=1, s-maxage=300' }),
    ),
    at: /timestamp\.json$/u,
    message: /caches may keep it for 300 s; expected at most 60 s/u,
  },
  'timestamp-cache-unset': {
    ailment: where(
      ({ path }) => path === TIMESTAMP,
      (answer) => withHeaders(answer, { 'cache-control': undefined }),
    ),
    at: /timestamp\.json$/u,
    message: /does not say how long/u,
  },
  'timestamp-stale': {
    ailment: where(
      ({ path, time }) => path === TIMESTAMP && time === 5,
      (answer) => withHeaders(answer, { age: '61' }),
    ),
    at: /timestamp\.json$/u,
    message: /its Age is 61 s; expected at most 60 s/u,
  },
  'cache-short': {
    ailment: where(
      ({ path }) => isTarget(path),
      (answer) => withHeaders(answer, { 'cache-control': answer.status === 404 ? 'no-store' : 'max-age=60' }),
    ),
    at: /\/targets\/.*manifest\.json and 1 more$/u,
    message: /caches may keep it for 60 s; expected public, max-age=31536000, immutable/u,
  },
  'query-changes': {
    ailment: where(
      ({ path, hasQuery }) => hasQuery && isManifest(path),
      (answer) => ({ ...answer, status: 404 }),
    ),
    at: /manifest\.json$/u,
    message: /with a query string the answer is 404/u,
  },
  'query-in-cache-key': {
    ailment: where(
      ({ path, hasQuery, time }) => isManifest(path) && !hasQuery && time > 1,
      (answer) => withHeaders(answer, { 'x-cache': 'Hit from cloudfront' }),
    ),
    at: /manifest\.json$/u,
    message: /fetches it anew for another query string/u,
  },
  'range-wrong': {
    ailment: where(
      (_, { status }) => status === 206,
      (answer) => withBody(answer, (text) => text.toUpperCase()),
    ),
    at: /root\.ext4\.zst$/u,
    message: /other bytes come/u,
  },
  'range-ignored': {
    ailment: (answer, { path }) =>
      isTarget(path) && answer.status !== 404
        ? {
            ...withHeaders(answer, { 'accept-ranges': undefined, 'content-range': undefined }),
            status: 200,
            body: fileAt(path),
          }
        : answer,
    at: /root\.ext4\.zst$/u,
    message: /the server sends the whole; expected 206/u,
  },
  'range-unannounced': {
    ailment: (answer) => withHeaders(answer, { 'accept-ranges': undefined }),
    at: /root\.ext4\.zst$/u,
    message: /there is no Accept-Ranges/u,
  },
  'if-range-ignored': {
    ailment: (answer, { path, headers }) =>
      headers['if-range'] === undefined || answer.status !== 206 ? answer : { ...answer, status: 200, body: fileAt(path) },
    at: /root\.ext4\.zst$/u,
    message: /with its own ETag in If-Range the answer is 200; expected 206/u,
  },
  'if-range-unchecked': {
    ailment: where(
      ({ headers }) => headers['if-range'] === '"gantry-doctor"',
      (answer) => ({ ...answer, status: 206 }),
    ),
    at: /root\.ext4\.zst$/u,
    message: /with another ETag in If-Range the answer is 206; expected 200/u,
  },
  encoded: {
    ailment: where(
      ({ path, headers }) => path.endsWith('.targets.json') && String(headers['accept-encoding']).includes('gzip'),
      (answer) => ({ ...withHeaders(answer, { 'content-encoding': 'gzip' }), body: gzipSync(answer.body) }),
    ),
    at: /7\.targets\.json$/u,
    message: /Content-Encoding "gzip"/u,
  },
  'length-wrong': {
    ailment: where(
      ({ path }) => isManifest(path),
      (answer) => ({ ...answer, cutAt: 10 }),
    ),
    at: /manifest\.json$/u,
    message: /the connection ended after 10 bytes; expected 31 bytes, as Content-Length says/u,
  },
  'length-missing': {
    ailment: where(
      ({ path }) => path.endsWith('/2.root.json'),
      (answer) => withHeaders(answer, { 'content-length': undefined, 'transfer-encoding': 'chunked' }),
    ),
    at: /2\.root\.json$/u,
    message: /without a Content-Length/u,
  },
  'content-type': {
    ailment: where(
      ({ path }) => path === TIMESTAMP,
      (answer) => withHeaders(answer, { 'content-type': 'text/html; charset=utf-8' }),
    ),
    at: /timestamp\.json$/u,
    message: /"text\/html; charset=utf-8"; expected application\/json/u,
  },
  'clock-skew': {
    ailment: (answer) => withHeaders(answer, { date: new Date(Date.now() - 3_600_000).toUTCString() }),
    at: /timestamp\.json$/u,
    message: /the server's Date is 3(?:59|60)\d s behind this machine's clock; expected at most 60 s/u,
  },
};

for (const [rule, { ailment, at, message, options }] of Object.entries(CASES)) {
  test(`examineRepository() finds ${rule}, and nothing else, when only this rule is broken`, async (t) => {
    const { findings } = await examine(t, ailment, options);
    assert.deepEqual(
      findings.map((finding) => finding.rule),
      [rule],
      JSON.stringify(findings, undefined, 2),
    );
    const [finding] = findings;
    assert.match(finding?.at ?? '', at);
    assert.match(finding?.message ?? '', message);
    const known = doctorRules.find(({ id }) => id === rule);
    assert.deepEqual([finding?.severity, finding?.fix], [known?.severity, known?.fix]);
  });
}

test('every rule of the doctor has a test that breaks it', () => {
  const special: readonly Special[] = ['plain-http', 'certificate', 'certificate-expiring', 'redirect-elsewhere'];
  assert.deepEqual([...Object.keys(CASES), ...special].toSorted(), doctorRules.map(({ id }) => id).toSorted());
});

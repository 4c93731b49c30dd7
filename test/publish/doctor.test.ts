/** One rule broken at a time: exactly this one is found, and a healthy server gives none. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { examineRepository, type DoctorOptions, type DoctorReport } from '../../lib/publish/doctor/doctor.ts';
import { doctorRules, type DoctorRuleId } from '../../lib/publish/doctor/rules.ts';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { filesOf, startAilingServer, type Ailment, type Answer } from '../support/ailing-server.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { publishedRepository, type PublishedRepository } from '../support/published-repository.ts';

const METADATA = '/metal/x86_64/';
const TIMESTAMP = `${METADATA}timestamp.json`;
const NEXT_ROOT = `${METADATA}3.root.json`;
const HOUR_MS = 3_600_000;

let repository: PublishedRepository;
let files: ReadonlyMap<string, Buffer>;
const cleanups: (() => Promise<void>)[] = [];

before(async () => {
  repository = await publishedRepository(join(await temporaryDirectory({ after: (work) => cleanups.push(work) }), 'public'));
  files = await filesOf(repository.directory);
});
after(async () => {
  for (const cleanup of cleanups) await cleanup();
});

async function examine(t: TestContext, ailment?: Ailment, options: DoctorOptions = {}): Promise<DoctorReport> {
  const url = await startAilingServer(t, { files, ...(ailment === undefined ? {} : { ailment }) });
  return examineRepository(new URL(METADATA, url).href, options);
}

/** Another file in place of the published one, with headers that fit. */
function withBody(answer: Answer, change: (text: string) => string): Answer {
  return { ...answer, body: Buffer.from(change(answer.body.toString())) };
}

function withHeaders(answer: Answer, headers: Answer['headers']): Answer {
  return { ...answer, headers: { ...answer.headers, ...headers } };
}

const isTarget = (path: string): boolean => path.startsWith('/targets/');
const isManifest = (path: string): boolean => path.endsWith('.manifest.json');

/** Applies an ailment to some answers only. */
function where(choose: (asked: Parameters<Ailment>[1], answer: Answer) => boolean, change: (answer: Answer) => Answer): Ailment {
  return (answer, asked) => (choose(asked, answer) ? change(answer) : answer);
}

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
            body: files.get(path.slice(1)) ?? Buffer.alloc(0),
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
      headers['if-range'] === undefined || answer.status !== 206
        ? answer
        : { ...answer, status: 200, body: files.get(path.slice(1)) ?? Buffer.alloc(0) },
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
    ailment: (answer) => withHeaders(answer, { date: new Date(Date.now() - HOUR_MS).toUTCString() }),
    at: /timestamp\.json$/u,
    message: /the server's Date is 35\d\d s behind this machine's clock; expected at most 60 s/u,
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

test('examineRepository() finds nothing on a healthy server', async (t) => {
  const report = await examine(t);
  assert.deepEqual(report, { findings: [], requests: 25, timestamps: [12, 12, 12, 12, 12], root: 2 });
});

test('examineRepository() finds nothing on the static server', async (t) => {
  const server = await startStaticServer({ directory: repository.directory, graceMs: 100 });
  t.after(async () => server.close());
  const { findings } = await examineRepository(new URL(METADATA, server.url).href);
  assert.deepEqual(findings, []);
});

for (const [what, sick, message] of [
  ['403', { status: 403 }, /the answer is 403/u],
  ['410', { status: 410 }, /the answer is 410/u],
  ['204', { status: 204, body: Buffer.alloc(0) }, /the answer is 204/u],
  ['500', { status: 500 }, /the answer is 500/u],
  ['a page with status 200', { status: 200 }, /the answer is 200 with something else/u],
] as const) {
  test(`examineRepository() finds next-root when the answer for it is ${what}`, async (t) => {
    const { findings, root } = await examine(
      t,
      where(
        ({ path }) => path === NEXT_ROOT,
        (answer) => ({ ...answer, ...sick }),
      ),
    );
    assert.deepEqual(
      findings.map(({ rule }) => rule),
      ['next-root'],
    );
    assert.match(findings[0]?.message ?? '', message);
    assert.equal(root, 2);
  });
}

test('examineRepository() finds redirect and next-root when what is missing leads to a page', async (t) => {
  const { findings } = await examine(t, (answer, { path }) => {
    if (path === NEXT_ROOT) return { status: 302, headers: { location: '/sorry.html' }, body: Buffer.alloc(0) };
    return path === '/sorry.html' ? { ...answer, status: 200 } : answer;
  });
  assert.deepEqual(
    findings.map(({ rule }) => rule),
    ['redirect', 'next-root'],
  );
});

test('examineRepository() finds missing-cached when only the second 404 says that it is a hit', async (t) => {
  for (const header of ['x-cache', 'cf-cache-status', 'cache-status'] as const) {
    const value = { 'x-cache': 'TCP_MEM_HIT', 'cf-cache-status': 'HIT', 'cache-status': 'edge; hit; ttl=9' }[header];
    const seen = new Set<string>();
    const { findings } = await examine(t, (answer, { path }) => {
      if (answer.status !== 404 || path === NEXT_ROOT) return answer;
      const isSecond = seen.has(path);
      seen.add(path);
      return withHeaders(answer, { [header]: isSecond ? value : 'MISS' });
    });
    assert.deepEqual(
      findings.map(({ rule, at }) => [rule, at.endsWith('.gantry-doctor')]),
      [['missing-cached', true]],
      header,
    );
  }
});

test('examineRepository() finds range-wrong for every wrong answer to a range', async (t) => {
  const wrong: readonly (readonly [Ailment, RegExp])[] = [
    [
      where(
        (_, { status }) => status === 206,
        (answer) => withHeaders(answer, { 'content-range': 'bytes 0-1/2' }),
      ),
      /there comes "bytes 0-1\/2"; expected "bytes \d+-\d+\/3145745"/u,
    ],
    [
      where(
        (_, { status }) => status === 206,
        (answer) => withHeaders(answer, { 'content-range': undefined }),
      ),
      /there comes "no Content-Range"/u,
    ],
    [
      where(
        (_, { status }) => status === 206,
        (answer) => ({ ...answer, status: 416 }),
      ),
      /the answer is 416, in spite of its Accept-Ranges/u,
    ],
    [
      (answer, { path }) =>
        answer.status === 206 ? { ...answer, status: 200, body: files.get(path.slice(1)) ?? Buffer.alloc(0) } : answer,
      /the answer is 200, in spite of its Accept-Ranges/u,
    ],
  ];
  for (const [ailment, message] of wrong) {
    const { findings } = await examine(t, ailment);
    assert.deepEqual(
      findings.map(({ rule }) => rule),
      ['range-wrong'],
    );
    assert.match(findings[0]?.message ?? '', message);
  }
});

test('examineRepository() asks as often as it is told, each time on a connection of its own', async (t) => {
  const asked: boolean[] = [];
  const ports = new Set<number | undefined>();
  const report = await examine(
    t,
    (answer, { path, hasQuery, port }) => {
      ports.add(port);
      if (path === TIMESTAMP) asked.push(hasQuery);
      return answer;
    },
    { probes: 8 },
  );
  // The first contact, and then eight times.
  assert.deepEqual(asked, [false, false, true, false, true, false, true, false, true]);
  assert.equal(report.timestamps.length, 8);
  assert.equal(ports.size, report.requests);
});

test('examineRepository() allows what it is told to allow', async (t) => {
  const old: Ailment = (answer, { path }) =>
    path === TIMESTAMP ? withHeaders(answer, { age: '3000', 'cache-control': 'max-age=3600' }) : answer;
  const strict = await examine(t, old);
  assert.deepEqual(
    strict.findings.map(({ rule }) => rule),
    ['timestamp-cache-long', 'timestamp-stale'],
  );
  const mild = await examine(t, old, { maxTimestampAgeSeconds: 3600 });
  assert.deepEqual(mild.findings, []);
});

test('examineRepository() checks that every publication it saw is whole', async (t) => {
  const { findings } = await examine(
    t,
    where(
      ({ path, time }) => path === TIMESTAMP && time === 6,
      (answer) => withBody(answer, (text) => text.replace('"version": 12', '"version": 13').replace('"version": 9', '"version": 10')),
    ),
  );
  assert.deepEqual(
    findings.map(({ rule, at }) => [rule, at]),
    [
      ['version-differs', TIMESTAMP],
      ['named-missing', `${METADATA}10.snapshot.json`],
    ],
  );
});

test('examineRepository() goes on when one request of many stalls', async (t) => {
  const { findings } = await examine(
    t,
    where(
      ({ path }) => path === NEXT_ROOT,
      (answer) => ({ ...answer, silent: true }),
    ),
    { idleTimeoutMs: 200 },
  );
  assert.deepEqual(
    findings.map(({ rule, at }) => [rule, at]),
    [['unsteady', NEXT_ROOT]],
  );
  assert.match(findings[0]?.message ?? '', /no byte came for 0\.2 s/u);
});

test('examineRepository() looks at metadata alone when there are no targets', async (t) => {
  const { findings } = await examine(
    t,
    where(
      ({ path }) => isTarget(path),
      (answer) => ({ status: 404, headers: { 'cache-control': 'no-store' }, body: answer.body.subarray(0, 0) }),
    ),
  );
  assert.deepEqual(
    findings.map(({ rule, at }) => [rule, at.endsWith('and 1 more')]),
    [['named-missing', true]],
  );
});

test('every rule of the doctor has a test that breaks it', () => {
  const special: readonly Special[] = ['plain-http', 'certificate', 'certificate-expiring', 'redirect-elsewhere'];
  assert.deepEqual([...Object.keys(CASES), ...special].toSorted(), doctorRules.map(({ id }) => id).toSorted());
});

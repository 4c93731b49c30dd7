/** A healthy server gives no finding; and what one rule alone does not show: several answers together, options, silence. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { examineRepository } from '../../lib/publish/doctor/doctor.ts';
import { startStaticServer } from '../../lib/server/static-server.ts';
import type { Ailment } from '../support/ailing-server.ts';
import {
  isManifest,
  isTarget,
  METADATA,
  NEXT_ROOT,
  openPractice,
  TIMESTAMP,
  where,
  withBody,
  withHeaders,
} from '../support/doctor-practice.ts';

const { examine, fileAt, repository } = openPractice();

test('examineRepository() finds nothing on a healthy server', async (t) => {
  const report = await examine(t);
  assert.deepEqual(report, { findings: [], requests: 25, timestamps: [12, 12, 12, 12, 12], root: 2 });
});

test('examineRepository() finds nothing on the static server', async (t) => {
  const server = await startStaticServer({ directory: repository().directory, graceMs: 100 });
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
      (answer, { path }) => (answer.status === 206 ? { ...answer, status: 200, body: fileAt(path) } : answer),
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
  const older = await examine(
    t,
    where(
      ({ path, time }) => path === TIMESTAMP && time < 4,
      (answer) => withBody(answer, (text) => text.replace('"version": 12', '"version": 11').replace('"version": 9', '"version": 8')),
    ),
  );
  assert.deepEqual(older.timestamps, [11, 11, 12, 12, 12]);
  assert.deepEqual(
    older.findings.map(({ rule, at }) => [rule, at]),
    [
      ['version-differs', TIMESTAMP],
      ['named-missing', `${METADATA}8.snapshot.json`],
    ],
  );
});

test('examineRepository() examines the rest of what comes compressed', async (t) => {
  const { findings, timestamps } = await examine(t, (answer, { headers, path }) => {
    const old = path === TIMESTAMP ? withHeaders(answer, { age: '120' }) : answer;
    if (!path.endsWith('.json') || !String(headers['accept-encoding']).includes('br')) return old;
    return { ...withHeaders(old, { 'content-encoding': 'gzip' }), body: gzipSync(answer.body) };
  });
  assert.deepEqual(
    findings.map(({ rule, at }) => [rule, at.endsWith('and 4 more')]),
    [
      ['encoded', true],
      ['timestamp-stale', false],
    ],
  );
  assert.equal(timestamps.length, 5);
});

test('examineRepository() finds query-changes when a query string gives other bytes', async (t) => {
  const { findings } = await examine(
    t,
    where(
      ({ path, hasQuery }) => hasQuery && isManifest(path),
      (answer) => withBody(answer, (text) => text.toUpperCase()),
    ),
  );
  assert.deepEqual(
    findings.map(({ rule, message }) => [rule, message]),
    [['query-changes', 'with a query string the answer has other bytes; expected the same file as without']],
  );
});

test('examineRepository() finds cache-short for whatever keeps caches from keeping targets', async (t) => {
  for (const [value, message] of [
    [undefined, /does not say how long/u],
    ['private, max-age=31536000, immutable', /shared caches may not keep it/u],
    ['no-store', /for 0 s/u],
    ['public, max-age=31536000', /does not say that it never changes/u],
  ] as const) {
    const { findings } = await examine(
      t,
      where(
        ({ path }) => isManifest(path),
        (answer) => withHeaders(answer, { 'cache-control': value }),
      ),
    );
    assert.deepEqual(
      findings.map(({ rule }) => rule),
      ['cache-short'],
      value ?? 'no header',
    );
    assert.match(findings[0]?.message ?? '', message);
  }
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

/** When a request is tried again, and when no more. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { GantryError } from '../../lib/errors.ts';
import { statusError } from '../../lib/http/failures.ts';
import { createPatience, retryAfterMs, type Patience, type PatienceClock } from '../../lib/http/patience.ts';
import { createHttpClient, type HttpClient, type HttpOptions } from '../../lib/http/request.ts';
import { cutAfter, endless, redirectTo, send, startHostileServer, type HostileServer, type Lie } from '../support/hostile-server.ts';

const URL_ = new URL('http://a.example/file');
const FILE = Buffer.from('the file');
const broken = new GantryError('http/interrupted', 'broken', { url: '', receivedBytes: 0 });
const unreachable = new GantryError('http/unreachable', 'nobody', { url: '' });

interface Rehearsal {
  readonly patience: Patience;
  readonly waits: number[];
}

/** Time passes only while it waits, and chance is never kind. */
function rehearse(patienceMs: number, made: boolean): Rehearsal {
  let now = 0;
  const waits: number[] = [];
  const clock: PatienceClock = {
    now: () => now,
    random: () => 0.999,
    sleep: async (ms) => {
      waits.push(Math.round(ms));
      now += ms;
    },
  };
  return { patience: createPatience({ patienceMs, contact: { made }, clock }), waits };
}

async function untilGivenUp(patience: Patience, error: GantryError): Promise<void> {
  await assert.rejects(
    async () => {
      for (let failures = 0; failures < 1000; failures += 1) await patience.wait(error);
    },
    { code: error.code },
  );
}

test('pauses grow to their limit, and end with the patience', async () => {
  const { patience, waits } = rehearse(60_000, true);
  await untilGivenUp(patience, broken);
  assert.deepEqual(waits, [400, 799, 1598, 3197, 6394, 12_787, 19_980]);
  assert.ok(waits.reduce((sum, wait) => sum + wait) <= 60_000);
});

test('progress makes patience begin anew as often as it comes, and drops do not', async () => {
  const { patience, waits } = rehearse(5000, true);
  for (let round = 0; round < 200; round += 1) {
    patience.progress(65_536);
    await patience.wait(broken);
  }
  assert.equal(waits.length, 200);
  assert.ok(waits.every((wait) => wait === 400));
  await assert.rejects(async () => {
    for (let round = 0; round < 1000; round += 1) {
      patience.progress(1);
      await patience.wait(broken);
    }
  });
  assert.ok(waits.length < 205, String(waits.length));
});

test('a server that never answered gets two seconds, unless it has answered before', async () => {
  const first = rehearse(60_000, false);
  await untilGivenUp(first.patience, unreachable);
  assert.deepEqual(first.waits, [400, 799]);
});

test('a server that is known to be there gets the whole patience', async () => {
  const { patience, waits } = rehearse(60_000, true);
  await untilGivenUp(patience, unreachable);
  assert.equal(waits.length, 7);
});

test('Retry-After is obeyed, and nobody waits longer for it than for anything else', async () => {
  const { patience, waits } = rehearse(60_000, true);
  await patience.wait(statusError(URL_, 503, 10_000));
  assert.deepEqual(waits, [10_400]);
  await assert.rejects(patience.wait(statusError(URL_, 429, 86_400_000)), {
    code: 'http/status',
    details: { url: URL_.href, status: 429, retryAfterMs: 86_400_000 },
  });
  assert.equal(waits.length, 1);
});

test('what another try would not cure is thrown at once', async () => {
  const { patience, waits } = rehearse(60_000, true);
  const errors = [
    statusError(URL_, 404),
    statusError(URL_, 400),
    statusError(URL_, 501),
    new GantryError('http/certificate', '', { url: '', problem: '' }),
    new GantryError('http/proxy', '', { url: '', proxy: '', status: 407 }),
    new GantryError('http/range', '', { url: '', asked: '', found: '' }),
    new TypeError('ours'),
  ];
  for (const error of errors) await assert.rejects(patience.wait(error), error);
  assert.deepEqual(waits, []);
});

test('retryAfterMs() reads seconds and HTTP dates, and nothing else', () => {
  const now = Date.parse('2026-11-23T12:00:00Z');
  for (const [header, ms] of [
    ['0', 0],
    ['120', 120_000],
    [' 7 ', 7000],
    ['999999999', 999_999_999_000],
    ['Mon, 23 Nov 2026 12:00:30 GMT', 30_000],
    ['Mon, 23 Nov 2026 11:00:00 GMT', 0],
    ['Monday, 23-Nov-26 12:00:30 GMT', 30_000],
    ['Mon Nov 23 12:00:30 2026 GMT', 30_000],
    [undefined, undefined],
    ['', undefined],
    ['-5', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['9999999999', undefined],
    ['Mon, 99 Nov 2026', undefined],
    ['2026-11-24', undefined],
  ] as const) {
    assert.equal(retryAfterMs(header, now), ms, String(header));
  }
});

interface Scene {
  readonly server: HostileServer;
  readonly http: HttpClient;
  readonly url: URL;
  readonly waits: number[];
}

async function scene(t: TestContext, lie: Lie, options: HttpOptions = {}): Promise<Scene> {
  const server = await startHostileServer(t, new Map([['file', FILE]]));
  server.lies.set('file', lie);
  const waits: number[] = [];
  const http = createHttpClient({ idleTimeoutMs: 2000, patienceMs: 5000, onRetry: (_, waitMs) => waits.push(waitMs), ...options });
  t.after(() => http.close());
  return { server, http, url: new URL('file', server.url), waits };
}

/** Honest from the third time on. */
function twice(server: () => HostileServer, lie: Lie): Lie {
  return (response, file, request) => {
    if (server().requests.length === 2) server().lies.clear();
    lie(response, file, request);
  };
}

for (const [what, lie] of [
  ['the server is overloaded', send(FILE, 503)],
  ['the server has enough of us', send(FILE, 429)],
  ['the answer breaks off', cutAfter(3)],
] as const) {
  test(`fetchBytes() tries again when ${what}, and not without end`, async (t) => {
    const met: { scene?: Scene } = {};
    met.scene = await scene(t, (...answer) => twice(() => met.scene?.server ?? assert.fail(), lie)(...answer), { patienceMs: 5000 });
    const { http, url, server, waits } = met.scene;
    assert.deepEqual(Buffer.from(await http.fetchBytes(url, { maxBytes: 100 })), FILE);
    assert.deepEqual([http.traffic.requests, waits.length], [3, 2]);
    server.lies.set('file', lie);
    await assert.rejects(http.fetchBytes(url, { maxBytes: 100, tries: 'once' }), { name: 'GantryError' });
    assert.equal(http.traffic.requests, 4);
  });
}

test('fetchBytes() gives up when its patience is at its end', async (t) => {
  const { http, url, waits } = await scene(t, send(FILE, 503), { patienceMs: 1000 });
  const started = performance.now();
  await assert.rejects(http.fetchBytes(url, { maxBytes: 100 }), { code: 'http/status', details: { url: url.href, status: 503 } });
  assert.ok(waits.length > 0);
  assert.ok(performance.now() - started < 5000);
});

test('fetchBytes() waits as long as Retry-After says', async (t) => {
  const { http, url, server, waits } = await scene(t, (response) => {
    server.lies.clear();
    response.writeHead(503, { 'Retry-After': '1' }).end();
  });
  assert.deepEqual(Buffer.from(await http.fetchBytes(url, { maxBytes: 100 })), FILE);
  assert.ok((waits[0] ?? 0) >= 1000);
});

test('fetchBytes() does not wait for a server that wants to be left alone for a day, and says until when', async (t) => {
  const { http, url, waits } = await scene(t, (response) => response.writeHead(429, { 'Retry-After': '86400' }).end());
  await assert.rejects(http.fetchBytes(url, { maxBytes: 100 }), {
    code: 'http/status',
    details: { url: url.href, status: 429, retryAfterMs: 86_400_000 },
  });
  assert.deepEqual([waits, http.traffic.requests], [[], 1]);
});

test('fetchBytes() asks once when another try would give the same answer', async (t) => {
  for (const lie of [send(FILE, 404), send(FILE, 400), endless(), redirectTo('http://evil.example/')]) {
    const { http, url } = await scene(t, lie);
    await assert.rejects(http.fetchBytes(url, { maxBytes: 1000 }));
    assert.equal(http.traffic.requests, 1);
  }
});

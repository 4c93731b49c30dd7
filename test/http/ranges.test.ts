/** Parts of files, from servers that answer with something else. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { isGantryError } from '../../lib/errors.ts';
import { createHttpClient, type HttpClient, type HttpOptions, type RangeOptions } from '../../lib/http/request.ts';
import { startAilingServer, type Ailment, type Answer, type Asked } from '../support/ailing-server.ts';
import { drain } from '../support/host.ts';
import { cutAfter, redirectTo, send, stallAfter, startHostileServer } from '../support/hostile-server.ts';

const FILE = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251));
const PART = { offset: 100, length: 50, totalBytes: FILE.length } as const;

interface Scene {
  readonly http: HttpClient;
  readonly url: URL;
  readonly asked: Asked[];
}

async function scene(t: TestContext, ailment: Ailment = (answer) => answer, options: HttpOptions = {}): Promise<Scene> {
  const asked: Asked[] = [];
  const origin = await startAilingServer(t, {
    files: new Map([['file', FILE]]),
    ailment: (answer, question) => {
      asked.push(question);
      return ailment(answer, question);
    },
  });
  const http = createHttpClient({ idleTimeoutMs: 2000, patienceMs: 0, ...options });
  t.after(() => http.close());
  return { http, url: new URL('file', origin), asked };
}

const slice = ({ offset, length }: { readonly offset: number; readonly length: number }): Buffer => FILE.subarray(offset, offset + length);

const head =
  (headers: Answer['headers']): Ailment =>
  (answer) => ({ ...answer, headers: { ...answer.headers, ...headers } });

test('fetchRange() gives the part that was asked for, and the ETag before its first byte', async (t) => {
  const { http, url, asked } = await scene(t);
  for (const range of [PART, { ...PART, offset: 0 }, { ...PART, offset: 950 }, { ...PART, length: 1 }]) {
    const first = await http.fetchRange(url, range);
    assert.deepEqual([first.kind, first.etag?.length], ['asked', 18]);
    assert.deepEqual(await drain(first.body), slice(range));
    const again = await http.fetchRange(url, { ...range, ...(first.etag === undefined ? {} : { etag: first.etag }) });
    assert.deepEqual([again.kind, again.etag], ['asked', first.etag]);
    assert.deepEqual(await drain(again.body), slice(range));
  }
  assert.equal(asked[0]?.headers.range, 'bytes=100-149');
  assert.equal(asked[0]?.headers['if-range'], undefined);
  assert.equal(asked[1]?.headers['if-range']?.length, 18);
  assert.equal(http.traffic.bytesReceived, 2 * (50 + 50 + 50 + 1));
});

test('fetchRange() asks for a whole file without a range', async (t) => {
  const { http, url, asked } = await scene(t);
  const { kind, body } = await http.fetchRange(url, { offset: 0, length: FILE.length, totalBytes: FILE.length });
  assert.deepEqual([kind, await drain(body)], ['asked', FILE]);
  assert.equal(asked[0]?.headers.range, undefined);
});

test('fetchRange() gives the whole file when the server knows no ranges, or has another file than the one of the ETag', async (t) => {
  const { http, url } = await scene(t);
  const stale = await http.fetchRange(url, { ...PART, etag: '"old"' });
  assert.deepEqual([stale.kind, await drain(stale.body)], ['whole', FILE]);
  const deaf = await scene(t, (answer) => ({ ...answer, status: 200, headers: {}, body: FILE }));
  const whole = await deaf.http.fetchRange(deaf.url, PART);
  assert.deepEqual([whole.kind, whole.etag, await drain(whole.body)], ['whole', undefined, FILE]);
});

test('fetchRange() takes a part of a file whose length the server does not tell', async (t) => {
  const { http, url } = await scene(t, head({ 'content-range': 'bytes 100-149/*' }));
  assert.deepEqual(await drain((await http.fetchRange(url, PART)).body), slice(PART));
});

const REFUSED: Readonly<Record<string, readonly [code: string, ailment: Ailment]>> = {
  'begins elsewhere': ['http/range', head({ 'content-range': 'bytes 101-150/1000' })],
  'begins earlier': ['http/range', head({ 'content-range': 'bytes 99-149/1000' })],
  'ends elsewhere': ['http/range', head({ 'content-range': 'bytes 100-148/1000' })],
  'is of a longer file': ['http/range', head({ 'content-range': 'bytes 100-149/1001' })],
  'is of a shorter file': ['http/range', head({ 'content-range': 'bytes 100-149/999' })],
  'does not say which part it is': ['http/range', head({ 'content-range': undefined })],
  'counts in another unit': ['http/range', head({ 'content-range': 'lines 100-149/1000' })],
  'counts below nothing': ['http/range', head({ 'content-range': 'bytes -100-149/1000' })],
  'counts in hexadecimal': ['http/range', head({ 'content-range': 'bytes 0x64-149/1000' })],
  'names several parts': ['http/range', head({ 'content-range': 'bytes 100-149/1000, bytes 200-249/1000' })],
  'is multipart': ['http/range', head({ 'content-range': undefined, 'content-type': 'multipart/byteranges; boundary=x' })],
  'says that there is no such part': [
    'http/range',
    () => ({ status: 416, headers: { 'content-range': 'bytes */1000' }, body: Buffer.alloc(0) }),
  ],
  'is longer than it says': ['http/too-long', (answer) => ({ ...answer, body: FILE.subarray(100, 151) })],
  'is shorter than it says': ['http/too-short', (answer) => ({ ...answer, body: FILE.subarray(100, 149) })],
  'is longer and does not say how long': [
    'http/too-long',
    (answer) => ({ ...answer, headers: { ...answer.headers, 'content-length': undefined, 'transfer-encoding': 'chunked' }, body: FILE }),
  ],
  'is encoded': ['http/encoded', head({ 'content-encoding': 'gzip' })],
  'is a whole file of another length': ['http/too-short', () => ({ status: 200, headers: {}, body: FILE.subarray(1) })],
  'is missing': ['http/missing', () => ({ status: 404, headers: {}, body: Buffer.alloc(0) })],
  'is an error': ['http/status', () => ({ status: 500, headers: {}, body: Buffer.alloc(0) })],
  'has no status that belongs to a part': ['http/status', (answer) => ({ ...answer, status: 203 })],
  'breaks off': ['http/interrupted', (answer) => ({ ...answer, cutAt: 10 })],
};

for (const [what, [code, ailment]] of Object.entries(REFUSED)) {
  test(`fetchRange() throws ${code} when the answer ${what}`, async (t) => {
    const { http, url } = await scene(t, ailment);
    await assert.rejects(async () => drain((await http.fetchRange(url, PART)).body), { name: 'GantryError', code });
  });
}

for (const [what, etag, code] of [
  ['another ETag', '"other"', 'http/changed'],
  ['no ETag', undefined, 'http/changed'],
  ['a weak ETag', 'W/"mine"', 'http/changed'],
  ['an ETag without quotes', 'mine', 'http/changed'],
  ['the same ETag', '"mine"', undefined],
] as const) {
  test(`fetchRange() ${code === undefined ? 'goes on' : `throws ${code}`} when a part comes with ${what} although it was not asked for`, async (t) => {
    const { http, url } = await scene(t, (_, { headers }) => {
      assert.equal(headers['if-range'], '"mine"');
      return { status: 206, headers: { 'content-range': 'bytes 100-149/1000', etag }, body: slice(PART) };
    });
    const fetch = async (): Promise<Uint8Array> => drain((await http.fetchRange(url, { ...PART, etag: '"mine"' })).body);
    if (code === undefined) assert.deepEqual(await fetch(), slice(PART));
    else await assert.rejects(fetch, { code, message: /^Cannot go on with http:.+ expected "\\"mine\\""$/u });
  });
}

test('fetchRange() refuses a part that no file has', async (t) => {
  const { http, url, asked } = await scene(t);
  const bad: readonly Partial<RangeOptions>[] = [
    { offset: -1 },
    { length: 0 },
    { offset: 951 },
    { offset: 0.5 },
    { totalBytes: Number.NaN },
  ];
  for (const part of bad) await assert.rejects(http.fetchRange(url, { ...PART, ...part }), RangeError);
  assert.deepEqual(asked, []);
});

test('fetchRange() asks with its range again behind a redirect, and closes what nobody reads', async (t) => {
  const server = await startHostileServer(t, new Map([['there', FILE]]));
  server.lies.set('file', redirectTo('/there'));
  server.lies.set('there', (response, file, request) => {
    assert.equal(request.headers.range, 'bytes=100-149');
    stallAfter(10)(response, file, request);
  });
  const http = createHttpClient({ patienceMs: 0 });
  t.after(() => http.close());
  const answer = await http.fetchRange(new URL('file', server.url), PART);
  assert.equal(answer.kind, 'whole');
  answer.cancel();
  await server.deserted();
});

test('fetchRange() tries again until an answer begins, and leaves what breaks off behind it to its caller', async (t) => {
  const server = await startHostileServer(t, new Map([['file', FILE]]));
  server.lies.set('file', (response, file, request) => {
    server.lies.set('file', cutAfter(200));
    send(Buffer.alloc(0), 503)(response, file, request);
  });
  const http = createHttpClient({ patienceMs: 5000 });
  t.after(() => http.close());
  const url = new URL('file', server.url);
  const { kind, body } = await http.fetchRange(url, PART);
  assert.equal(kind, 'whole');
  await assert.rejects(drain(body), { code: 'http/interrupted', details: { url: url.href, receivedBytes: 200 } });
  assert.equal(server.requests.length, 2);
});

function mostly<T>(usual: T, other: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other });
}

/** What a server may say, most of it near the truth; the bytes are always those that it says they are. */
const answers = fc.record({
  status: fc.constantFrom(200, 206, 206, 206, 206, 416, 404, 500, 203),
  first: mostly(PART.offset, fc.nat(FILE.length)),
  length: mostly(PART.length, fc.nat(FILE.length)),
  total: mostly(String(FILE.length), fc.constantFrom('*', '', '0', '999', '1001', '1e3')),
  contentRange: mostly<string | undefined>(undefined, fc.string({ maxLength: 40 })),
  etag: fc.constantFrom('"mine"', '"mine"', '"other"', 'W/"mine"', undefined),
  stated: fc.constantFrom('right', 'right', 'none'),
  cut: mostly<number | undefined>(undefined, fc.nat(60)),
});

test('fetchRange() gives the right bytes or one of our errors, whatever a server says about the bytes that it sends', async (t) => {
  let next: Ailment = (answer) => answer;
  const { http, url } = await scene(t, (answer, asked) => next(answer, asked));
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(answers, fc.boolean(), async ({ status, first, length, total, contentRange, etag, stated, cut }, withEtag) => {
      const body = status === 200 ? FILE : FILE.subarray(first, first + length);
      const range = contentRange?.replaceAll(/[^\u0020-\u007e]/gu, '?') ?? `bytes ${first}-${first + body.length - 1}/${total}`;
      const framing = stated === 'right' ? {} : { 'content-length': undefined, 'transfer-encoding': 'chunked' };
      next = () => ({ status, headers: { 'content-range': range, etag, ...framing }, body, ...(cut === undefined ? {} : { cutAt: cut }) });
      try {
        const answer = await http.fetchRange(url, { ...PART, ...(withEtag ? { etag: '"mine"' } : {}) });
        const bytes = await drain(answer.body);
        assert.deepEqual(bytes, answer.kind === 'asked' ? slice(PART) : FILE);
        assert.ok(!withEtag || answer.kind === 'whole' || etag === '"mine"');
        accepted += 1;
      } catch (error) {
        if (!isGantryError(error)) throw error;
        assert.match(error.code, /^http\//u);
      }
    }),
    { numRuns: 400, verbose: 1 },
  );
  assert.ok(accepted > 20, `only ${accepted} answers were taken`);
});

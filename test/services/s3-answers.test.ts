/** What a bucket makes of answers that no server here can be made to give, and of what is no S3 at all. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { parseStorePath } from '../../lib/store/path.ts';
import { createS3Store } from '../../lib/store/s3/s3.ts';
import { bytesSource } from '../../lib/store/source.ts';
import type { Store } from '../../lib/store/store.ts';
import { useCredentials } from './aws-environment.ts';

const PATH = parseStorePath('metal/x86_64/timestamp.json');
const CREDENTIALS = { accessKeyId: 'key', secretAccessKey: 'secret' };

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

interface FakeServer {
  readonly endpoint: string;
  /** `HEAD /bucket/name`, in order. */
  readonly requests: readonly string[];
}

async function startFakeServer(t: TestContext, answer: Answer): Promise<FakeServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${(request.url ?? '').split('?')[0]}`);
    request.resume().once('end', () => answer(request, response));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

async function bucketAt(endpoint: string): Promise<Store> {
  useCredentials(CREDENTIALS);
  return createS3Store({ bucket: 'bucket', prefix: '' }, { endpoint, region: 'us-east-1', pathStyle: true });
}

async function write(store: Store, lengthBytes: number): Promise<unknown> {
  const options = { expect: 'absent', cacheClass: 'immutable', contentType: 'text/plain' } as const;
  return store.write(PATH, bytesSource(Buffer.alloc(lengthBytes)), options);
}

function callsOf(store: Store): Readonly<Record<string, () => Promise<unknown>>> {
  return {
    read: async () => store.read(PATH),
    'look up': async () => store.head(PATH),
    list: async () => store.list('')[Symbol.asyncIterator]().next(),
    write: async () => write(store, 3),
    'write in parts': async () => write(store, 5 << 20),
  };
}

/** As S3 says it; a HEAD has no body to say it in. */
function refuse(status: number, code: string): Answer {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>no</Message><RequestId>1</RequestId></Error>`;
  return ({ method }, response) => {
    response.writeHead(status, { 'Content-Type': 'application/xml' }).end(method === 'HEAD' ? undefined : body);
  };
}

const PAGES: Readonly<Record<string, string>> = {
  HTML: '<!doctype html><html><body><h1>It works!</h1><br></body></html>',
  'well-formed XHTML': '<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>It works!</h1></body></html>',
};
for (const [kind, page] of Object.entries(PAGES)) {
  test(`a bucket throws store/not-s3 when a web server answers everything with 200 and ${kind}`, async (t) => {
    const { endpoint } = await startFakeServer(t, (_, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end(page));
    for (const [call, work] of Object.entries(callsOf(await bucketAt(endpoint)))) {
      await t.test(call, async () =>
        assert.rejects(work(), {
          code: 'store/not-s3',
          details: { location: endpoint },
          message: new RegExp(`what answers at ${endpoint} does not speak S3`, 'u'),
        }),
      );
    }
  });
}

test('a bucket throws store/not-s3, and takes nothing for missing, when a web server answers with 404 or 403', async (t) => {
  for (const status of [404, 403]) {
    const page: Answer = (_, response) => response.writeHead(status, { 'Content-Type': 'text/html' }).end(PAGES['HTML']);
    const { endpoint } = await startFakeServer(t, page);
    const calls = callsOf(await bucketAt(endpoint));
    for (const [call, work] of Object.entries(calls)) await assert.rejects(work(), { code: 'store/not-s3' }, `${call}, ${status}`);
  }
});

test('a bucket throws store/failed and names the endpoint when nobody answers there', async (t) => {
  const { endpoint } = await startFakeServer(t, (_, response) => response.destroy());
  const silent = /no answer from http:\/\/127\.0\.0\.1:\d+ \(E[A-Z]+\)/u;
  for (const where of [endpoint, 'http://127.0.0.1:1']) {
    for (const work of Object.values(callsOf(await bucketAt(where))))
      await assert.rejects(work(), { code: 'store/failed', message: silent });
  }
});

const REFUSALS = [
  { status: 403, name: 'RequestTimeTooSkewed', code: 'store/clock' },
  { status: 403, name: 'AccessDenied', code: 'store/denied' },
  { status: 400, name: 'ExpiredToken', code: 'store/credentials' },
  { status: 400, name: 'AuthorizationHeaderMalformed', code: 'store/region' },
  { status: 301, name: 'PermanentRedirect', code: 'store/region' },
  { status: 503, name: 'SlowDown', code: 'store/failed' },
] as const;
for (const { status, name, code } of REFUSALS) {
  test(`a bucket throws ${code} when S3 answers ${status} ${name}`, async (t) => {
    const { endpoint } = await startFakeServer(t, refuse(status, name));
    const calls = callsOf(await bucketAt(endpoint));
    await Promise.all(Object.entries(calls).map(async ([call, work]) => assert.rejects(work(), { code }, call)));
  });
}

test('a refusal names the call, the object and the permission when S3 answers 403', async (t) => {
  const { endpoint } = await startFakeServer(t, refuse(403, 'AccessDenied'));
  const expected: Readonly<Record<string, string>> = {
    read: 'GetObject was denied; expected credentials that have s3:GetObject',
    'look up': 'HeadObject was denied; expected credentials that have s3:GetObject',
    list: 'ListObjectsV2 was denied; expected credentials that have s3:ListBucket',
    write: 'PutObject was denied; expected credentials that have s3:PutObject',
    'write in parts': 'CreateMultipartUpload was denied; expected credentials that have s3:PutObject',
  };
  for (const [call, work] of Object.entries(callsOf(await bucketAt(endpoint)))) {
    const named = call === 'list' ? 'bucket' : PATH;
    await assert.rejects(work(), { message: `Cannot ${call.replace(' in parts', '')} "${named}" in "s3://bucket": ${expected[call]}` });
  }
});

test('a bucket throws store/region when no region is set', async (t) => {
  const { endpoint } = await startFakeServer(t, refuse(404, 'NoSuchKey'));
  useCredentials(CREDENTIALS);
  const store = await createS3Store({ bucket: 'bucket', prefix: '' }, { endpoint, pathStyle: true });
  await assert.rejects(store.read(PATH), { code: 'store/region', message: /no region is set/u });
});

test('head() asks about the bucket once, not for every object that is missing', async (t) => {
  const { endpoint, requests } = await startFakeServer(t, refuse(404, 'NoSuchKey'));
  const store = await bucketAt(endpoint);
  for (let time = 0; time < 3; time += 1) assert.equal(await store.head(PATH), undefined);
  const head = `HEAD /bucket/${PATH}`;
  assert.deepEqual(requests, [head, `GET /bucket/${PATH}`, head, head]);
});

test('write() throws store/failed when its upload is gone before it was completed', async (t) => {
  const { endpoint } = await startFakeServer(t, (request, response) => {
    if (request.method === 'PUT') response.writeHead(200, { ETag: '"part"' }).end();
    else if (request.url?.includes('uploads') === true) {
      const begun = '<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>';
      response.writeHead(200, { 'Content-Type': 'application/xml' }).end(begun);
    } else refuse(404, 'NoSuchUpload')(request, response);
  });
  await assert.rejects(write(await bucketAt(endpoint), 5 << 20), { code: 'store/failed' });
});

test('a bucket throws store/failed when a listing breaks off, or goes on where it was', async (t) => {
  const page = (root: string, members: string): string =>
    `<?xml version="1.0" encoding="UTF-8"?><${root}><Name>bucket</Name><IsTruncated>true</IsTruncated>${members}</${root}>`;
  const listings = [
    page('ListBucketResult', ''),
    page('ListBucketResult', '<NextContinuationToken>here</NextContinuationToken>'),
    page('ListMultipartUploadsResult', ''),
    page('ListMultipartUploadsResult', '<NextKeyMarker>here</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker>'),
  ];
  for (const listing of listings) {
    const { endpoint, requests } = await startFakeServer(t, (_, response) =>
      response.writeHead(200, { 'Content-Type': 'application/xml' }).end(listing),
    );
    const store = await bucketAt(endpoint);
    const pages = listing.includes('ListBucket') ? store.list('') : store.unfinished?.list();
    const readAll = async (): Promise<void> => {
      for await (const _ of pages ?? []);
    };
    await assert.rejects(readAll(), { code: 'store/failed', message: /the listing of \S+ breaks off/u }, listing);
    assert.equal(requests.length, listing.includes('here') ? 2 : 1);
  }
});

/** What real servers say when something is set up wrong, in our words; and what became of a write whose answer was lost. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { isGantryError } from '../../lib/errors.ts';
import { parseStorePath } from '../../lib/store/path.ts';
import { bytesSource } from '../../lib/store/source.ts';
import type { Store, WriteOptions } from '../../lib/store/store.ts';
import { describeEachS3Server } from '../support/each-s3-server.ts';
import { imageBytes } from '../support/bytes.ts';
import { type S3Server } from '../support/s3-server.ts';
import { awsEnvironment, storeIn, useCredentials } from './aws-environment.ts';

const run = promisify(execFile);
const PATH = parseStorePath('metal/x86_64/timestamp.json');
const SMALL = 3;
const PARTED = 20 << 20;
const OPTIONS: WriteOptions = { expect: 'absent', cacheClass: 'immutable', contentType: 'application/octet-stream' };
const at = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);

async function write(store: Store, lengthBytes: number): Promise<unknown> {
  return store.write(PATH, bytesSource(imageBytes(lengthBytes)), OPTIONS);
}

function callsOf(store: Store): Readonly<Record<string, () => Promise<unknown>>> {
  return {
    read: async () => store.read(PATH),
    head: async () => store.head(PATH),
    list: async () => store.list('')[Symbol.asyncIterator]().next(),
    remove: async () => store.remove(PATH),
    'write a few bytes': async () => write(store, SMALL),
    'write in parts': async () => write(store, PARTED),
  };
}

async function assertEachCallThrows(t: TestContext, store: Store, code: string, message: RegExp): Promise<void> {
  for (const [call, work] of Object.entries(callsOf(store))) await t.test(call, async () => assert.rejects(work(), { code, message }));
}

/** Passes everything on, but breaks the connection instead of giving the first answer to a request that matches. */
async function startForgetfulProxy(t: TestContext, target: string, matches: (method: string, url: string) => boolean): Promise<string> {
  let hasForgotten = false;
  const proxy = createServer((request, response) => {
    const { method = 'GET', url = '/', headers } = request;
    const onward = send(`${target}${url}`, { method, headers }, (answer) => {
      if (!hasForgotten && matches(method, url)) {
        hasForgotten = true;
        answer.resume().once('end', () => response.destroy());
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.once('error', () => response.destroy());
    request.pipe(onward);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.after(() => {
    proxy.close();
    proxy.closeAllConnections();
  });
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

/** Writes and reads in a process whose clock is wrong. */
const skewed = (milliseconds: number, { endpoint, region }: S3Server, bucket: string): string => `
  const Exact = Date;
  globalThis.Date = class extends Exact {
    constructor(...args) { super(...(args.length === 0 ? [Exact.now() + ${milliseconds}] : args)); }
    static now() { return Exact.now() + ${milliseconds}; }
  };
  const { createS3Store } = await import(${at('../../lib/store/s3/s3.ts')});
  const { bytesSource } = await import(${at('../../lib/store/source.ts')});
  const settings = ${JSON.stringify({ endpoint, region, pathStyle: true })};
  const store = await createS3Store({ bucket: ${JSON.stringify(bucket)}, prefix: '' }, settings);
  const options = ${JSON.stringify(OPTIONS)};
  await store.write('skewed', bytesSource(Buffer.alloc(${SMALL})), options);
  await store.write('skewed-parts', bytesSource(Buffer.alloc(${PARTED})), options);
  console.log((await store.head('skewed')).lengthBytes, (await store.read('skewed-parts')).info.lengthBytes);
  process.exit(0);`;

await describeEachS3Server((kind, server) => {
  test(`a bucket throws store/no-bucket when ${kind} has none of that name`, async (t) => {
    const store = await storeIn(server, 'no-such-bucket');
    await assertEachCallThrows(t, store, 'store/no-bucket', /in "s3:\/\/no-such-bucket\/os": there is no such bucket/u);
  });

  test(`a bucket throws store/credentials when ${kind} does not know the key`, async (t) => {
    const store = await storeIn({ ...server, credentials: { ...server.credentials, accessKeyId: 'nobody' } }, await server.bucket('key'));
    await assertEachCallThrows(t, store, 'store/credentials', /the credentials are not accepted \(InvalidAccessKeyId\)/u);
  });

  test(`a bucket throws store/credentials when the secret is not that of ${kind}`, async (t) => {
    const wrong = { ...server.credentials, secretAccessKey: 'not the secret' };
    const store = await storeIn({ ...server, credentials: wrong }, await server.bucket('secret'));
    await assertEachCallThrows(t, store, 'store/credentials', /the credentials are not accepted \(SignatureDoesNotMatch\)/u);
  });

  test(`a bucket is written and read when the clock of this machine is an hour from that of ${kind}`, async () => {
    const hour = 3_600_000;
    for (const milliseconds of [hour, -hour]) {
      const bucket = await server.bucket('clock');
      const code = skewed(milliseconds, server, bucket);
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], {
        env: { ...process.env, ...awsEnvironment(server.credentials) },
      });
      assert.equal(stdout.trim(), `${SMALL} ${PARTED}`);
    }
  });

  const lost: Readonly<Record<string, { readonly lengthBytes: number; readonly matches: (method: string, url: string) => boolean }>> = {
    'a single write': { lengthBytes: SMALL, matches: (method) => method === 'PUT' },
    'the last call of a write in parts': {
      lengthBytes: PARTED,
      matches: (method, url) => method === 'POST' && url.includes('uploadId='),
    },
  };
  for (const [what, { lengthBytes, matches }] of Object.entries(lost)) {
    test(`write() never says that an object is missing when the answer of ${kind} to ${what} is lost`, async (t) => {
      const bucket = await server.bucket('lost');
      const endpoint = await startForgetfulProxy(t, server.endpoint, matches);
      // The SDK tries again, and finds its own first try: whoever wrote looks what is there.
      const outcome = await write(await storeIn({ ...server, endpoint }, bucket), lengthBytes).catch((error: unknown) => error);
      const isKnown = typeof outcome === 'string' || isGantryError(outcome, 'store/conflict') || isGantryError(outcome, 'store/failed');
      assert.ok(isKnown, String(outcome));
      const { sha256 } = bytesSource(imageBytes(lengthBytes));
      assert.equal((await (await storeIn(server, bucket)).head(PATH))?.sha256, sha256);
      const { Uploads = [] } = await server.client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `os/${PATH}` }));
      assert.deepEqual(Uploads, []);
    });
  }

  for (const lengthBytes of [SMALL, PARTED]) {
    test(`write() stops reading a source without an end when ${lengthBytes} bytes were announced to ${kind}`, async () => {
      useCredentials(server.credentials);
      const store = await storeIn(server, await server.bucket('endless'));
      const chunk = imageBytes(1 << 20);
      let given = 0;
      const source = {
        ...bytesSource(imageBytes(lengthBytes)),
        async *open() {
          for (;;) {
            given += chunk.length;
            yield chunk;
          }
        },
      };
      await assert.rejects(store.write(PATH, source, OPTIONS), { code: 'store/source-changed', details: { path: PATH } });
      assert.ok(given <= lengthBytes + (9 << 20), `${given} bytes were read`);
      assert.equal(await store.head(PATH), undefined);
    });
  }
});

/** A large object whose upload was cut off: the next try sends only what is missing, from any machine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { parseStorePath } from '../../lib/store/path.ts';
import { bytesSource } from '../../lib/store/source.ts';
import type { ByteSource, Store, WriteOptions } from '../../lib/store/store.ts';
import { describeEachS3Server } from '../support/each-s3-server.ts';
import { collect, imageBytes, inChunks } from '../support/bytes.ts';
import { countRequests } from '../support/s3-requests.ts';
import { startS3Proxy, TRUTH, type Asked, type Lie } from '../support/s3-proxy.ts';

import { storeIn } from './aws-environment.ts';

const PATH = parseStorePath('targets/large.img');
const MIB = 1 << 20;
/** Five parts of 5 MiB. */
const BYTES = imageBytes(25 * MIB);
const SOURCE = bytesSource(BYTES);
const OPTIONS: WriteOptions & { readonly expect: 'absent' } = {
  expect: 'absent',
  cacheClass: 'immutable',
  contentType: 'application/octet-stream',
};

const GONE = { kind: 'error', status: 404, code: 'NoSuchUpload' } as const;

/** What another publisher does who has found the same upload. */
const ENDED: readonly { readonly when: string; readonly lie: (asked: Asked) => Lie }[] = [
  {
    when: 'its upload ends between two parts',
    lie: ({ method, query, time }) =>
      method === 'PUT' && query.get('partNumber') === '2' && time === 2 ? { ...GONE, effect: 'never' } : TRUTH,
  },
  {
    when: 'its upload ends before it is joined',
    lie: ({ method, query, time }) => (method === 'POST' && query.has('uploadId') && time === 2 ? { ...GONE, effect: 'never' } : TRUTH),
  },
  {
    when: "a part is another publisher's",
    lie: ({ method, query, time }) =>
      method === 'POST' && query.has('uploadId') && time === 2
        ? { kind: 'error', status: 400, code: 'InvalidPart', effect: 'never' }
        : TRUTH,
  },
];

/** Three parts are on the server when it is cut off. */
async function cutOff(store: Store): Promise<void> {
  const stop = new AbortController();
  const source: ByteSource = {
    ...SOURCE,
    async *open() {
      yield* inChunks(BYTES.subarray(0, 16 * MIB), MIB);
      await delay(1500);
      stop.abort();
      yield* inChunks(BYTES.subarray(16 * MIB), MIB);
    },
  };
  await assert.rejects(store.write(PATH, source, { ...OPTIONS, signal: stop.signal }), { code: 'aborted' });
}

await describeEachS3Server((kind, server) => {
  const uploads = async (bucket: string): Promise<number> =>
    (await server.client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `os/${PATH}` }))).Uploads?.length ?? 0;

  test(`write() to ${kind} sends only the parts that are missing when an earlier try was cut off`, async () => {
    const bucket = await server.bucket('resume');
    await cutOff(await storeIn(server, bucket));
    const fresh = await storeIn(server, bucket);
    const { byKind } = await countRequests(server.endpoint, async () => void (await fresh.write(PATH, SOURCE, OPTIONS)));
    assert.equal(byKind['PUT part'], 2);
    assert.deepEqual(await collect((await fresh.read(PATH)).body), Buffer.from(BYTES));
    assert.equal((await fresh.head(PATH))?.sha256, SOURCE.sha256);
    assert.equal(await uploads(bucket), 0);
  });

  test(`write() to ${kind} takes no part for its own whose bytes are others`, async () => {
    const bucket = await server.bucket('resume');
    const store = await storeIn(server, bucket);
    await cutOff(store);
    const listed = await server.client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `os/${PATH}` }));
    const UploadId = listed.Uploads?.[0]?.UploadId;
    const Body = Buffer.alloc(5 * MIB, 'x');
    await server.client.send(
      new UploadPartCommand({ Bucket: bucket, Key: `os/${PATH}`, UploadId, PartNumber: 2, Body, ChecksumAlgorithm: 'SHA256' }),
    );
    const { byKind } = await countRequests(server.endpoint, async () => void (await store.write(PATH, SOURCE, OPTIONS)));
    assert.equal(byKind['PUT part'], 3);
    assert.deepEqual(await collect((await store.read(PATH)).body), Buffer.from(BYTES));
  });

  test(`of two writers to ${kind} that find the same upload one wins, and the object is whole`, async () => {
    const bucket = await server.bucket('resume');
    await cutOff(await storeIn(server, bucket));
    const writers = await Promise.all([storeIn(server, bucket), storeIn(server, bucket)]);
    const outcomes = await Promise.allSettled(writers.map(async (store) => store.write(PATH, SOURCE, OPTIONS)));
    assert.ok(outcomes.some(({ status }) => status === 'fulfilled'));
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') assert.match(String(outcome.reason.code), /^store\/(?:conflict|failed)$/u);
    }
    assert.deepEqual(await collect((await writers[0].read(PATH)).body), Buffer.from(BYTES));
  });

  test(`write() to ${kind} goes on with an upload that has no part yet, when its name holds the digest`, async () => {
    const bucket = await server.bucket('resume');
    const store = await storeIn(server, bucket);
    const path = parseStorePath(`targets/${SOURCE.sha256}.large.img`);
    await server.client.send(
      new CreateMultipartUploadCommand({
        Bucket: bucket,
        Key: `os/${path}`,
        ChecksumAlgorithm: 'SHA256',
        Metadata: { sha256: SOURCE.sha256 },
      }),
    );
    await store.write(path, SOURCE, OPTIONS);
    assert.equal((await store.head(path))?.sha256, SOURCE.sha256);
    assert.deepEqual(await collect((await store.read(path)).body), Buffer.from(BYTES));
    const { Uploads = [] } = await server.client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `os/${path}` }));
    assert.deepEqual(Uploads, []);
  });

  test(`write() to ${kind} leaves an upload alone that began with other bytes`, async () => {
    const bucket = await server.bucket('resume');
    const store = await storeIn(server, bucket);
    await cutOff(store);
    const other = bytesSource(imageBytes(6 * MIB, 'other'));
    await store.write(PATH, other, OPTIONS);
    assert.equal((await store.head(PATH))?.sha256, other.sha256);
    assert.equal(await uploads(bucket), 1);
  });

  for (const { when, lie } of ENDED) {
    test(`write() to ${kind} begins anew when ${when}`, async (t) => {
      const bucket = await server.bucket('resume');
      const store = await storeIn({ ...server, endpoint: await startS3Proxy(t, server, lie) }, bucket);
      await store.write(PATH, SOURCE, OPTIONS);
      assert.deepEqual(await collect((await store.read(PATH)).body), Buffer.from(BYTES));
    });
  }

  test(`write() to ${kind} sends nothing twice when its upload was joined and the answer is that it is gone`, async (t) => {
    const bucket = await server.bucket('resume');
    let parts = 0;
    const lie = ({ method, query }: Asked): Lie => {
      if (query.has('partNumber')) parts += 1;
      return method === 'POST' && query.has('uploadId') ? { ...GONE, effect: 'before' } : TRUTH;
    };
    const store = await storeIn({ ...server, endpoint: await startS3Proxy(t, server, lie) }, bucket);
    await assert.rejects(store.write(PATH, SOURCE, OPTIONS), { code: 'store/failed' });
    assert.equal(parts, 5);
    assert.equal((await store.head(PATH))?.sha256, SOURCE.sha256);
  });
});

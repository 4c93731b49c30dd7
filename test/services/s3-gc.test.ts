/** Garbage collection in buckets, unfinished uploads included. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { describeEachS3Server } from '../support/each-s3-server.ts';
import { engineerWithRoot } from '../support/engineer.ts';
import { testGarbageCollection } from '../support/gc-contract.ts';
import { assertHostSeesAll, Gardener, GRACE_MS, HOUR_MS } from '../support/garbage.ts';
import { TRUTH, startS3Proxy, type Answer } from '../support/s3-proxy.ts';
import { type S3Server } from '../support/s3-server.ts';
import { storeIn } from './aws-environment.ts';

const IMAGE = `targets/${'ab'.repeat(32)}.root.ext4.zst`;

async function begin({ client }: S3Server, Bucket: string, Key: string): Promise<void> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: Buffer.alloc(5 << 20) }));
}

/** A listing whose last object was lost on the way; its length is told anew. */
function withoutLastObject(answer: Answer): Answer {
  const text = answer.body.toString();
  const at = text.lastIndexOf('<Contents>');
  const body = Buffer.from(text.slice(0, at) + text.slice(text.indexOf('</Contents>', at) + '</Contents>'.length));
  return { ...answer, headers: { ...answer.headers, 'content-length': String(body.length) }, body };
}

await describeEachS3Server((kind, server) => {
  const inBucket = async (t: TestContext, bucket: string): Promise<Gardener> =>
    new Gardener(await engineerWithRoot(t, new Date()), await storeIn(server, bucket));

  testGarbageCollection(kind, async (t) => inBucket(t, await server.bucket('gc')));

  test(`collectGarbage() refuses a listing of ${kind} that lacks what is there`, async (t) => {
    let lies = false;
    const endpoint = await startS3Proxy(t, server, ({ method, query }) =>
      lies && method === 'GET' && query.has('list-type') ? { kind: 'changed', change: withoutLastObject } : TRUTH,
    );
    const store = await storeIn({ ...server, endpoint }, await server.bucket('gc'));
    const gardener = new Gardener(await engineerWithRoot(t, new Date()), store);
    await gardener.release('1.0.0');
    gardener.pass(HOUR_MS);
    await gardener.plan();
    lies = true;
    await assert.rejects(gardener.plan(), { code: 'publish/unverified', message: /its listing lacks "targets\// });
    await assertHostSeesAll(gardener);
  });

  // MinIO lists the uploads of one key alone, and removes them by itself after a day.
  const seen = kind === 'minio' ? [] : [IMAGE];
  test(`collectGarbage() ends uploads that were begun a grace ago, below its prefix, where ${kind} lists them`, async (t) => {
    const bucket = await server.bucket('gc');
    const gardener = await inBucket(t, bucket);
    await gardener.release('1.0.0');
    for (const prefix of ['os/', 'os-2/', '']) await begin(server, bucket, prefix + IMAGE);
    assert.deepEqual((await gardener.collect(HOUR_MS)).abandoned, []);
    gardener.pass(GRACE_MS + HOUR_MS);
    assert.deepEqual(
      (await gardener.plan()).abandon.map(({ path }) => path),
      seen,
    );
    assert.equal((await gardener.collect()).abandoned.length, seen.length);
    const left = await Promise.all(
      ['os/', 'os-2/', ''].map(async (prefix) => {
        const input = { Bucket: bucket, Prefix: prefix + IMAGE };
        return (await server.client.send(new ListMultipartUploadsCommand(input))).Uploads?.length ?? 0;
      }),
    );
    assert.deepEqual(left, [1 - seen.length, 1, 1]);
    await assertHostSeesAll(gardener);
  });
});

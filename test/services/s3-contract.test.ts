/** What every store promises, kept by a bucket of each server; and what a bucket shows to those who read it without us. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ListMultipartUploadsCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { parseStorePath } from '../../lib/store/path.ts';
import { bytesSource } from '../../lib/store/source.ts';
import type { CacheClass, StorePath } from '../../lib/store/store.ts';
import { describeEachS3Server } from '../support/each-s3-server.ts';
import { imageBytes } from '../support/bytes.ts';
import { type S3Server } from '../support/s3-server.ts';
import { testCancelling, testStoreContract, type StoreKind } from '../support/store-contract.ts';
import { storeIn } from './aws-environment.ts';

const PREFIX = 'os';

/** MinIO tells of the uploads of one key at a time. */
async function uploadsOf({ client }: S3Server, bucket: string, path: StorePath): Promise<readonly string[]> {
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `${PREFIX}/${path}` }));
  return Uploads.map(({ Key, UploadId }) => `${Key} ${UploadId}`);
}

/** As for a repository that hosts read without credentials. */
async function publicBucket(server: S3Server, name: string): Promise<string> {
  const bucket = await server.bucket(name);
  const reading = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${bucket}/*` };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [reading] });
  await server.client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
  return bucket;
}

await describeEachS3Server((kind, server) => {
  const bucketStore: StoreKind = {
    name: `a bucket of ${kind}`,
    versionOfEqualBytes: 'equal',
    listedObjects: 1_005,
    cancelled: 'kept',
    make: async () => {
      const bucket = await server.bucket('contract');
      return { store: await storeIn(server, bucket, PREFIX), leftovers: async (path) => uploadsOf(server, bucket, path) };
    },
  };
  testStoreContract(bucketStore);
  testCancelling(bucketStore);

  const classes: Readonly<Record<CacheClass, string>> = {
    immutable: 'public, max-age=31536000, immutable',
    revalidate: 'public, max-age=60, must-revalidate',
  };
  for (const lengthBytes of [3, 5 << 20]) {
    test(`write() sends the headers that hosts and caches see when ${lengthBytes} bytes go to ${kind}`, async () => {
      const bucket = await publicBucket(server, 'headers');
      const store = await storeIn(server, bucket, PREFIX);
      const source = bytesSource(imageBytes(lengthBytes));
      for (const cacheClass of ['immutable', 'revalidate'] as const) {
        const path = parseStorePath(`targets/${cacheClass}+1.json`);
        const version = await store.write(path, source, { expect: 'absent', cacheClass, contentType: 'application/json' });
        const { status, headers } = await fetch(`${server.endpoint}/${bucket}/${PREFIX}/${path}`, { method: 'HEAD' });
        assert.equal(status, 200);
        assert.equal(headers.get('cache-control'), classes[cacheClass]);
        assert.equal(headers.get('content-type'), 'application/json');
        assert.equal(headers.get('content-encoding'), null);
        assert.equal(headers.get('content-length'), String(lengthBytes));
        assert.equal(headers.get('etag'), version);
        const { modified, ...info } = (await store.head(path)) ?? {};
        assert.deepEqual(info, { path, lengthBytes, version, sha256: source.sha256 });
        assert.ok(Math.abs((modified?.getTime() ?? 0) - Date.now()) < 60_000);
        assert.equal((await store.read(path)).info.sha256, source.sha256);
      }
    });
  }
});

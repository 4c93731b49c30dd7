/** A repository in a bucket: published, read by a host without credentials, and raced for by two publishers. */
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { openRepository } from '../../lib/client/index.ts';
import { refreshRepository } from '../../lib/publish/refresh.ts';
import { openWorkspace } from '../../lib/workspace/workspace.ts';
import { describeEachS3Server } from '../support/each-s3-server.ts';
import { METAL, addVersion, engineerWithRoot, publish, sign, temporaryDirectory, type Engineer } from '../support/engineer.ts';
import { type S3Server } from '../support/s3-server.ts';
import { storeIn } from './aws-environment.ts';

async function publicBucket(server: S3Server): Promise<string> {
  const bucket = await server.bucket('publish');
  const reading = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${bucket}/*` };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [reading] });
  await server.client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
  return bucket;
}

async function release(engineer: Engineer, version: string): Promise<void> {
  await addVersion(engineer, version);
  await sign(engineer);
  await publish(engineer);
}

await describeEachS3Server((kind, server) => {
  test(`a host reads what was published to a bucket of ${kind}, release after release`, async (t) => {
    const bucket = await publicBucket(server);
    const engineer: Engineer = { ...(await engineerWithRoot(t, new Date())), store: await storeIn(server, bucket) };
    const client = await openRepository({
      root: join(engineer.workspace.directory, '1.root.json'),
      metadataUrl: `${server.endpoint}/${bucket}/os/metal/x86_64/`,
      stateDirectory: await temporaryDirectory(t),
    });
    t.after(() => client.close());
    for (const version of ['1.0.0', '1.1.0']) {
      await release(engineer, version);
      await client.refresh();
      const [update] = await client.availableUpdates({ ...METAL, seed: 2047 });
      assert.equal(update?.version, version);
      let bytes = 0;
      for await (const chunk of client.verifiedImageStream(await client.target(update.images.root))) bytes += chunk.length;
      assert.equal(bytes, (2 << 20) + 4096);
    }
  });

  test(`of two publishers to a bucket of ${kind} one wins, and the other publishes on top of it`, async (t) => {
    const engineer: Engineer = { ...(await engineerWithRoot(t, new Date())), store: await storeIn(server, await server.bucket('race')) };
    await release(engineer, '1.0.0');
    const directory = join(engineer.directory, 'colleague');
    await cp(engineer.workspace.directory, join(directory, 'my-os'), { recursive: true });
    // A second later: equal bytes would be one publication.
    const now = new Date(engineer.now.getTime() + 1000);
    const colleague: Engineer = { ...engineer, now, directory, workspace: await openWorkspace(join(directory, 'my-os')) };
    const both = [engineer, colleague];
    for (const one of both) {
      await refreshRepository(one.workspace, one.store, METAL, { now: one.now, roles: 'online' });
      await sign(one);
    }
    const outcomes = await Promise.allSettled(both.map(async (one) => publish(one)));
    assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
    const loser = outcomes.findIndex(({ status }) => status === 'rejected');
    assert.equal((outcomes[loser] as PromiseRejectedResult).reason.code, 'publish/conflict');
    const again = both[loser];
    assert.ok(again !== undefined);
    await sign(again);
    await publish(again);
  });
});

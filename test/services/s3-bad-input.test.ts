/** `gantry publish` to a bucket in which, or around which, something is wrong: one clear error, and the bucket as it was. */
import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectLockConfigurationCommand,
} from '@aws-sdk/client-s3';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { describeEachS3Server } from '../support/each-s3-server.ts';
import { ADD, cliWorkspace, gantry, strangersWorkspace, type CliResult } from '../support/cli.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { startS3Proxy } from '../support/s3-proxy.ts';
import { skipReason, startS3Server, type S3Credentials } from '../support/s3-server.ts';
import { awsEnvironment } from './aws-environment.ts';

const TIMESTAMP = 'os/metal/x86_64/timestamp.json';

interface Scene {
  readonly bucket: string;
  readonly workspace: string;
  readonly run: (...args: readonly string[]) => Promise<CliResult>;
  readonly ok: (...args: readonly string[]) => Promise<void>;
}

await describeEachS3Server((kind, server) => {
  let template = '';
  const cleanups: (() => Promise<void>)[] = [];
  before(async () => {
    const { directory, workspace } = await cliWorkspace({ after: (work) => cleanups.push(work) });
    for (const command of [ADD, ['sign']]) assert.equal((await gantry(command, { cwd: workspace })).code, 0);
    template = directory;
  });
  after(async () => {
    for (const cleanup of cleanups) await cleanup();
  });

  /** A signed release that waits to be published to this bucket. */
  async function scene(t: TestContext, bucket: string, credentials: S3Credentials = server.credentials): Promise<Scene> {
    const directory = await temporaryDirectory(t);
    await cp(template, directory, { recursive: true });
    const workspace = join(directory, 'my-os');
    const s3 = `[s3]\nendpoint = "${server.endpoint}"\nregion = "${server.region}"\npath_style = true\n`;
    await configure(workspace, (text) => `${text.replace(/^store = .*$/mu, `store = "s3://${bucket}/os"`)}\n${s3}`);
    const run = async (...args: readonly string[]): Promise<CliResult> =>
      gantry(args, { cwd: workspace, env: awsEnvironment(credentials) });
    return {
      bucket,
      workspace,
      run,
      async ok(...args) {
        const { code, stderr } = await run(...args);
        assert.equal(code, 0, stderr);
      },
    };
  }

  async function listing(bucket: string): Promise<readonly string[]> {
    const { Contents = [] } = await server.client.send(new ListObjectsV2Command({ Bucket: bucket }));
    return Contents.map(({ Key = '', ETag = '' }) => `${Key} ${ETag}`).toSorted();
  }

  const put = async (bucket: string, key: string, body: string): Promise<void> =>
    void (await server.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body })));

  async function assertRefused({ bucket, run }: Scene, expected: { readonly code: string; readonly exit: number }): Promise<void> {
    const exists = expected.code !== 'store/no-bucket';
    const was = exists ? await listing(bucket) : [];
    const plain = await run('publish', '--yes');
    assert.equal(plain.code, expected.exit, plain.stderr);
    assert.equal(plain.stderr.match(/^error: Cannot /gmu)?.length, 1, plain.stderr);
    assert.match(plain.stderr, /^hint: /mu);
    assert.doesNotMatch(plain.stderr, /^\s+at /mu);
    assert.ok(!plain.stderr.includes(server.credentials.secretAccessKey));
    const { error } = JSON.parse((await run('publish', '--yes', '--json')).stdout) as { readonly error: { readonly code: string } };
    assert.equal(error.code, expected.code, plain.stderr);
    if (exists) assert.deepEqual(await listing(bucket), was);
  }

  test(`gantry publish says that ${kind} has no such bucket`, async (t) => {
    await assertRefused(await scene(t, 'no-such-bucket'), { code: 'store/no-bucket', exit: 4 });
  });

  test(`gantry publish says that ${kind} does not take the secret`, async (t) => {
    const wrong = { ...server.credentials, secretAccessKey: 'wrong-secret-wrong-secret' };
    await assertRefused(await scene(t, await server.bucket('secret'), wrong), { code: 'store/credentials', exit: 4 });
  });

  test(`gantry publish says that ${kind} is in another region`, async (t) => {
    const ours = await scene(t, await server.bucket('region'));
    await configure(ours.workspace, (text) => text.replace(/^region = .*$/mu, 'region = "eu-west-3"'));
    await assertRefused(ours, { code: 'store/region', exit: 4 });
  });

  test(`gantry publish says that its clock is wrong when ${kind} takes no request for that`, async (t) => {
    const lie = { kind: 'error', status: 403, code: 'RequestTimeTooSkewed', effect: 'never' } as const;
    const endpoint = await startS3Proxy(t, server, () => lie);
    const ours = await scene(t, await server.bucket('clock'));
    await configure(ours.workspace, (text) => text.replace(/^endpoint = .*$/mu, `endpoint = "${endpoint}"`));
    await assertRefused(ours, { code: 'store/clock', exit: 4 });
  });

  test(`gantry publish refuses a plan when ${kind} has lost a file of an earlier publication`, async (t) => {
    const bucket = await server.bucket('lost');
    const ours = await scene(t, bucket);
    await ours.ok('publish');
    for (const command of [['refresh', '--online'], ['sign'], ['publish', '--plan', 'plan.json']]) await ours.ok(...command);
    const lost = (await listing(bucket)).map((line) => line.replace(/ .*$/u, '')).find((key) => key.endsWith('root.ext4.zst'));
    await server.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: lost }));
    const was = await listing(bucket);
    const { code, stderr } = await ours.run('publish', 'plan.json', '--yes');
    assert.equal(code, 1);
    assert.ok(stderr.includes(`its "${lost?.replace(/^os\//u, '')}" is not there`), stderr);
    assert.deepEqual(await listing(bucket), was);
  });

  test(`gantry publish refuses a prefix in ${kind} that holds something else`, async (t) => {
    const bucket = await server.bucket('foreign');
    await put(bucket, TIMESTAMP, '<html>my other site</html>');
    await assertRefused(await scene(t, bucket), { code: 'tuf/not-json', exit: 1 });
  });

  test(`gantry publish begins no repository in ${kind} beside the objects of others, unless it is told to, and leaves them alone`, async (t) => {
    const bucket = await server.bucket('shared');
    for (const key of ['index.html', 'os/readme.txt', 'os-2/metal/x86_64/timestamp.json']) await put(bucket, key, 'theirs');
    const was = await listing(bucket);
    const ours = await scene(t, bucket);
    await assertRefused(ours, { code: 'publish/foreign-objects', exit: 3 });
    await ours.ok('publish', '--beside-others');
    const now = await listing(bucket);
    assert.deepEqual(
      was.filter((line) => now.includes(line)),
      was,
    );
  });

  test(`gantry publish refuses a repository in ${kind} whose root it does not know`, async (t) => {
    const bucket = await server.bucket('unknown-root');
    await (await scene(t, bucket)).ok('publish');
    const stranger = await strangersWorkspace(t);
    for (const command of [ADD, ['sign']]) assert.equal((await gantry(command, { cwd: stranger.workspace })).code, 0);
    const ours = await scene(t, bucket);
    // Another workspace, with keys of its own, in the place of ours.
    await cp(stranger.directory, join(ours.workspace, '..'), { recursive: true, filter: (from) => !from.endsWith('gantry.toml') });
    await assertRefused(ours, { code: 'repository/root-chain', exit: 1 });
  });

  test(`gantry publish refuses a ${kind} that was rolled back`, async (t) => {
    const bucket = await server.bucket('rolled-back');
    const ours = await scene(t, bucket);
    await ours.ok('publish');
    const { Body } = await server.client.send(new GetObjectCommand({ Bucket: bucket, Key: TIMESTAMP }));
    const old = (await Body?.transformToString()) ?? '';
    for (const command of [['refresh', '--online'], ['sign'], ['publish'], ['refresh', '--online'], ['sign']]) await ours.ok(...command);
    await put(bucket, TIMESTAMP, old);
    await assertRefused(ours, { code: 'publish/rolled-back', exit: 1 });
  });

  test(`gantry publish refuses a public URL that shows another repository than ${kind} has`, async (t) => {
    const other = await strangersWorkspace(t);
    for (const command of [ADD, ['sign'], ['publish']]) assert.equal((await gantry(command, { cwd: other.workspace })).code, 0);
    const site = await startStaticServer({ directory: join(other.directory, 'public') });
    t.after(async () => site.close());
    const bucket = await server.bucket('elsewhere');
    const ours = await scene(t, bucket);
    await ours.ok('publish');
    await configure(ours.workspace, (text) => text.replace(/^store = .*$/mu, (line) => `${line}\nurl = "${site.url.href}"`));
    for (const command of [['refresh', '--online'], ['sign']]) await ours.ok(...command);
    await assertRefused(ours, { code: 'publish/wrong-url', exit: 3 });
  });
});

const NO_MINIO = await skipReason('minio');

for (const what of ['versioning', 'object lock'] as const) {
  test(`gantry publish and refresh work in a bucket with ${what}`, { skip: NO_MINIO }, async (t) => {
    const server = await startS3Server('minio');
    t.after(async () => server.stop());
    const bucket = what === 'versioning' ? await server.bucket('versions') : 'locked';
    if (what === 'versioning') {
      const VersioningConfiguration = { Status: 'Enabled' } as const;
      await server.client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
    } else {
      await server.client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }));
      const Rule = { DefaultRetention: { Mode: 'GOVERNANCE', Days: 1 } } as const;
      const ObjectLockConfiguration = { ObjectLockEnabled: 'Enabled', Rule } as const;
      await server.client.send(new PutObjectLockConfigurationCommand({ Bucket: bucket, ObjectLockConfiguration }));
    }
    const { workspace } = await cliWorkspace(t);
    const s3 = `[s3]\nendpoint = "${server.endpoint}"\nregion = "${server.region}"\npath_style = true\n`;
    await configure(workspace, (text) => `${text.replace(/^store = .*$/mu, `store = "s3://${bucket}/os"`)}\n${s3}`);
    for (const command of [ADD, ['sign'], ['publish'], ['refresh', '--online'], ['sign'], ['publish'], ['gc', '--yes']]) {
      const { code, stderr } = await gantry(command, { cwd: workspace, env: awsEnvironment(server.credentials) });
      assert.equal(code, 0, `gantry ${command.join(' ')}: ${stderr}`);
    }
  });
}

async function configure(workspace: string, change: (text: string) => string): Promise<void> {
  const path = join(workspace, 'gantry.toml');
  await writeFile(path, change(await readFile(path, 'utf8')));
}

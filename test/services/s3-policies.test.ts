/**
 * `repo-layout/aws/publisher.json` and `signer.json`, enforced by a real server: they suffice to publish, and without any one of
 * their permissions a publication either needs it not, or fails with one clear error and changes nothing that hosts see.
 *
 * MinIO reads the language of AWS's policies, and gives out credentials that are narrowed by one.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { ADD, cliWorkspace, gantry, type CliResult } from '../support/cli.ts';
import { policyFor, without, type Policy } from '../support/policy.ts';
import { skipReason, startS3Server, type S3Server } from '../support/s3-server.ts';
import { requireTool } from '../support/tools.ts';
import { awsEnvironment } from './aws-environment.ts';

const runFile = promisify(execFile);
const TIMESTAMP = 'metal/x86_64/timestamp.json';

type Environment = Readonly<Record<string, string>>;

/** Temporary credentials of the server's own, narrowed by the policy. */
async function credentialsFor({ endpoint, region, credentials }: S3Server, policy: Policy): Promise<Environment> {
  const { stdout } = await runFile('curl', [
    ...['--silent', '--fail-with-body', '--aws-sigv4', `aws:amz:${region}:sts`],
    ...['--user', `${credentials.accessKeyId}:${credentials.secretAccessKey}`],
    ...['--data', 'Action=AssumeRole&Version=2011-06-15&DurationSeconds=3600'],
    ...['--data-urlencode', `Policy=${JSON.stringify(policy)}`, `${endpoint}/`],
  ]);
  const member = (name: string): string => new RegExp(`<${name}>([^<]+)</${name}>`, 'u').exec(stdout)?.[1] ?? '';
  assert.ok(member('SessionToken').length > 0, stdout);
  return {
    ...awsEnvironment({ accessKeyId: member('AccessKeyId'), secretAccessKey: member('SecretAccessKey') }),
    AWS_SESSION_TOKEN: member('SessionToken'),
    AWS_REGION: region,
  };
}

/** A workspace whose store is this bucket, with a first release published by the server's own credentials. */
async function publishedWorkspace(t: TestContext, server: S3Server, bucket: string): Promise<string> {
  const { workspace } = await cliWorkspace(t);
  const config = join(workspace, 'gantry.toml');
  const text = (await readFile(config, 'utf8')).replace(/^store = .*$/mu, `store = "s3://${bucket}/os"`);
  const [top = '', repositories = ''] = text.split(/(?=^\[\[repository\]\])/mu);
  await writeFile(config, `${top}[s3]\nendpoint = "${server.endpoint}"\nregion = "${server.region}"\npath_style = true\n\n${repositories}`);
  const env = awsEnvironment(server.credentials);
  for (const args of [ADD, ['sign'], ['publish']]) await expectDone(gantry(args, { cwd: workspace, env }));
  return workspace;
}

async function expectDone(running: Promise<CliResult>): Promise<void> {
  const { code, stderr } = await running;
  assert.equal(code, 0, stderr);
}

async function liveTimestamp({ client }: S3Server, bucket: string): Promise<string> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: `os/${TIMESTAMP}` }));
  return (await Body?.transformToString()) ?? '';
}

async function keysIn({ client }: S3Server, bucket: string): Promise<readonly string[]> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
  return Contents.map(({ Key = '' }) => Key).toSorted();
}

describe('minio', { skip: await skipReason('minio') }, () => {
  let server: S3Server;
  before(async () => {
    server = await startS3Server('minio');
  });
  after(async () => server.stop());

  test('a release is published with the permissions of publisher.json', async (t) => {
    if (!requireTool(t, 'curl')) return;
    const bucket = await server.bucket('publisher');
    const cwd = await publishedWorkspace(t, server, bucket);
    const env = await credentialsFor(server, policyFor('publisher', bucket, 'os'));
    const before = await liveTimestamp(server, bucket);
    await expectDone(gantry(ADD.with(2, '1.1.0'), { cwd, env }));
    await expectDone(gantry(['sign'], { cwd, env }));
    await expectDone(gantry(['publish'], { cwd, env }));
    assert.notEqual(await liveTimestamp(server, bucket), before);
  });

  test('dates are renewed with the permissions of signer.json, and nothing else', async (t) => {
    if (!requireTool(t, 'curl')) return;
    const bucket = await server.bucket('signer');
    const cwd = await publishedWorkspace(t, server, bucket);
    const env = await credentialsFor(server, policyFor('signer', bucket, 'os'));
    for (const verb of ['refresh', 'sign', 'publish']) await expectDone(gantry([verb], { cwd, env }));
    const [live, keys] = [await liveTimestamp(server, bucket), await keysIn(server, bucket)];
    await expectDone(gantry(ADD.with(2, '1.1.0'), { cwd, env }));
    await expectDone(gantry(['sign'], { cwd, env }));
    assertDenied(await gantry(['publish', '--json'], { cwd, env }), /PutObject was denied; expected credentials that have s3:PutObject/u);
    assert.deepEqual([await liveTimestamp(server, bucket), await keysIn(server, bucket)], [live, keys]);
  });

  test('gc.json lets nobody remove a root or what is live', async (t) => {
    if (!requireTool(t, 'curl')) return;
    const bucket = await server.bucket('gc');
    await publishedWorkspace(t, server, bucket);
    const env = await credentialsFor(server, policyFor('gc', bucket, 'os'));
    const remove = async (key: string): Promise<boolean> => {
      const user = ['--user', `${env['AWS_ACCESS_KEY_ID']}:${env['AWS_SECRET_ACCESS_KEY']}`];
      const args = ['--silent', '--fail', '--aws-sigv4', `aws:amz:${server.region}:s3`, ...user];
      const token = ['--header', `x-amz-security-token: ${env['AWS_SESSION_TOKEN']}`];
      const url = `${server.endpoint}/${bucket}/os/${key}`;
      return runFile('curl', [...args, ...token, '--request', 'DELETE', url]).then(
        () => true,
        () => false,
      );
    };
    const keys = (await keysIn(server, bucket)).map((key) => key.slice('os/'.length));
    const removed = [];
    for (const key of keys) if (await remove(key)) removed.push(key);
    assert.deepEqual(
      keys.filter((key) => !removed.includes(key)),
      ['metal/x86_64/1.root.json', TIMESTAMP],
    );
  });

  const needed: Readonly<Record<string, RegExp | undefined>> = {
    's3:GetObject':
      /"os\/|Cannot (?:read|look up) "metal\/x86_64\/[^"]+" in "s3:\/\/[^"]+": (?:Get|Head)Object was denied; .* s3:GetObject/u,
    's3:PutObject': /Cannot write "targets\/[^"]+" in "s3:\/\/[^"]+": \w+ was denied; expected credentials that have s3:PutObject/u,
  };
  const actions = new Set(policyFor('publisher', 'bucket', 'os').Statement.flatMap(({ Action }) => Action));
  for (const action of actions) {
    const what = needed[action] === undefined ? 'succeeds, or changes nothing' : 'is refused and changes nothing';
    test(`a publication ${what} without ${action}`, async (t) => {
      if (!requireTool(t, 'curl')) return;
      const bucket = await server.bucket('without');
      const cwd = await publishedWorkspace(t, server, bucket);
      const own = awsEnvironment(server.credentials);
      await expectDone(gantry(ADD.with(2, '1.1.0'), { cwd, env: own }));
      await expectDone(gantry(['sign'], { cwd, env: own }));
      const [live, keys] = [await liveTimestamp(server, bucket), await keysIn(server, bucket)];
      const env = await credentialsFor(server, without(policyFor('publisher', bucket, 'os'), action));
      const refused = await gantry(['publish', '--json'], { cwd, env });
      const message = needed[action];
      if (message === undefined && refused.code === 0) {
        assert.notEqual(await liveTimestamp(server, bucket), live);
        return;
      }
      assertDenied(refused, message ?? new RegExp(`was denied; expected credentials that have ${action}`, 'u'));
      assert.deepEqual([await liveTimestamp(server, bucket), await keysIn(server, bucket)], [live, keys]);
      // Nothing is lost either: with the permission the same command finishes.
      await expectDone(gantry(['publish'], { cwd, env: own }));
    });
  }

  test('hosts keep the old publication when timestamp.json alone may not be written', async (t) => {
    if (!requireTool(t, 'curl')) return;
    const bucket = await server.bucket('timestamp');
    const cwd = await publishedWorkspace(t, server, bucket);
    const live = await liveTimestamp(server, bucket);
    const policy = policyFor('publisher', bucket, 'os');
    const denial = {
      Sid: 'Deny',
      Effect: 'Deny',
      Action: ['s3:PutObject'],
      Resource: [`arn:aws:s3:::${bucket}/os/*/timestamp.json`],
    } as const;
    const env = await credentialsFor(server, { ...policy, Statement: [...policy.Statement, denial] });
    for (const args of [ADD.with(2, '1.1.0'), ['sign']]) await expectDone(gantry(args, { cwd, env }));
    assertDenied(await gantry(['publish', '--json'], { cwd, env }), /Cannot write "metal\/x86_64\/timestamp.json" .*PutObject was denied/u);
    assert.equal(await liveTimestamp(server, bucket), live);
    await expectDone(gantry(['publish'], { cwd, env: awsEnvironment(server.credentials) }));
    assert.notEqual(await liveTimestamp(server, bucket), live);
  });
});

function assertDenied({ code, stdout, stderr }: CliResult, message: RegExp): void {
  assert.equal(code, 4, stderr);
  assert.match(`${stdout}${stderr}`.replaceAll('\\"', '"'), message);
  assert.match(`${stdout}${stderr}`, /store\/denied/u);
}

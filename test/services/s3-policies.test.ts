/**
 * The policies in `repo-layout/aws/`, enforced by a real server: they suffice, and without any one of the publisher's permissions
 * a publication either has no need of it, or fails with one clear error and changes nothing.
 *
 * MinIO reads the language of AWS's policies, and gives out credentials that are narrowed by one.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { ADD, cliWorkspace, gantry, type CliResult } from '../support/cli.ts';
import { writeImages, type Cleanup } from '../support/engineer.ts';
import { policyFor, without, type Policy } from '../support/policy.ts';
import { skipReason, startS3Server, type S3Server } from '../support/s3-server.ts';
import { requireTool } from '../support/tools.ts';
import { awsEnvironment } from './aws-environment.ts';

const runFile = promisify(execFile);
const TIMESTAMP = 'metal/x86_64/timestamp.json';

type Environment = Readonly<Record<string, string>>;

/** Temporary credentials of the server's own, narrowed by the policy. */
async function credentialsFor({ endpoint, region, credentials }: S3Server, policy: Policy): Promise<Environment> {
  const signed = ['--aws-sigv4', `aws:amz:${region}:sts`, '--user', `${credentials.accessKeyId}:${credentials.secretAccessKey}`];
  const asked = ['--data', 'Action=AssumeRole&Version=2011-06-15&DurationSeconds=3600'];
  const narrowed = ['--data-urlencode', `Policy=${JSON.stringify(policy)}`];
  const { stdout } = await runFile('curl', ['--silent', '--fail-with-body', ...signed, ...asked, ...narrowed, `${endpoint}/`]);
  const member = (name: string): string => new RegExp(`<${name}>([^<]+)</${name}>`, 'u').exec(stdout)?.[1] ?? '';
  assert.ok(member('SessionToken').length > 0, stdout);
  return {
    ...awsEnvironment({ accessKeyId: member('AccessKeyId'), secretAccessKey: member('SecretAccessKey') }),
    AWS_SESSION_TOKEN: member('SessionToken'),
    AWS_REGION: region,
  };
}

/** A workspace whose store is this bucket, with a first release published by the server's own credentials. */
async function publishedWorkspace(t: Cleanup, server: S3Server, bucket: string): Promise<string> {
  const { workspace } = await cliWorkspace(t);
  const config = join(workspace, 'gantry.toml');
  const text = (await readFile(config, 'utf8')).replace(/^store = .*$/mu, `store = "s3://${bucket}/os"`);
  const [top = '', repositories = ''] = text.split(/(?=^\[\[repository\]\])/mu);
  await writeFile(config, `${top}[s3]\nendpoint = "${server.endpoint}"\nregion = "${server.region}"\npath_style = true\n\n${repositories}`);
  // Large enough to go up in parts.
  await writeImages(workspace, { rootBytes: 6 << 20 });
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
  const cleanups: (() => Promise<void>)[] = [];
  let server: S3Server;
  let bucket: string;
  let cwd: string;
  let own: Environment;
  let minor = 0;
  before(async () => {
    server = await startS3Server('minio');
    bucket = await server.bucket('policies');
    own = awsEnvironment(server.credentials);
    cwd = await publishedWorkspace({ after: (work) => cleanups.push(work) }, server, bucket);
  });
  after(async () => {
    for (const cleanup of cleanups) await cleanup();
    await server.stop();
  });

  /** The next release, signed: images are looked for, and sent, by `publish` alone. */
  const prepareNext = async (): Promise<void> => {
    minor += 1;
    await writeImages(cwd, { rootBytes: 6 << 20 });
    for (const args of [ADD.with(2, `1.${minor}.0`), ['sign']]) await expectDone(gantry(args, { cwd, env: own }));
  };
  const seen = async (): Promise<readonly unknown[]> => [await liveTimestamp(server, bucket), await keysIn(server, bucket)];

  test('a release is published with the permissions of publisher.json', async (t) => {
    if (!requireTool(t, 'curl')) return;
    const env = await credentialsFor(server, policyFor('publisher', bucket, 'os'));
    const live = await liveTimestamp(server, bucket);
    for (const args of [ADD.with(2, '1.0.1'), ['sign'], ['publish']]) await expectDone(gantry(args, { cwd, env }));
    assert.notEqual(await liveTimestamp(server, bucket), live);
  });

  test('dates are renewed with the permissions of signer.json, and nothing else', async (t) => {
    if (!requireTool(t, 'curl')) return;
    const env = await credentialsFor(server, policyFor('signer', bucket, 'os'));
    for (const verb of ['refresh', 'sign', 'publish'])
      await expectDone(gantry(verb === 'refresh' ? [verb, '--online'] : [verb], { cwd, env }));
    await prepareNext();
    const live = await seen();
    assertDenied(await gantry(['publish', '--json'], { cwd, env }), refusedWrite('targets/'));
    assert.deepEqual(await seen(), live);
    await expectDone(gantry(['publish'], { cwd, env: own }));
  });

  const needed: Readonly<Record<string, RegExp>> = {
    's3:GetObject':
      /Cannot (?:read|look up) "metal\/x86_64\/[^"]+" in "s3:\/\/[^"]+": (?:Get|Head)Object was denied; expected credentials that have s3:GetObject/u,
    's3:PutObject': refusedWrite('targets/'),
  };
  for (const action of new Set(policyFor('publisher', 'bucket', 'os').Statement.flatMap(({ Action }) => Action))) {
    const what = action in needed ? 'is refused and changes nothing' : 'succeeds, or is refused and changes nothing,';
    test(`a publication ${what} without ${action}`, async (t) => {
      if (!requireTool(t, 'curl')) return;
      await prepareNext();
      const live = await seen();
      const env = await credentialsFor(server, without(policyFor('publisher', bucket, 'os'), action));
      const answer = await gantry(['publish', '--json'], { cwd, env });
      if (!(action in needed) && answer.code === 0) {
        assert.notEqual(await liveTimestamp(server, bucket), live[0]);
        return;
      }
      assertDenied(answer, needed[action] ?? new RegExp(`was denied; expected credentials that have ${action}`, 'u'));
      assert.deepEqual(await seen(), live);
      // Nothing is lost either: with the permission the same command finishes.
      await expectDone(gantry(['publish'], { cwd, env: own }));
    });
  }

  test('hosts keep the old publication when timestamp.json alone may not be written', async (t) => {
    if (!requireTool(t, 'curl')) return;
    await prepareNext();
    const live = await liveTimestamp(server, bucket);
    const policy = policyFor('publisher', bucket, 'os');
    const denial = {
      Sid: 'Deny',
      Effect: 'Deny',
      Action: ['s3:PutObject'],
      Resource: [`arn:aws:s3:::${bucket}/os/*/timestamp.json`],
    } as const;
    const env = await credentialsFor(server, { ...policy, Statement: [...policy.Statement, denial] });
    assertDenied(await gantry(['publish', '--json'], { cwd, env }), refusedWrite(TIMESTAMP));
    assert.equal(await liveTimestamp(server, bucket), live);
    await expectDone(gantry(['publish'], { cwd, env: own }));
    assert.notEqual(await liveTimestamp(server, bucket), live);
  });

  test('gantry gc needs no more than gc.json, and has too little with publisher.json', async (t) => {
    if (!requireTool(t, 'curl')) return;
    const env = await credentialsFor(server, policyFor('gc', bucket, 'os'));
    await expectDone(gantry(['gc', '--yes', '--json'], { cwd, env }));
    const stored = (await keysIn(server, bucket)).filter((key) => !key.startsWith('os/gantry-gc/clock-'));
    const refused = await gantry(['gc', '--yes', '--json'], {
      cwd,
      env: await credentialsFor(server, policyFor('publisher', bucket, 'os')),
    });
    assertDenied(refused, /was denied; expected credentials that have s3:DeleteObject/u);
    assert.deepEqual(
      (await keysIn(server, bucket)).filter((key) => !key.startsWith('os/gantry-gc/clock-')),
      stored,
    );
  });

  test('with gc.json everything can be removed but roots and what is live', async (t) => {
    if (!requireTool(t, 'curl')) return;
    const env = await credentialsFor(server, policyFor('gc', bucket, 'os'));
    for (const key of await keysIn(server, bucket)) await remove(server, env, `${bucket}/${key}`);
    assert.deepEqual(await keysIn(server, bucket), ['os/metal/x86_64/1.root.json', `os/${TIMESTAMP}`]);
  });
});

async function remove({ endpoint, region }: S3Server, env: Environment, name: string): Promise<void> {
  const signed = ['--aws-sigv4', `aws:amz:${region}:s3`, '--user', `${env['AWS_ACCESS_KEY_ID']}:${env['AWS_SECRET_ACCESS_KEY']}`];
  const token = ['--header', `x-amz-security-token: ${env['AWS_SESSION_TOKEN']}`];
  await runFile('curl', ['--silent', ...signed, ...token, '--request', 'DELETE', `${endpoint}/${name}`]);
}

function refusedWrite(path: string): RegExp {
  return new RegExp(`Cannot write "${path}[^"]*" in "s3://[^"]+": \\w+ was denied; expected credentials that have s3:PutObject`, 'u');
}

function assertDenied({ code, stdout, stderr }: CliResult, message: RegExp): void {
  assert.equal(code, 4, stderr);
  assert.match(`${stdout}${stderr}`.replaceAll('\\"', '"'), message);
  assert.match(`${stdout}${stderr}`, /store\/denied/u);
}

/** A workspace whose commands find a fake of AWS, and nobody's credentials. */
import assert from 'node:assert/strict';
import { awsEnvironment } from './aws.ts';
import { cliWorkspace, gantry, type CliResult } from './cli.ts';
import type { Cleanup } from './engineer.ts';
import { startFakeAws, type FakeAws } from './fake-aws.ts';

export const REGION = 'eu-west-1';
export const AWS_SECRET = 'wJalrXUtnFEMI/K7MDENG/secret';

interface AwsScene {
  readonly aws: FakeAws;
  readonly workspace: string;
  readonly env: Readonly<Record<string, string>>;
  readonly run: (...args: readonly string[]) => Promise<CliResult>;
}

export async function awsScene(t: Cleanup): Promise<AwsScene> {
  const aws = await startFakeAws(t);
  const { workspace } = await cliWorkspace(t);
  const env = awsSceneEnvironment(aws);
  return { aws, workspace, env, run: async (...args) => gantry(args, { cwd: workspace, env }) };
}

/** What leads the commands to the fake. */
export function awsSceneEnvironment({ endpoint }: FakeAws): Readonly<Record<string, string>> {
  return {
    ...awsEnvironment({ accessKeyId: 'AKIAFAKE', secretAccessKey: AWS_SECRET }),
    AWS_REGION: REGION,
    AWS_ENDPOINT_URL_KMS: endpoint,
    AWS_ENDPOINT_URL_SSM: endpoint,
  };
}

export async function expectDone(running: Promise<CliResult>): Promise<string> {
  const { code, stdout, stderr } = await running;
  assert.equal(code, 0, stderr);
  return stdout;
}

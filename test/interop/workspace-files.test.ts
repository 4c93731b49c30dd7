/** Files of `repo-layout/` for other systems, as the tools of those systems judge them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectory } from '../support/engineer.ts';
import { linterCommand, skipReason, type LinterName } from '../support/peers.ts';
import { policyFor, POLICY_NAMES, TRUST_NAMES } from '../support/policy.ts';

const runFile = promisify(execFile);
const LAYOUT = join(import.meta.dirname, '..', '..', 'repo-layout');
const GITLAB = ['--builtin-schema', 'vendor.gitlab-ci', '--data-transform', 'gitlab-ci'];
const SECONDS = 1000;

/** @returns what it finds fault with; empty when there is nothing */
async function lint(name: LinterName, args: readonly string[]): Promise<string> {
  const [command, ...first] = await linterCommand(name);
  return runFile(command, [...first, ...args], { timeout: 120 * SECONDS, env: { ...process.env, NO_COLOR: '1' } }).then(
    () => '',
    (error: { readonly code?: unknown; readonly stdout?: string; readonly stderr?: string }) => {
      assert.equal(typeof error.code, 'number', String(error));
      return `${error.stdout}${error.stderr}` || `exit code ${String(error.code)}`;
    },
  );
}

/** Every policy as a resource of one template, so that AWS's own lists of actions and members are asked. */
function policiesTemplate(change: (text: string) => string = (text) => text): string {
  const policies = POLICY_NAMES.map((name) => [name, 'AWS::IAM::ManagedPolicy', 'PolicyDocument'] as const);
  const trusts = TRUST_NAMES.map((name) => [name.replace('-', ''), 'AWS::IAM::Role', 'AssumeRolePolicyDocument'] as const);
  const documents = [...POLICY_NAMES, ...TRUST_NAMES].map((name) => policyFor(name, 'my-updates', 'os'));
  const Resources = Object.fromEntries(
    [...policies, ...trusts].map(([id, Type, member], index) => [id, { Type, Properties: { [member]: documents[index] } }]),
  );
  return change(JSON.stringify({ AWSTemplateFormatVersion: '2010-09-09', Resources }).replaceAll('::ACCOUNT:', '::123456789012:'));
}

describe('cfn-lint', { skip: await skipReason('cfn-lint') }, () => {
  const template = join(LAYOUT, 'hosting', 'cloudfront.json');

  test('hosting/cloudfront.json has nothing that CloudFormation would refuse', async () => {
    assert.equal(await lint('cfn-lint', [template]), '');
  });

  test('aws/*.json have only actions and members that AWS knows', async (t) => {
    const file = join(await temporaryDirectory(t), 'policies.json');
    await writeFile(file, policiesTemplate());
    assert.equal(await lint('cfn-lint', [file]), '');
  });

  test('cfn-lint finds a wrong member, a wrong runtime and an action that does not exist', async (t) => {
    const file = join(await temporaryDirectory(t), 'wrong.json');
    const text = await readFile(template, 'utf8');
    for (const [wrong, finding] of [
      [text.replace('"Compress"', '"Compres"'), /Compres/u],
      [text.replace('cloudfront-js-2.0', 'cloudfront-js-9.0'), /cloudfront-js-9\.0/u],
      [policiesTemplate((policies) => policies.replace('s3:GetObject', 's3:GetObjekt')), /getobjekt/u],
    ] as const) {
      await writeFile(file, wrong);
      assert.match(await lint('cfn-lint', [file]), finding);
    }
  });
});

describe('actionlint', { skip: await skipReason('actionlint') }, () => {
  const workflow = join(LAYOUT, 'ci', 'github-actions.yml');

  test('ci/github-actions.yml is a workflow that GitHub Actions takes', async () => {
    assert.equal(await lint('actionlint', ['-shellcheck=', '-pyflakes=', workflow]), '');
  });

  test('actionlint finds a member that a workflow does not have', async (t) => {
    const file = join(await temporaryDirectory(t), 'wrong.yml');
    await writeFile(file, (await readFile(workflow, 'utf8')).replace('concurrency:', 'concurency:'));
    assert.match(await lint('actionlint', ['-shellcheck=', '-pyflakes=', file]), /concurency/u);
  });
});

describe('check-jsonschema', { skip: await skipReason('check-jsonschema') }, () => {
  const pipeline = join(LAYOUT, 'ci', 'gitlab-ci.yml');

  test('ci/gitlab-ci.yml is a pipeline that GitLab takes', async () => {
    assert.equal(await lint('check-jsonschema', [...GITLAB, pipeline]), '');
  });

  test('check-jsonschema finds a member of the wrong kind', async (t) => {
    const file = join(await temporaryDirectory(t), 'wrong.yml');
    await writeFile(file, (await readFile(pipeline, 'utf8')).replace('resource_group: gantry-publish', 'resource_group: [gantry-publish]'));
    assert.match(await lint('check-jsonschema', [...GITLAB, file]), /resource_group/u);
  });
});

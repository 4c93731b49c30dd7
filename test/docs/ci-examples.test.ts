/**
 * The examples in `repo-layout/ci/`, step by step, as the CI would run them: on a fresh checkout, with keys and passphrase from its
 * secrets, against a directory store instead of the bucket. What installs programs and what the CI's own actions do is left out.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { ADD, cliWorkspace, gantry } from '../support/cli.ts';
import { writeImages } from '../support/engineer.ts';
import { requireTool } from '../support/tools.ts';

const runFile = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..');

interface Scene {
  /** A fresh checkout of the workspace, in which nothing was built. */
  readonly checkout: string;
  readonly directory: string;
  /** Where the CI's secrets are files. */
  readonly keys: string;
  readonly metadataUrl: string;
  readonly env: NodeJS.ProcessEnv;
}

/** A workspace that has published 1.0.0, checked out by a CI; a colleague publishes just before the CI's first try. */
async function checkedOut(t: TestContext): Promise<Scene> {
  const { directory, workspace } = await cliWorkspace(t);
  for (const args of [ADD, ['sign'], ['publish']]) {
    const { code, stderr } = await gantry(args, { cwd: workspace });
    assert.equal(code, 0, stderr);
  }
  const checkout = join(directory, 'checkout');
  await cp(workspace, checkout, { recursive: true });
  for (const left of ['.gantry', 'boot.img', 'root.img', 'hash.img']) await rm(join(checkout, left), { recursive: true });
  const built = join(directory, 'built');
  await mkdir(built);
  await writeImages(built);
  await program(join(checkout, 'build-images.sh'), `#!/bin/sh\ncp "${built}"/*.img .\n`);
  const found = await readdir(join(directory, 'config'), { recursive: true });
  const keys = join(directory, 'config', found.find((name) => name.endsWith('targets.pem')) ?? '', '..');
  const bin = join(directory, 'bin');
  await mkdir(bin);
  const real = `"${process.execPath}" "${join(ROOT, 'cli', 'gantry.ts')}"`;
  const colleague = `cd "${workspace}" && for verb in refresh sign publish; do XDG_CONFIG_HOME="${directory}/config" ${real} $verb; done`;
  const raced = join(directory, 'raced');
  await program(
    join(bin, 'gantry'),
    `#!/bin/sh\nif [ "$1" = publish ] && [ ! -e "${raced}" ]; then touch "${raced}"; (${colleague}) >/dev/null; fi\nexec ${real} "$@"\n`,
  );
  const server = await startStaticServer({ directory: join(directory, 'public') });
  t.after(async () => server.close());
  const env = { PATH: `${bin}:${process.env['PATH'] ?? ''}`, HOME: directory, XDG_CONFIG_HOME: join(directory, 'nothing'), NO_COLOR: '1' };
  return { checkout, directory, keys, metadataUrl: new URL('metal/x86_64', server.url).href, env };
}

async function program(path: string, text: string): Promise<void> {
  await writeFile(path, text);
  await chmod(path, 0o755);
}

async function shell(script: string, cwd: string, env: NodeJS.ProcessEnv): Promise<void> {
  await runFile('bash', ['-e', '-o', 'pipefail', '-c', script], { cwd, env, timeout: 60_000 });
}

async function assertReleased({ directory, checkout, metadataUrl }: Scene): Promise<void> {
  const { code, stdout } = await gantry(['verify', metadataUrl, '--root', '1.root.json', '--targets', '--json'], { cwd: checkout });
  assert.equal(code, 0);
  const { updates }: { readonly updates: readonly { readonly version: string }[] } = JSON.parse(stdout);
  assert.deepEqual(updates.map(({ version }) => version).toSorted(), ['1.0.0', '1.1.0']);
  assert.ok((await stat(join(directory, 'raced'))).isFile(), 'nobody published first');
}

interface Step {
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly env?: Readonly<Record<string, string>>;
}

interface Workflow {
  readonly permissions: object;
  readonly concurrency: object;
  readonly jobs: Readonly<Record<string, { readonly environment: string; readonly steps: readonly Step[] }>>;
}

test('ci/github-actions.yml releases, also when somebody else publishes first', async (t) => {
  if (!requireTool(t, 'bash')) return;
  const workflow: Workflow = parse(await readFile(join(ROOT, 'repo-layout', 'ci', 'github-actions.yml'), 'utf8'));
  const [job] = Object.values(workflow.jobs);
  assert.deepEqual(workflow.permissions, { contents: 'read', 'id-token': 'write' });
  assert.deepEqual(workflow.concurrency, { group: 'gantry-publish', 'cancel-in-progress': false });
  const trust = await readFile(join(ROOT, 'repo-layout', 'aws', 'trust-github.json'), 'utf8');
  assert.ok(trust.includes(`:environment:${job?.environment}"`));
  const scene = await checkedOut(t);
  const runner = join(scene.directory, 'runner');
  await mkdir(runner);
  const known: Readonly<Record<string, string>> = {
    'secrets.GANTRY_TARGETS_KEY': await readFile(join(scene.keys, 'targets.pem'), 'utf8'),
    'secrets.GANTRY_ONLINE_KEY': await readFile(join(scene.keys, 'online.pem'), 'utf8'),
    'secrets.GANTRY_PASSPHRASE': 'a passphrase',
    'vars.METADATA_URL': scene.metadataUrl,
  };
  for (const { name, run, env = {} } of job?.steps ?? []) {
    if (run === undefined || name === 'Install') continue;
    const given = Object.entries(env).map(([variable, value]) => {
      const filled = known[/^\$\{\{ (.+) \}\}$/u.exec(value)?.[1] ?? ''];
      assert.ok(filled !== undefined, `${name}: ${value}`);
      return [variable, filled];
    });
    await shell(run, scene.checkout, { ...scene.env, ...Object.fromEntries(given), RUNNER_TEMP: runner, GITHUB_REF_NAME: 'v1.1.0' });
  }
  await assertReleased(scene);
  assert.deepEqual(await readdir(runner), []);
});

interface GitLabJob {
  readonly resource_group?: string;
  readonly id_tokens?: Readonly<Record<string, { readonly aud: string }>>;
  readonly variables?: Readonly<Record<string, string>>;
  readonly before_script?: readonly string[];
  readonly script: readonly string[];
  readonly after_script?: readonly string[];
}

test('ci/gitlab-ci.yml releases, also when somebody else publishes first', async (t) => {
  if (!requireTool(t, 'bash')) return;
  const pipeline: { readonly images: GitLabJob; readonly release: GitLabJob } = parse(
    await readFile(join(ROOT, 'repo-layout', 'ci', 'gitlab-ci.yml'), 'utf8'),
  );
  const { images, release } = pipeline;
  assert.equal(release.resource_group, 'gantry-publish');
  const trust = await readFile(join(ROOT, 'repo-layout', 'aws', 'trust-gitlab.json'), 'utf8');
  assert.ok(trust.includes(`"${release.id_tokens?.['AWS_TOKEN']?.aud}"`));
  const scene = await checkedOut(t);
  const { checkout, keys } = scene;
  const variables = Object.entries(release.variables ?? {}).map(([name, value]) => [name, value.replace('$CI_PROJECT_DIR', checkout)]);
  const env = {
    ...scene.env,
    ...Object.fromEntries(variables),
    RELEASE: '1.1.0',
    AWS_TOKEN: 'a token',
    GANTRY_TARGETS_KEY: join(keys, 'targets.pem'),
    GANTRY_ONLINE_KEY: join(keys, 'online.pem'),
    GANTRY_PASSPHRASE: 'a passphrase',
    METADATA_URL: scene.metadataUrl,
  };
  await shell(images.script.join('\n'), checkout, env);
  // One shell for all lines, as in a job of theirs.
  const before = (release.before_script ?? []).filter((line) => !/^npm ci|^export PATH/u.test(line));
  await shell([...before, ...release.script].join('\n'), checkout, env);
  await shell((release.after_script ?? []).join('\n'), checkout, env);
  await assertReleased(scene);
  const left = await readdir(checkout);
  assert.deepEqual(
    ['.keys', '.aws-token'].filter((name) => left.includes(name)),
    [],
  );
});

/** A workspace at the command line: what the tests of commands type into. */
import assert from 'node:assert/strict';
import { cp, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before } from 'node:test';
import type { Update } from '../../lib/release/manifest.ts';
import { ADD, cliWorkspace, gantry, type CliResult } from './cli.ts';
import { temporaryDirectory, type Cleanup } from './engineer.ts';

export interface Desk {
  readonly workspace: string;
  /** Fails the test unless the command succeeds. */
  run(...args: readonly string[]): Promise<CliResult>;
  json(...args: readonly string[]): Promise<Record<string, never>>;
  refused(code: number, message: RegExp, ...args: readonly string[]): Promise<void>;
}

export async function deskOf(workspace: string): Promise<Desk> {
  const run = async (...args: readonly string[]): Promise<CliResult> => {
    const result = await gantry(args, { cwd: workspace });
    assert.equal(result.code, 0, `gantry ${args.join(' ')}: ${result.stderr}`);
    return result;
  };
  return {
    workspace,
    run,
    json: async (...args) => JSON.parse((await run(...args, '--json')).stdout) as Record<string, never>,
    async refused(code, message, ...args) {
      const draftsBefore = await drafts(workspace);
      const result = await gantry(args, { cwd: workspace });
      assert.equal(result.code, code, `gantry ${args.join(' ')}: ${result.stderr}`);
      const [error = '', hint = ''] = result.stderr.trimEnd().split('\n').slice(-2);
      assert.match(error, /^error: Cannot /u);
      assert.match(error, message);
      assert.match(hint, /^hint: /u);
      assert.deepEqual(await drafts(workspace), draftsBefore, 'a draft was changed');
    },
  };
}

export async function drafts(workspace: string): Promise<readonly string[]> {
  const folder = join(workspace, 'drafts');
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  return Promise.all(
    names.filter((name) => name.endsWith('.json')).map(async (name) => `${name} ${await readFile(join(folder, name), 'utf8')}`),
  );
}

export async function publish(desk: Desk): Promise<CliResult> {
  await desk.run('sign');
  return desk.run('publish');
}

export async function waves(desk: Desk, version = '1.2.0'): Promise<Update['waves']> {
  const { releases } = (await desk.json('release', 'show', version)) as unknown as { releases: readonly { readonly update: Update }[] };
  const [release] = releases;
  assert.ok(release !== undefined);
  return release.update.waves;
}

/** For every test a workspace of its own with a rollout under way; they are copies of one that is made before the first test. */
export function rolloutUnderWay(): (t: Cleanup) => Promise<Desk> {
  let template = '';
  const cleanups: (() => Promise<void>)[] = [];
  before(async () => {
    template = await rolloutTemplate({ after: (work) => cleanups.push(work) });
  });
  after(async () => {
    for (const cleanup of cleanups) await cleanup();
  });
  return async (t) => copyOf(template, t);
}

/** 1.1.0 for everyone, and 1.2.0 with the default waves. */
async function rolloutTemplate(t: Cleanup): Promise<string> {
  const { directory, workspace } = await cliWorkspace(t);
  const desk = await deskOf(workspace);
  const images = ADD.slice(3);
  await desk.run('release', 'add', '1.1.0', ...images);
  await publish(desk);
  await desk.run('release', 'add', '1.2.0', ...images, '--wave-policy', 'default-waves', '--severity', 'important', '--notes', 'Faster.');
  await publish(desk);
  return directory;
}

async function copyOf(template: string, t: Cleanup): Promise<Desk> {
  const directory = await temporaryDirectory(t);
  await cp(template, directory, { recursive: true });
  return deskOf(join(directory, 'my-os'));
}

/** `gantry gc` as it is typed. */
import assert from 'node:assert/strict';
import { cp, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { ADD, cliWorkspace, gantry, type CliResult } from '../support/cli.ts';
import { temporaryDirectory, writeImages } from '../support/engineer.ts';

interface Shell {
  readonly workspace: string;
  readonly store: string;
  run(...args: readonly string[]): Promise<CliResult>;
  /** Fails the test unless it ends with 0. */
  ok(...args: readonly string[]): Promise<CliResult>;
}

const cleanups: (() => Promise<void>)[] = [];
after(async () => {
  for (const cleanup of cleanups) await cleanup();
});
let template: Promise<string> | undefined;

function shellIn(workspace: string): Shell {
  const run: Shell['run'] = async (...args) => gantry(args, { cwd: workspace });
  return {
    workspace,
    store: join(workspace, '..', 'public'),
    run,
    async ok(...args) {
      const result = await run(...args);
      assert.equal(result.code, 0, `gantry ${args.join(' ')}: ${result.stderr}`);
      return result;
    },
  };
}

/** Two releases were published, and the first one was removed a month ago. */
async function makeTemplate(): Promise<string> {
  const { directory, workspace } = await cliWorkspace({ after: (work) => cleanups.push(work) });
  const at = shellIn(workspace);
  const publish = async (...args: readonly string[]): Promise<void> => {
    for (const line of [args, ['sign'], ['publish', '--verify', 'none']]) await at.ok(...line);
  };
  await publish(...ADD);
  await writeImages(workspace);
  await publish(...ADD.with(2, '1.1.0'));
  await publish('release', 'remove', '1.0.0', '--yes');
  await age(at.store, 'objects', 30);
  return directory;
}

async function untidy(t: TestContext): Promise<Shell> {
  template ??= makeTemplate();
  const directory = await temporaryDirectory(t);
  await cp(await template, directory, { recursive: true, preserveTimestamps: true });
  return shellIn(join(directory, 'my-os'));
}

async function filesOf(store: string): Promise<readonly string[]> {
  const entries = await readdir(store, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name).slice(store.length + 1));
  return files.filter((name) => !name.startsWith('.')).toSorted();
}

/** Makes objects, or marks, so many days old. */
async function age(store: string, what: 'objects' | 'marks', days: number): Promise<void> {
  const then = new Date(Date.now() - days * 86_400_000);
  for (const name of await filesOf(store)) {
    if (name.startsWith('gantry-gc/') !== (what === 'marks')) continue;
    const file = join(store, name);
    if (what === 'marks') {
      const text = await readFile(file, 'utf8');
      await writeFile(file, text.replace(/"at":"[^"]+"/u, `"at":"${then.toISOString()}"`));
    }
    await utimes(file, then, then);
  }
}

test('gantry gc shows what it would do, marks with --yes, and removes a grace later', async (t) => {
  const at = await untidy(t);
  const before = await filesOf(at.store);
  const shown = await at.ok('gc');
  assert.match(shown.stdout, /^Would mark in \S+\/public, and remove 7 days later if nobody needs them then:\n +size {2}object\n/u);
  assert.match(shown.stdout, /\n12 objects, .*\n\nKeeps 11 objects, /u);
  assert.match(shown.stdout, /\nNothing was changed\. Next: gantry gc --yes\n$/u);
  await at.ok('gc', '--yes', '--dry-run');
  assert.deepEqual(await filesOf(at.store), before);

  const marked = await at.ok('gc', '--yes');
  assert.match(
    marked.stdout,
    /^Removed nothing\.\nMarked 12 objects, .*; what nobody needs then may go from \S+Z on\.\n\nNext, from then on: gantry gc --yes\n$/u,
  );
  assert.equal((await filesOf(at.store)).length, before.length + 12);
  assert.match(
    (await at.ok('gc')).stdout,
    /^12 objects, .* marked earlier; the first may go at \S+Z\.\nKeeps 11 .*[\s\S]*\nNothing to do now\.\n$/u,
  );

  await age(at.store, 'marks', 8);
  const doomed = await at.ok('gc', '--grace', '1 week');
  assert.match(doomed.stdout, /^Would remove from \S+, marked at least 1 week ago:\n/u);
  assert.match(doomed.stdout, /Next: gantry gc --yes --grace '1 week'\n$/u);
  const removed = await at.ok('gc', '--yes');
  assert.match(removed.stdout, /^Removed 12 objects, .*\.\n$/u);
  assert.equal((await filesOf(at.store)).length, before.length - 12);
  assert.match((await at.ok('gc', '--yes')).stdout, /^Removed nothing\.\n$/u);
  await at.ok('lint');
  await at.ok('refresh', '--online');
  await at.ok('sign');
  await at.ok('publish', '--verify', 'all');
});

test('gantry gc --json gives one object, of what would be done and of what was', async (t) => {
  const at = await untidy(t);
  const plan = JSON.parse((await at.ok('gc', '--json')).stdout) as { readonly mark: readonly object[] };
  assert.equal(plan.mark.length, 12);
  assert.deepEqual(Object.keys(plan.mark[0] ?? {}), ['path', 'lengthBytes', 'kind', 'why']);
  const done = JSON.parse((await at.ok('gc', '--json', '--yes')).stdout) as {
    readonly marked: readonly object[];
    readonly removedBytes: number;
  };
  assert.deepEqual(done.marked, plan.mark);
  assert.equal(done.removedBytes, 0);
});

test('gantry gc --why says why something stays or goes, and changes nothing', async (t) => {
  const at = await untidy(t);
  const before = await filesOf(at.store);
  const answer = await at.ok('gc', '--yes', '--why', 'root.ext4.zst');
  assert.match(answer.stdout, /^keep {4}targets\/[0-9a-f]{8}….*-1\.1\.0-.*\n {8}live metadata names it \(metal\/x86_64\)\n/mu);
  assert.match(answer.stdout, /^mark {4}targets\/[0-9a-f]{8}….*-1\.0\.0-.*\n {8}no metadata names it\n/mu);
  assert.match(
    (await at.ok('gc', '--why', '1.root.json')).stdout,
    /^keep {4}metal\/x86_64\/1\.root\.json, .*\n {8}hosts need every root\n$/u,
  );
  assert.match((await at.ok('gc', '--why', 'no-such-thing')).stdout, /has no object with "no-such-thing" in its path/u);
  assert.deepEqual(await filesOf(at.store), before);
});

test('gantry gc refuses what it cannot verify with exit code 1, and changes nothing', async (t) => {
  const at = await untidy(t);
  const file = join(at.store, 'metal', 'x86_64', '3.targets.json');
  await writeFile(file, (await readFile(file, 'utf8')).replace('1.1.0', '1.9.0'));
  const before = await filesOf(at.store);
  const refused = await at.run('gc', '--yes');
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    /^error: Cannot tidy up "\S+\/public": the repository "metal\/x86_64" cannot be verified: .*\. Nothing was removed\nhint: gantry lint/mu,
  );
  assert.deepEqual(await filesOf(at.store), before);
});

test('gantry gc refuses a grace that it cannot use', async (t) => {
  const at = await untidy(t);
  const short = await at.run('gc', '--grace', '59 minutes');
  assert.equal(short.code, 2);
  assert.match(short.stderr, /^error: Cannot use a grace of less than an hour: expected "1h" at least/mu);
  assert.equal((await at.run('gc', '--grace', 'soon')).code, 3);
});

/** `gantry publish` as it is typed: plans, stores, several repositories, and the look afterwards. */
import assert from 'node:assert/strict';
import { appendFile, copyFile, mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { ADD, cliWorkspace, gantry, type CliResult } from '../support/cli.ts';

const EXAMPLE = join(import.meta.dirname, '..', '..', 'repo-layout', 'hosting', 'store-command.sh');

interface Shell {
  readonly directory: string;
  readonly workspace: string;
  readonly store: string;
  run(...args: readonly string[]): Promise<CliResult>;
  /** Fails the test unless it ends with 0. */
  ok(...args: readonly string[]): Promise<CliResult>;
}

async function shell(t: TestContext): Promise<Shell> {
  const { directory, workspace } = await cliWorkspace(t);
  const run: Shell['run'] = async (...args) => gantry(args, { cwd: workspace });
  return {
    directory,
    workspace,
    store: join(directory, 'public'),
    run,
    async ok(...args) {
      const result = await run(...args);
      assert.equal(result.code, 0, `gantry ${args.join(' ')}: ${result.stderr}`);
      return result;
    },
  };
}

/** A signed release that waits. */
async function withRelease(t: TestContext): Promise<Shell> {
  const at = await shell(t);
  await at.ok(...ADD);
  await at.ok('sign');
  return at;
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

test('gantry publish --plan writes a plan, and gantry publish PLAN carries it out, once', async (t) => {
  const at = await withRelease(t);
  const written = await at.ok('publish', '--plan', 'plan.json');
  assert.match(written.stdout, /^The plan writes to .*\/public, in this order:\n {2}object +size +kind\n/u);
  assert.match(written.stdout, /\nNext: gantry publish plan\.json\n$/u);
  assert.ok(
    written.stdout.split('\n').every((line) => line.length <= 110),
    written.stdout,
  );
  assert.equal(await isThere(at.store), false);
  const checked = await at.ok('publish', 'plan.json', '--dry-run', '--json');
  assert.equal(await isThere(at.store), false);
  const { writes } = JSON.parse(checked.stdout) as { readonly writes: readonly { readonly path: string }[] };
  const plan = JSON.parse(await readFile(join(at.workspace, 'plan.json'), 'utf8')) as {
    readonly repositories: readonly [{ readonly writes: readonly { readonly path: string }[] }];
  };
  assert.deepEqual(
    writes.map(({ path }) => path),
    plan.repositories[0].writes.map(({ path }) => path),
  );
  const published = await at.ok('publish', 'plan.json');
  assert.match(
    published.stdout,
    /^Published metal\/x86_64: 11 objects, .*\nA host sees it at .*\/public\/metal\/x86_64: timestamp 1, 7 files, /u,
  );
  assert.match(
    published.stdout,
    /rsync -a --exclude='\.\*' --exclude=timestamp\.json \S+\/public\/ HOST:FOLDER\/\n {2}rsync -a --exclude='\.\*' \S+/u,
  );
  assert.match((await at.ok('publish', 'plan.json')).stdout, /^Nothing to publish for metal\/x86_64: all of it is live already\./u);
});

test('gantry publish PLAN refuses with exit code 5 when the world moved, and says who moved it', async (t) => {
  const at = await withRelease(t);
  await at.ok('publish');
  await at.ok(...ADD.with(2, '1.1.0'));
  await at.ok('sign');
  await at.ok('publish', '--plan', 'plan.json');
  await at.ok('publish');
  await at.ok('refresh', '--online');
  await at.ok('sign');
  await at.ok('publish');
  const before = await readFile(join(at.store, 'metal', 'x86_64', 'timestamp.json'));
  const refused = await at.run('publish', 'plan.json');
  assert.equal(refused.code, 5);
  assert.match(refused.stderr, /timestamp 3 was written at \S+, signed by online and targets; it offers 1\.1\.0, 1\.0\.0\./u);
  assert.match(refused.stderr, /\nhint: gantry sign && gantry publish/u);
  assert.deepEqual(await readFile(join(at.store, 'metal', 'x86_64', 'timestamp.json')), before);
});

test('gantry publish refuses a plan of another store, a torn one, and two plans at once', async (t) => {
  const at = await withRelease(t);
  await at.ok('publish', '--plan', 'plan.json');
  const elsewhere = await at.run('publish', 'plan.json', '--store', '../other');
  assert.equal(elsewhere.code, 3);
  assert.match(elsewhere.stderr, /it was made for "\S+\/public"; expected this store, "\S+\/other"/u);
  const both = await at.run('publish', 'plan.json', '--plan', 'other.json');
  assert.equal(both.code, 2);
  await writeFile(join(at.workspace, 'plan.json'), (await readFile(join(at.workspace, 'plan.json'))).subarray(0, 500));
  const torn = await at.run('publish', 'plan.json');
  assert.equal(torn.code, 3);
  assert.match(torn.stderr, /^error: Cannot use the plan "plan\.json": the file: it is not JSON/mu);
  assert.equal((await at.run('publish', 'no-such-plan.json')).code, 3);
  assert.equal(await isThere(at.store), false);
});

test('gantry publish --store publishes to another place, and each place has a history of its own', async (t) => {
  const at = await withRelease(t);
  await at.ok('publish');
  await at.ok(...ADD, '--store', '../staging');
  await at.ok('sign', '--store', '../staging');
  await at.ok('publish', '--store', '../staging');
  assert.deepEqual(await readdir(join(at.directory, 'staging', 'metal', 'x86_64')), await readdir(join(at.store, 'metal', 'x86_64')));
  const inside = await at.run('publish', '--store', '..');
  assert.equal(inside.code, 3);
  assert.match(inside.stderr, /it is, or holds, the workspace/u);
});

test('gantry publish looks at the public URL, before and after', async (t) => {
  const at = await withRelease(t);
  await mkdir(at.store);
  const server = await startStaticServer({ directory: at.store });
  t.after(async () => server.close());
  const toml = join(at.workspace, 'gantry.toml');
  const config = await readFile(toml, 'utf8');
  await writeFile(toml, `url = "${server.url.href}"\n${config}`);
  const published = await at.ok('publish');
  assert.match(published.stdout, /\nA host sees it at http:\/\/127\.0\.0\.1:\d+\/metal\/x86_64\/: timestamp 1, 7 files, /u);
  assert.doesNotMatch(published.stdout, /Next:/u);
  await at.ok(...ADD.with(2, '1.1.0'));
  await at.ok('sign');
  await writeFile(toml, `url = "${new URL('elsewhere/', server.url).href}"\n${config}`);
  const before = await readFile(join(at.store, 'metal', 'x86_64', 'timestamp.json'));
  const refused = await at.run('publish');
  assert.equal(refused.code, 3);
  assert.match(refused.stderr, /is missing there, and the store has it; expected what is in the store\nhint: correct url in gantry\.toml/u);
  assert.deepEqual(await readFile(join(at.store, 'metal', 'x86_64', 'timestamp.json')), before);
  const { published: done } = JSON.parse((await at.ok('publish', '--verify', 'none', '--json')).stdout) as {
    readonly published: readonly object[];
  };
  assert.deepEqual(Object.keys(done[0] ?? {}), ['repository', 'sent', 'skipped', 'bytes']);
});

test('gantry publish says what became of the other repositories when one of them fails', async (t) => {
  const at = await shell(t);
  await appendFile(
    join(at.workspace, 'gantry.toml'),
    ['cloud', 'edge'].map((name) => `\n[[repository]]\nvariant = "${name}"\narch = "x86_64"\n`).join(''),
  );
  for (const variant of ['metal', 'cloud', 'edge']) {
    for (const image of ['boot', 'root', 'hash'])
      await copyFile(join(at.workspace, `${image}.img`), join(at.workspace, `${image}-${variant}.img`));
  }
  const images = ['boot', 'root', 'hash'].flatMap((image) => [`--${image}`, `${image}-{variant}.img`]);
  await at.ok('release', 'add', '1.0.0', ...images, '--variant', 'all');
  await at.ok('sign');
  // A file in the place of a folder: the second repository cannot be written.
  await mkdir(at.store);
  await mkdir(join(at.store, 'metal'));
  await writeFile(join(at.store, 'cloud'), '');
  const failed = await at.run('publish', '--beside-others');
  assert.notEqual(failed.code, 0);
  assert.match(failed.stderr, /\npublished: metal\/x86_64; not published: cloud\/x86_64, edge\/x86_64\n/u);
  await rm(join(at.store, 'cloud'));
  const again = await at.ok('publish');
  assert.match(again.stdout, /^Published cloud\/x86_64: .*\n.*\nPublished edge\/x86_64: /u);
  assert.doesNotMatch(again.stdout, /Published metal/u);
});

test('gantry publish uses an upload program of the operator, when it keeps conditions', async (t) => {
  const at = await withRelease(t);
  await mkdir(at.store);
  const toml = join(at.workspace, 'gantry.toml');
  const config = (await readFile(toml, 'utf8')).replace(/^store = .*$/mu, 'store = "command"');
  assert.match((await writeFile(toml, config).then(async () => at.run('publish'))).stderr, /there is no \[command\] table/u);
  await writeFile(toml, `${config}\n[command]\nprogram = ["${EXAMPLE}", "${at.store}"]\n`);
  const published = await at.ok('publish');
  assert.match(published.stderr, /Looking whether this store keeps conditional writes/u);
  assert.match(published.stdout, /^Published metal\/x86_64: 11 objects/u);
  assert.deepEqual((await readdir(at.store)).filter((name) => !name.startsWith('.')).toSorted(), ['gantry-probe', 'metal', 'targets']);
  const careless = join(at.directory, 'careless.sh');
  await writeFile(
    careless,
    `#!/bin/sh\n[ "$2" != write ] || GANTRY_EXPECT=$(sh ${EXAMPLE} "$1" head "$3" | sed -n 's/.*version": "\\([^"]*\\).*/\\1/p')\nexport GANTRY_EXPECT="\${GANTRY_EXPECT:-absent}"\nexec ${EXAMPLE} "$@"\n`,
    { mode: 0o755 },
  );
  await writeFile(toml, `${config}\n[command]\nprogram = ["${careless}", "${at.store}"]\n`);
  await at.ok('refresh', '--online');
  await at.ok('sign');
  const refused = await at.run('publish');
  assert.equal(refused.code, 4);
  assert.match(refused.stderr, /^error: Cannot publish safely to .*; expected/mu);
  assert.match(refused.stderr, /--single-writer publishes there all the same/u);
  const alone = await at.ok('publish', '--single-writer');
  assert.match(alone.stderr, /only you may publish until this is done.*\n- Two publishers at the same time/u);
});

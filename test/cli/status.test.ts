/** `gantry status`, `next` and `refresh` as people and timers run them. */
import assert from 'node:assert/strict';
import { appendFile, cp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { cliWorkspace, gantry, type CliResult } from '../support/cli.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { startFileServer } from '../support/file-server.ts';
import { deskOf, drafts, rolloutUnderWay, type Desk } from '../support/desk.ts';

const released = rolloutUnderWay();

async function at({ workspace }: Desk, ...args: readonly string[]): Promise<CliResult> {
  return gantry(args, { cwd: workspace });
}

function soon(days: number): string {
  return new Date(Date.now() + days * 86_400_000).toISOString();
}

test('gantry status and next exit with 0, 10 and 11, now and for another moment', async (t) => {
  const desk = await released(t);
  for (const [when, code, text] of [
    [[], 0, /^Next: nothing; hosts are served$/mu],
    [['--in', '4 days'], 0, /^Next: nothing; hosts are served$/mu],
    [['--in', '5d'], 10, /^Next: gantry refresh && gantry sign && gantry publish$/mu],
    [['--valid-at', soon(5)], 10, /^Next: gantry refresh && gantry sign && gantry publish$/mu],
    [['--in', '1 week'], 11, /^Next: gantry refresh --even-expired && gantry sign && gantry publish$/mu],
  ] as const) {
    const status = await at(desk, 'status', ...when);
    assert.equal(status.code, code, status.stderr);
    assert.match(status.stdout, text);
    assert.equal((await at(desk, 'next', ...when)).code, code);
  }
  const both = await at(desk, 'status', '--in', '5d', '--valid-at', soon(5));
  assert.equal(both.code, 2);
  assert.match(both.stderr, /Cannot use --valid-at together with --in/u);
});

test('gantry status names who has signed, of how many, and when a role is due', async (t) => {
  const desk = await released(t);
  const { stdout } = await at(desk, 'status');
  assert.match(stdout, /^ {2}root +1 {2}\S+Z {2}in 364 days {2}\d{4}-\d{2}-\d{2} {2}3 \(needs 2\): root-a, root-b, root-c$/mu);
  assert.match(stdout, /^ {2}timestamp +2 {2}\S+Z {2}in 7 days .* 1 \(needs 1\): online$/mu);
});

test('gantry status of a directory judges it from the roots of the workspace, or from --root', async (t) => {
  const desk = await released(t);
  const inside = await at(desk, 'status', '../public/metal/x86_64', '--json');
  assert.equal(inside.code, 0, inside.stderr);
  const { live } = JSON.parse(inside.stdout) as { readonly live: readonly { readonly role: string; readonly version: number }[] };
  assert.deepEqual(
    live.map(({ role, version }) => `${role} ${version}`),
    ['root 1', 'targets 2', 'snapshot 2', 'timestamp 2'],
  );
  const args = ['status', '../public/metal/x86_64', '--root', '1.root.json'];
  assert.equal((await at(desk, ...args, '--in', '5d')).code, 10);
  const path = join(desk.workspace, '..', 'public', 'metal', 'x86_64', 'timestamp.json');
  await writeFile(
    path,
    (await readFile(path, 'utf8')).replace(/"expires": ?"20/u, (text) => `${text.slice(0, -2)}21`),
  );
  assert.equal((await at(desk, ...args)).code, 1);
});

test('gantry status of a URL judges what is served there, and needs a root that is trusted', async (t) => {
  const desk = await released(t);
  await using server = await startFileServer(join(desk.workspace, '..', 'public'));
  const url = new URL('metal/x86_64', server.url).href;
  const { code, stdout } = await at(desk, 'status', url);
  assert.equal(code, 0);
  assert.match(stdout, /^ {2}timestamp +2 .* 1 \(needs 1\): online$/mu);
  const elsewhere = await temporaryDirectory(t);
  const untrusted = await gantry(['status', url], { cwd: elsewhere });
  assert.equal(untrusted.code, 2);
  assert.match(untrusted.stderr, /nothing says which root is trusted; expected --root FILE\nhint: /u);
  const overdue = await gantry(['status', url, '--root', join(desk.workspace, '1.root.json'), '--in', '2 weeks', '--json'], {
    cwd: elsewhere,
  });
  assert.equal(overdue.code, 11);
  assert.equal((JSON.parse(overdue.stdout) as { readonly urgency: string }).urgency, 'overdue');
  const nothing = await at(desk, 'status', new URL('metal/arm64', server.url).href);
  assert.equal(nothing.code, 4);
  assert.match(nothing.stderr, /^error: Cannot .*\nhint: .*\n$/u);
});

test('gantry status of a draft in a file says who has signed it, who is missing, and what is typed next', async (t) => {
  const desk = await released(t);
  const file = join(desk.workspace, '..', 'ceremony.draft');
  await desk.run('root', 'set-threshold', 'root', '3');
  await desk.run('sign', '--key', 'root-b');
  await desk.run('draft', 'export', 'root', '-o', file);
  const here = await at(desk, 'status', file);
  assert.equal(here.code, 0, here.stderr);
  assert.match(
    here.stdout,
    /^ {2}root +2 {2}in 364 days .*1 of 3 of root 2: root-b; missing 2 of root-a, root-c; 1 of 2 of root 1: root-b; missing 1 of/mu,
  );
  assert.match(here.stdout, /^Next: gantry sign \S+ceremony\.draft$/mu);
  const noKeys = await at(desk, 'status', file, '--keys-dir', 'nowhere');
  assert.match(noKeys.stdout, /^Next: gantry sign \S+ {3}\(where one of root-a, root-c is\)$/mu);
  const { complete, urgency } = await desk.json('sign', file).then(async () => desk.json('status', file));
  assert.deepEqual([complete, urgency], [true, 'fine']);
  assert.match((await at(desk, 'status', file)).stdout, /^Next: gantry draft import /mu);
  assert.equal((await at(desk, 'status', file, '--in', '60 weeks')).code, 11);
  await desk.refused(2, /Cannot use --metrics together with a repository or a file/u, 'status', file, '--metrics', 'x');
  await writeFile(file, '{}');
  await desk.refused(3, /Cannot read/u, 'status', file);
});

test('gantry status names a hole in the root chain of the store, and the command that fills it works', async (t) => {
  const desk = await released(t);
  await desk.run('root', 'expire');
  await desk.run('sign', '--yes');
  await desk.run('publish', '--yes');
  await rm(join(desk.workspace, '..', 'public', 'metal', 'x86_64', '1.root.json'));
  const { stdout } = await at(desk, 'status');
  assert.match(stdout, /the store lacks 1\.root\.json/u);
  const [, file = '', folder = ''] = /^Next: cp (\S+) (\S+)$/mu.exec(stdout) ?? [];
  await cp(join(desk.workspace, file), join(desk.workspace, folder, file));
  assert.match((await at(desk, 'status')).stdout, /^Next: nothing; hosts are served$/mu);
});

test('gantry status --metrics writes one file, readable by node_exporter, also when a repository of several cannot be read', async (t) => {
  const desk = await released(t);
  await appendFile(join(desk.workspace, 'gantry.toml'), '\n[[repository]]\nvariant = "metal"\narch = "aarch64"\n');
  const first = await at(desk, 'status', '--metrics', 'gantry.prom', '--json');
  assert.equal(first.code, 0, first.stderr);
  const text = await readFile(join(desk.workspace, 'gantry.prom'), 'utf8');
  assert.match(text, /^gantry_role_version\{product="my-os",variant="metal",arch="x86_64",role="timestamp"\} 2$/mu);
  assert.match(text, /^gantry_repository_readable\{product="my-os",variant="metal",arch="aarch64"\} 1$/mu);
  const lines = text.trimEnd().split('\n');
  assert.deepEqual(
    lines.filter((line) => !/^# (?:HELP|TYPE) gantry_[a-z_]+ |^gantry_[a-z_]+\{[^}]+\} \d+$/u.test(line)),
    [],
  );
  await writeFile(join(desk.workspace, '..', 'public', 'metal', 'x86_64', 'timestamp.json'), '{}');
  const broken = await at(desk, 'status', '--metrics', 'gantry.prom');
  assert.equal(broken.code, 1, broken.stdout);
  assert.match(broken.stdout, /cannot be read: /u);
  assert.match(broken.stdout, /^Next: gantry explain tuf\/malformed$/mu);
  assert.match(await readFile(join(desk.workspace, 'gantry.prom'), 'utf8'), /^gantry_repository_readable\{.*arch="x86_64"\} 0$/mu);
  assert.deepEqual(
    (await readdir(desk.workspace)).filter((name) => name.endsWith('.tmp')),
    [],
  );
});

test('gantry refresh --dry-run says what would be signed and published, and refuses what refresh refuses', async (t) => {
  const desk = await released(t);
  const dry = await at(desk, 'refresh', '--dry-run', '--in', '5d');
  assert.equal(dry.code, 0, dry.stderr);
  assert.match(
    dry.stdout,
    /timestamp version 2 → 3, expires \S+Z \(in 7 days\)\n +signed by 1 of online\n +publishing writes metal\/x86_64\/timestamp\.json/u,
  );
  assert.deepEqual(await drafts(desk.workspace), []);
  await desk.refused(3, /what is live has expired/u, 'refresh', '--dry-run', '--in', '8d');
  await desk.refused(2, /Cannot use --in without --dry-run/u, 'refresh', '--in', '5d');
  await desk.refused(2, /Cannot use --online together with --all/u, 'refresh', '--online', '--all');
});

test('gantry refresh && gantry sign && gantry publish does nothing when nothing is due', async (t) => {
  const desk = await released(t);
  const before = await readFile(join(desk.workspace, '..', 'public', 'metal', 'x86_64', 'timestamp.json'));
  for (const args of [['refresh'], ['sign', '--yes'], ['publish']]) await desk.run(...args);
  assert.deepEqual(await readFile(join(desk.workspace, '..', 'public', 'metal', 'x86_64', 'timestamp.json')), before);
});

test('gantry lint and verify judge for another moment, and verify keeps nothing of it', async (t) => {
  const { workspace } = await cliWorkspace(t);
  const desk = await deskOf(workspace);
  await desk.refused(2, /both say when/u, 'lint', '--in', '5d', '--valid-at', soon(1));
  await desk.refused(
    2,
    /Cannot use --state when another moment/u,
    'verify',
    'http://127.0.0.1:9/x/y',
    '--root',
    '1.root.json',
    '--state',
    's',
    '--in',
    '5d',
  );
});

test('gantry --version and --help give one object with --json', async (t) => {
  const { workspace } = await cliWorkspace(t);
  const json = async (...args: readonly string[]): Promise<Record<string, unknown>> =>
    JSON.parse((await gantry(args, { cwd: workspace })).stdout) as Record<string, unknown>;
  assert.match(String((await json('--version', '--json'))['version']), /^\d+\.\d+\.\d+/u);
  assert.match(String((await json('--json', 'status', '--help'))['help']), /^Usage: gantry status/u);
  assert.equal((await json('--json', '--help'))['ok'], true);
});

/** What a tired person does, and what the command line says: one clear error, the right exit code, nothing half-written. */
import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { draftRoot, specOf } from '../../lib/repository/root-draft.ts';
import { requireRootChain, saveRootDraft } from '../../lib/workspace/root-files.ts';
import { openWorkspace } from '../../lib/workspace/workspace.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { ADD, cliWorkspace, gantry, type CliResult } from '../support/cli.ts';

/** One error line, one hint line, no stack trace. */
function assertRefused(result: CliResult, code: number, message: RegExp): void {
  assert.equal(result.code, code, result.stderr);
  const lines = result.stderr.trimEnd().split('\n');
  assert.match(lines.at(-2) ?? '', /^error: Cannot /u, result.stderr);
  assert.match(lines.at(-2) ?? '', message);
  assert.match(lines.at(-1) ?? '', /^hint: /u);
  assert.doesNotMatch(result.stderr, /\n\s+at .*:\d+:\d+/u);
}

async function draftsOf(workspace: string): Promise<readonly string[]> {
  return readdir(join(workspace, 'drafts', 'metal')).catch(() => []);
}

test('gantry release add refuses images that cannot be released, and drafts nothing', async (t) => {
  const { workspace } = await cliWorkspace(t);
  const add = async (...changes: readonly string[]): Promise<CliResult> => gantry([...ADD, ...changes], { cwd: workspace });
  assertRefused(await add('--boot', 'gone.img'), 3, /gone\.img.*does not exist/u);
  assertRefused(await add('--boot', 'keys'), 3, /keys.*is a directory/u);
  await writeFile(join(workspace, 'empty.img'), '');
  assertRefused(await add('--hash', 'empty.img'), 3, /empty\.img.*it is empty/u);
  assert.deepEqual(await draftsOf(workspace), []);
  assert.deepEqual(await readdir(join(workspace, '.gantry')).then((names) => names.filter((name) => name === 'objects')), []);
});

test('gantry release add refuses versions that cannot be released', async (t) => {
  const { workspace } = await cliWorkspace(t);
  const add = async (version: string): Promise<CliResult> => gantry([...ADD.slice(0, 2), version, ...ADD.slice(3)], { cwd: workspace });
  assertRefused(await add('v1.0.0'), 3, /"v1\.0\.0".*not SemVer/u);
  assertRefused(await add('1.0'), 3, /"1\.0".*not SemVer/u);
  assert.equal((await add('1.1.0')).code, 0);
  assert.equal((await gantry(['sign'], { cwd: workspace })).code, 0);
  assert.equal((await gantry(['publish'], { cwd: workspace })).code, 0);
  assertRefused(await add('1.1.0'), 3, /1\.1\.0/u);
  assertRefused(await add('1.0.9'), 3, /1\.0\.9/u);
  assert.deepEqual(await draftsOf(workspace), []);
});

test('gantry says that it is not in a workspace', async (t) => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'home'));
  const cwd = join(directory, 'home');
  for (const command of [['status'], ['sign'], ['publish'], ADD, ['serve'], ['key', 'list']]) {
    assertRefused(await gantry(command, { cwd }), 3, /no gantry\.toml/u);
  }
  assert.deepEqual(await readdir(cwd), []);
});

test('gantry points at the line of a gantry.toml that does not parse', async (t) => {
  const { workspace } = await cliWorkspace(t);
  await writeFile(join(workspace, 'gantry.toml'), 'product = "my-os"\nstore = \n');
  assertRefused(await gantry(['status'], { cwd: workspace }), 3, /gantry\.toml.*line 2/u);
});

test('gantry init refuses a directory that is not empty', async (t) => {
  const { workspace } = await cliWorkspace(t);
  const before = await readdir(workspace);
  const init = ['init', '.', '--variant', 'metal', '--arch', 'x86_64', '--store', '../public'];
  assertRefused(await gantry(init, { cwd: workspace }), 3, /not empty/u);
  assert.deepEqual(await readdir(workspace), before);
});

test('gantry sign refuses a private key that others can read', async (t) => {
  const { directory, workspace } = await cliWorkspace(t);
  await gantry(ADD, { cwd: workspace });
  const key = join(directory, 'config', 'gantry', 'keys', 'my-os', 'targets.pem');
  await chmod(key, 0o644);
  assertRefused(await gantry(['sign'], { cwd: workspace }), 3, /mode is 644/u);
});

test('gantry sign says which keys are missing, and exits with 0 because others can go on', async (t) => {
  const { directory, workspace } = await cliWorkspace(t);
  await gantry(ADD, { cwd: workspace });
  const keys = join(directory, 'config', 'gantry', 'keys', 'my-os');
  await rm(join(keys, 'targets.pem'));
  const result = await gantry(['sign'], { cwd: workspace });
  assert.equal(result.code, 0);
  assert.match(result.stdout, /0 of 1 signatures; missing 1 more of targets/u);
  assertRefused(await gantry(['publish'], { cwd: workspace }), 3, /signatures are missing/u);
});

test('gantry sign says that a passphrase is wrong, and never repeats it', async (t) => {
  const { workspace } = await cliWorkspace(t);
  const env = { GANTRY_PASSPHRASE: 'the right one' };
  await gantry(['key', 'generate', 'other'], { cwd: workspace, env });
  const rootInit = ['root', 'init', '--root', 'other', '--targets', 'other', '--snapshot', 'other', '--timestamp', 'other'];
  await rm(join(workspace, '1.root.json'));
  assert.equal((await gantry(rootInit, { cwd: workspace })).code, 0);
  const wrong = await gantry(['sign'], { cwd: workspace, env: { GANTRY_PASSPHRASE: 'hunter2-wrong' } });
  assertRefused(wrong, 3, /passphrase is wrong/u);
  assert.doesNotMatch(wrong.stdout + wrong.stderr, /hunter2/u);
  assertRefused(await gantry(['sign'], { cwd: workspace }), 3, /none was given, and there is no terminal/u);
  await assert.rejects(stat(join(workspace, '1.root.json')));
  assert.equal((await gantry(['sign'], { cwd: workspace, env })).code, 0);
});

test('gantry key generate never overwrites a key, and makes none of the batch', async (t) => {
  const { directory, workspace } = await cliWorkspace(t);
  const keys = join(directory, 'config', 'gantry', 'keys', 'my-os');
  const before = await readFile(join(keys, 'targets.pem'), 'utf8');
  assertRefused(await gantry(['key', 'generate', 'fresh', 'targets', '--unencrypted'], { cwd: workspace }), 3, /exists already/u);
  assert.equal(await readFile(join(keys, 'targets.pem'), 'utf8'), before);
  assert.ok(!(await readdir(keys)).includes('fresh.pem'));
  assertRefused(await gantry(['key', 'generate', 'a/b', '--unencrypted'], { cwd: workspace }), 3, /"a\/b"/u);
  assertRefused(await gantry(['key', 'generate', 'fresh'], { cwd: workspace }), 3, /none was given, and there is no terminal/u);
});

test('gantry root init refuses unknown keys, impossible thresholds and the example keys', async (t) => {
  const { workspace } = await cliWorkspace(t);
  await rm(join(workspace, '1.root.json'));
  const init = async (root: string, ...more: readonly string[]): Promise<CliResult> =>
    gantry(['root', 'init', '--root', root, '--targets', 'targets', '--snapshot', 'online', '--timestamp', 'online', ...more], {
      cwd: workspace,
    });
  assertRefused(await init('nobody'), 3, /"nobody"/u);
  assertRefused(await init('root-a', '--threshold', 'root=2'), 3, /1 key and threshold 2/u);
  assertRefused(await init('root-a', '--threshold', 'roots=2'), 2, /"roots=2"/u);
  const example = await readFile(join(import.meta.dirname, '..', '..', 'keys-example', 'root-a.pub.pem'));
  await writeFile(join(workspace, 'keys', 'example.pub.pem'), example);
  assertRefused(await init('example'), 3, /example/u);
});

test('gantry publish says that the store cannot be written', async (t) => {
  const { directory, workspace } = await cliWorkspace(t);
  await gantry(ADD, { cwd: workspace });
  await gantry(['sign'], { cwd: workspace });
  await writeFile(join(directory, 'public'), 'a file where the store should be');
  const result = await gantry(['publish'], { cwd: workspace });
  assert.ok(result.code === 4 || result.code === 6, result.stderr);
  assert.match(result.stderr, /^error: Cannot .*public/mu);
  await rm(join(directory, 'public'));
  assert.equal((await gantry(['publish'], { cwd: workspace })).code, 0);
});

test('gantry serve says that the port is in use', async (t) => {
  const { workspace } = await cliWorkspace(t);
  await gantry(ADD, { cwd: workspace });
  await gantry(['sign'], { cwd: workspace });
  await gantry(['publish'], { cwd: workspace });
  const other = createServer().listen(0, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  assertRefused(await gantry(['serve', '--port', String(port)], { cwd: workspace }), 6, /another program uses that port/u);
  assertRefused(await gantry(['serve', '--port', 'http'], { cwd: workspace }), 2, /--port/u);
  assertRefused(await gantry(['serve', '--store', 'nowhere'], { cwd: workspace }), 3, /nowhere/u);
});

test('gantry verify and download say what is wrong with the URL, the root and the target', async (t) => {
  const { workspace } = await cliWorkspace(t);
  const root = ['--root', '1.root.json'];
  assertRefused(await gantry(['verify', 'ftp://127.0.0.1/x', ...root], { cwd: workspace }), 3, /http:\/\//u);
  assertRefused(await gantry(['verify', 'http://127.0.0.1:1/metal/x86_64', ...root], { cwd: workspace }), 4, /Cannot reach/u);
  assertRefused(await gantry(['verify', 'http://127.0.0.1:1/x', '--root', 'none.json'], { cwd: workspace }), 3, /none\.json/u);
  await writeFile(join(workspace, 'odd.json'), '<html>');
  assertRefused(await gantry(['verify', 'http://127.0.0.1:1/x', '--root', 'odd.json'], { cwd: workspace }), 3, /not JSON/u);
});

test('gantry says what is unknown, exits with 2 and suggests what was meant', async (t) => {
  const cwd = await temporaryDirectory(t);
  const unknown = await gantry(['pubish'], { cwd });
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /^error: .*pubish.*\n.*publish/mu);
  const missing = await gantry(['init', 'x'], { cwd });
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /--variant/u);
  assert.deepEqual(await readdir(cwd), []);
});

test('gantry --json prints one object for an error too', async (t) => {
  const cwd = await temporaryDirectory(t);
  const { code, stdout, stderr } = await gantry(['status', '--json'], { cwd });
  assert.equal(code, 3);
  assert.equal(stderr, '');
  const report: { ok: boolean; error: { code: string; hint: string } } = JSON.parse(stdout);
  assert.equal(report.ok, false);
  assert.equal(report.error.code, 'workspace/not-one');
  assert.match(report.error.hint, /gantry init/u);
});

test('gantry release add says that a version is drafted already', async (t) => {
  const { workspace } = await cliWorkspace(t);
  assert.equal((await gantry(ADD, { cwd: workspace })).code, 0);
  assertRefused(await gantry(ADD, { cwd: workspace }), 3, /it is drafted already/u);
});

test('gantry publish asks before a new root, and without a terminal wants --yes', async (t) => {
  const { directory, workspace } = await cliWorkspace(t);
  for (const command of [ADD, ['sign'], ['publish']]) assert.equal((await gantry(command, { cwd: workspace })).code, 0);
  const opened = await openWorkspace(workspace);
  const { latest } = await requireRootChain(opened);
  await saveRootDraft(opened, draftRoot(specOf(latest.role), new Date(), opened.expiry, latest.role));
  assert.equal((await gantry(['sign'], { cwd: workspace })).code, 0);
  assertRefused(await gantry(['publish'], { cwd: workspace }), 2, /2\.root\.json.*no terminal/u);
  const second = join(directory, 'public', 'metal', 'x86_64', '2.root.json');
  await assert.rejects(stat(second));
  assert.equal((await gantry(['publish', '--yes'], { cwd: workspace })).code, 0);
  assert.ok((await stat(second)).isFile());
});

test('gantry serve and demo --keep-serving print one JSON object, and stop with exit code 0 on Ctrl-C', async (t) => {
  const { workspace } = await cliWorkspace(t);
  for (const command of [ADD, ['sign'], ['publish']]) assert.equal((await gantry(command, { cwd: workspace })).code, 0);
  const stopWhenServing = (child: ChildProcess): void => {
    let printed = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
      if (!/^\}\n$/mu.test(printed)) return;
      // As `timeout` and `npx` pass it on: one Ctrl-C, and two signals.
      child.kill('SIGINT');
      setTimeout(() => child.kill('SIGINT'), 1);
    });
  };
  for (const command of [
    ['serve', '--json'],
    ['demo', '--json', '--keep-serving', '--example-keys', '--dir', 'kept'],
  ]) {
    const { code, stdout, stderr } = await gantry(command, { cwd: workspace, onStart: stopWhenServing });
    assert.equal(code, 0, stderr);
    const report: { ok: boolean; url: string } = JSON.parse(stdout);
    assert.ok(report.ok && report.url.startsWith('http://127.0.0.1:'));
  }
});

test('gantry lint says that there is no repository instead of finding nothing wrong with it', async (t) => {
  const { workspace } = await cliWorkspace(t);
  assertRefused(await gantry(['lint'], { cwd: workspace }), 4, /neither 1\.root\.json nor timestamp\.json/u);
  assertRefused(await gantry(['lint', 'keys'], { cwd: workspace }), 3, /"keys": neither timestamp\.json nor 1\.root\.json is there/u);
});

test('gantry key import takes a private PKCS#8 file and a public SPKI file, and refuses anything else', async (t) => {
  const { directory, workspace } = await cliWorkspace(t);
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(join(workspace, 'mine.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
  await writeFile(join(workspace, 'theirs.pem'), publicKey.export({ format: 'pem', type: 'spki' }));
  await writeFile(join(workspace, 'sec1.pem'), privateKey.export({ format: 'pem', type: 'sec1' }), { mode: 0o600 });
  const env = { GANTRY_PASSPHRASE: 'a passphrase' };
  const run = async (...args: readonly string[]): Promise<CliResult> => gantry(['key', 'import', ...args], { cwd: workspace, env });
  assert.equal((await run('mine', 'mine.pem')).code, 0);
  assert.match(await readFile(join(directory, 'config', 'gantry', 'keys', 'my-os', 'mine.pem'), 'utf8'), /BEGIN ENCRYPTED PRIVATE KEY/u);
  assert.equal((await run('theirs', 'theirs.pem')).code, 0);
  assert.match((await gantry(['key', 'list'], { cwd: workspace })).stdout, /theirs +ecdsa/u);
  assert.equal((await run('mine', 'mine.pem')).code, 3);
  const sec1 = await run('old', 'sec1.pem');
  assert.equal(sec1.code, 3);
  assert.match(sec1.stderr, /^error: Cannot .*SEC1.*openssl pkcs8/u);
  assert.ok(!(await readdir(join(workspace, 'keys'))).includes('old.pub.pem'));
});

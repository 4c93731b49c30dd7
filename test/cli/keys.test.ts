/** Keys at the command line that are not files: brought in, tried, and signed with. */
import assert from 'node:assert/strict';
import { chmod, cp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ADD, cliWorkspace, gantry, type CliResult } from '../support/cli.ts';
import { startAgent, type TestAgent } from '../support/ssh-agent.ts';

const KEYS = join('config', 'gantry', 'keys', 'my-os');

interface Person {
  readonly workspace: string;
  readonly keys: string;
  readonly directory: string;
  readonly agent: TestAgent;
  run(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<CliResult>;
}

/** Somebody with a root that is signed, and an ssh-agent. */
async function person(t: TestContext): Promise<Person | undefined> {
  const agent = await startAgent(t);
  if (agent === undefined) return undefined;
  const { directory, workspace } = await cliWorkspace(t);
  return {
    agent,
    directory,
    workspace,
    keys: join(directory, KEYS),
    run: async (args, env) => gantry(args, { cwd: workspace, env: { ...agent.env, ...env } }),
  };
}

function succeeds({ code, stderr, stdout }: CliResult): string {
  assert.equal(code, 0, stderr);
  return stdout;
}

/** The private half of a key moves out of the keys directory, into a file that only its URL leads to. */
async function moveAway({ keys, directory }: Person, name: string): Promise<string> {
  const away = join(directory, `${name} away.pem`);
  await cp(join(keys, `${name}.pem`), away);
  await chmod(away, 0o600);
  for (const end of ['pem', 'pub.pem']) await rm(join(keys, `${name}.${end}`));
  return `file://${away.replaceAll(' ', '%20')}`;
}

test('gantry key import keeps the URL of a key that stays where it is, and gantry sign uses it', async (t) => {
  const one = await person(t);
  if (one === undefined) return;
  const fingerprint = await one.agent.add('root', '-t', 'ed25519');
  const imported = JSON.parse(succeeds(await one.run(['key', 'import', 'root-d', `ssh-agent:${fingerprint}`, '--json']))) as object;
  assert.equal('reference' in imported && imported.reference, `ssh-agent:${fingerprint}`);
  assert.equal(await readFile(join(one.keys, 'root-d.signer'), 'utf8'), `ssh-agent:${fingerprint}\n`);
  assert.deepEqual(await readFile(join(one.keys, 'root-d.pub.pem')), await readFile(join(one.workspace, 'keys', 'root-d.pub.pem')));
  assert.match(succeeds(await one.run(['key', 'list'])), new RegExp(`root-d +ed25519 .* at hand: ssh-agent:`, 'u'));
  assert.match(succeeds(await one.run(['key', 'check', 'root-d'])), /✓ root-d signs \(ed25519\)/u);
  succeeds(await one.run(['root', 'add-key', 'root-d', '--role', 'root']));
  const signed = succeeds(await one.run(['sign']));
  assert.match(signed, /✓ root version 2: signed by .*root-d/u);
  succeeds(await one.run(['root', 'verify']));
});

test('gantry key import of a URL leaves nothing behind when the name is taken by another key', async (t) => {
  const one = await person(t);
  if (one === undefined) return;
  await one.agent.add('k', '-t', 'ed25519');
  const before = await readdir(one.keys);
  const { code, stderr } = await one.run(['key', 'import', 'root-a', 'ssh-agent:k']);
  assert.equal(code, 3);
  assert.match(stderr, /error: Cannot make the key "root-a": .* exists already; expected a new name\nhint: /u);
  assert.deepEqual(await readdir(one.keys), before);
  // A colleague's keys directory does not have it, the workspace does.
  await Promise.all(['root-a.pem', 'root-a.pub.pem'].map(async (file) => rm(join(one.keys, file))));
  const again = await one.run(['key', 'import', 'root-a', 'ssh-agent:k']);
  assert.match(again.stderr, /error: Cannot import the key "root-a": .* is another key; expected a new name, or the same key\nhint: /u);
  assert.deepEqual(
    await readdir(one.keys),
    before.filter((file) => !file.startsWith('root-a.')),
  );
});

test('gantry key import takes the key that the workspace knows by that name: a checkout of a CI', async (t) => {
  const one = await person(t);
  if (one === undefined) return;
  const url = await moveAway(one, 'online');
  succeeds(await one.run(['key', 'import', 'online', url]));
  succeeds(await one.run(ADD));
  succeeds(await one.run(['sign']));
  succeeds(await one.run(['publish']));
});

for (const [what, source, message] of [
  ['a kind of URL that there is not', 'hsm:token', /expected one of .*command:, /u],
  ['an agent that has no such key', 'ssh-agent:nobody', /the agent holds no key "nobody"/u],
  ['a program that is not there', 'command:/no/such/program', /there is no such program/u],
  ['a file that is not there', 'file:///no/such/key.pem', /there is no "\/no\/such\/key.pem"/u],
] as const) {
  test(`gantry key import says what is wrong with ${what}, in one line with a hint`, async (t) => {
    const one = await person(t);
    if (one === undefined) return;
    const before = await readdir(one.keys);
    const { code, stderr } = await one.run(['key', 'import', 'new', source]);
    assert.equal(code, 3);
    assert.match(stderr, /^error: Cannot .*\nhint: .*\n$/u);
    assert.match(stderr, message);
    assert.deepEqual(await readdir(one.keys), before);
    await assert.rejects(stat(join(one.workspace, 'keys', 'new.pub.pem')));
  });
}

test('gantry sign goes on with the other keys when one cannot be used, and says so', async (t) => {
  const one = await person(t);
  if (one === undefined) return;
  await one.agent.add('root', '-t', 'ed25519');
  succeeds(await one.run(['key', 'import', 'root-d', 'ssh-agent:root']));
  succeeds(await one.run(['root', 'add-key', 'root-d', '--role', 'root']));
  succeeds(await one.run(['root', 'set-threshold', 'root', '4']));
  await one.agent.ssh('ssh-add', '-q', '-D');
  const { code, stdout } = await one.run(['sign']);
  assert.equal(code, 3);
  assert.match(stdout, /✗ root version 2: signed by root-a, root-b, root-c\n {4}root-d did not sign: Cannot use the key "root-d"/u);
  assert.match(stdout, /3 of 4 signatures; missing 1 more of root-d/u);
  // Nothing is left that another key could do: now it is an error, and the signatures are still there.
  const again = await one.run(['sign']);
  assert.equal(again.code, 3);
  assert.match(again.stderr, /error: Cannot use the key "root-d": .*\nhint: gantry key check root-d /u);
  const { drafts } = JSON.parse(succeeds(await one.run(['draft', 'show', 'root', '--json']))) as {
    drafts: readonly { readonly roles: readonly { readonly tallies: readonly { readonly signedBy: readonly string[] }[] }[] }[];
  };
  assert.equal(drafts[0]?.roles[0]?.tallies.at(-1)?.signedBy.length, 3);
});

test('gantry sign --json names the keys that could not be used', async (t) => {
  const one = await person(t);
  if (one === undefined) return;
  succeeds(await one.run(['root', 'expire', 'in 30 days']));
  await chmod(join(one.keys, 'root-b.pem'), 0o644);
  const { stdout } = await one.run(['sign', '--json']);
  const { items } = JSON.parse(stdout) as {
    items: readonly { readonly failed: readonly { readonly code: string; readonly message: string }[] }[];
  };
  assert.equal(items[0]?.failed[0]?.code, 'files/exposed');
});

test('gantry sign --key uses no other key, and refuses a name that is not at hand', async (t) => {
  const one = await person(t);
  if (one === undefined) return;
  succeeds(await one.run(['root', 'set-threshold', 'root', '3']));
  const { items } = JSON.parse(succeeds(await one.run(['sign', '--key', 'root-b', '--json']))) as {
    items: readonly { readonly signedBy: readonly string[] }[];
  };
  assert.equal(items[0]?.signedBy.length, 1);
  const refused = await one.run(['sign', '--key', 'root-x']);
  assert.equal(refused.code, 3);
  assert.match(
    refused.stderr,
    /Cannot find the private key "root-x" in .*; expected one of online, root-a, root-b, root-c, targets\nhint: /u,
  );
});

test('gantry sign --signer signs with a key that is in no directory', async (t) => {
  const one = await person(t);
  if (one === undefined) return;
  const url = await moveAway(one, 'targets');
  succeeds(await one.run(ADD));
  assert.match(succeeds(await one.run(['sign'])), /none of the keys at hand may sign it/u);
  assert.match(succeeds(await one.run(['sign', '--signer', url])), /✓ metal\/x86_64 targets version 1: signed by targets/u);
});

test('gantry key check says which keys do not work, and changes nothing', async (t) => {
  const one = await person(t);
  if (one === undefined) return;
  await chmod(join(one.keys, 'root-b.pem'), 0o644);
  await writeFile(join(one.keys, 'root-c.pem'), 'nonsense');
  const { code, stdout } = await one.run(['key', 'check']);
  assert.equal(code, 3);
  assert.match(stdout, /✓ online signs \(ed25519\)\n✓ root-a signs \(ed25519\)\n✗ root-b: Cannot use the key .*mode is 644.*\n✗ root-c: /u);
  const only = await one.run(['key', 'check', 'root-a', '--json']);
  assert.equal(only.code, 0);
});

test('gantry key export-public writes a file that gantry key import takes, and never over another', async (t) => {
  const one = await person(t);
  if (one === undefined) return;
  const file = join(one.directory, 'root-a.pub.pem');
  succeeds(await one.run(['key', 'export-public', 'root-a', '-o', file]));
  assert.equal(await readFile(file, 'utf8'), succeeds(await one.run(['key', 'export-public', 'root-a'])));
  const { code, stderr } = await one.run(['key', 'export-public', 'root-b', '-o', file]);
  assert.equal(code, 6);
  assert.match(stderr, /^error: .*\nhint: /u);
  const root = JSON.parse(await readFile(join(one.workspace, '1.root.json'), 'utf8')) as { signed: { keys: Record<string, unknown> } };
  for (const [keyId, key] of Object.entries(
    JSON.parse(succeeds(await one.run(['key', 'export-public', 'root-a', '--format', 'tuf']))) as object,
  )) {
    assert.deepEqual(root.signed.keys[keyId], key);
  }
});

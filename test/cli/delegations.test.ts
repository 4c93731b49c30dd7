/** `gantry delegation` and `gantry target` as people type them. */
import assert from 'node:assert/strict';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ADD, cliWorkspace, gantry } from '../support/cli.ts';
import { deskOf, publish, type Desk } from '../support/desk.ts';

/** A release is published, and `apps` is delegated to `root-a` and `root-b`. */
async function delegating(t: TestContext): Promise<Desk & { readonly directory: string }> {
  const { directory, workspace } = await cliWorkspace(t);
  const desk = await deskOf(workspace);
  await desk.run(...ADD);
  await publish(desk);
  await desk.run('delegation', 'add', 'apps', '--keys', 'root-a,root-b', '--threshold', '2', '--path', 'apps/*');
  await publish(desk);
  await writeFile(join(workspace, 'editor.tar'), 'an editor');
  return { ...desk, directory };
}

interface Listed {
  readonly repositories: readonly {
    readonly targets: readonly { readonly path: string; readonly role: string }[];
    readonly roles: readonly { readonly name: string; readonly targets: number; readonly threshold: number }[];
  }[];
}

async function listed(desk: Desk, noun: 'target' | 'delegation'): Promise<Listed['repositories'][number]> {
  const [first] = ((await desk.json(noun, 'list')) as unknown as Listed).repositories;
  return first ?? assert.fail();
}

test('a delegated role is added, filled, shown, and taken back', async (t) => {
  const desk = await delegating(t);
  const { stdout } = await desk.run('target', 'add', 'apps/editor.tar=editor.tar', '--role', 'apps');
  assert.match(stdout, /^ {2}apps version 2\n {4}- adds target "apps\/editor\.tar", 9 bytes$/mu);
  assert.doesNotMatch(stdout, /targets version/u);
  const signed = await desk.run('sign');
  assert.match(signed.stdout, /✓ metal\/x86_64 apps version 2: signed by root-a, root-b\n✓ metal\/x86_64 snapshot version 3/u);
  await desk.run('publish');
  assert.deepEqual(
    (await listed(desk, 'target')).targets.filter(({ role }) => role === 'apps').map(({ path }) => path),
    ['apps/editor.tar'],
  );
  assert.match((await desk.run('status')).stdout, /^ {2}apps +2 .* 2 \(needs 2\): root-a, root-b$/mu);
  await desk.run('verify', '../public/metal/x86_64', '--targets', '--root', '1.root.json');
  const question = await gantry(['delegation', 'remove', 'apps'], { cwd: desk.workspace });
  assert.equal(question.code, 2);
  assert.match(question.stderr, /1 target of apps would be found no more\. Take it back\?/u);
  await desk.run('delegation', 'remove', 'apps', '--yes');
  await publish(desk);
  assert.deepEqual((await listed(desk, 'delegation')).roles, []);
  assert.deepEqual(
    (await listed(desk, 'target')).targets.filter(({ role }) => role === 'apps'),
    [],
  );
  await desk.run('lint', '../public/metal/x86_64');
  // The numbers of the old role are counted on: clients have seen them.
  await desk.run('delegation', 'add', 'apps', '--keys', 'root-c', '--path', 'apps/*');
  await publish(desk);
  assert.match((await desk.run('status')).stdout, /^ {2}apps +3 .* 1 \(needs 1\): root-c$/mu);
  await desk.run('verify', '../public/metal/x86_64', '--targets', '--root', '1.root.json');
});

test('the keys of a delegated role sign elsewhere, and what they sign comes back in a file', async (t) => {
  const desk = await delegating(t);
  const keys = join(desk.directory, 'config', 'gantry', 'keys', 'my-os');
  const away = join(desk.directory, 'away');
  await mkdir(away);
  for (const end of ['pem', 'pub.pem']) {
    await cp(join(keys, `root-b.${end}`), join(away, `root-b.${end}`));
    await rm(join(keys, `root-b.${end}`));
  }
  await desk.run('target', 'add', 'apps/editor.tar=editor.tar', '--role', 'apps');
  assert.match((await desk.run('sign')).stdout, /apps version 2: signed by root-a\n {4}1 of 2 signatures; missing 1 more of root-b/u);
  const file = join(desk.directory, 'apps.draft');
  await desk.run('draft', 'export', 'metal/x86_64', '-o', file);
  const there = await gantry(['sign', file, '--root', join(desk.workspace, '1.root.json'), '--keys-dir', away], { cwd: desk.directory });
  assert.equal(there.code, 0, there.stderr);
  await desk.run('draft', 'import', file);
  await publish(desk);
  assert.equal((await listed(desk, 'delegation')).roles[0]?.targets, 1);
});

test('a key of a delegated role is replaced, and its threshold changed', async (t) => {
  const desk = await delegating(t);
  await desk.run('delegation', 'rotate-key', 'apps', 'root-b', 'root-c');
  await desk.run('delegation', 'set-threshold', 'apps', '1');
  const { stdout } = await desk.run('sign');
  assert.match(stdout, /apps version 2: signed by root-a, root-c/u);
  await desk.run('publish');
  assert.equal((await listed(desk, 'delegation')).roles[0]?.threshold, 1);
});

test('targets are split into bins, and everything is found as before', async (t) => {
  const desk = await delegating(t);
  await desk.run('target', 'add', 'one.txt=editor.tar', 'two.txt=editor.tar');
  await publish(desk);
  const { stdout, stderr } = await desk.run('delegation', 'split', '--bins', '4', '--keys', 'online');
  assert.match(stderr, /^Helped: .*\nCosts: tough fetches all 4 bins at each look, and go-tuf finds nothing/mu);
  assert.match(stdout, /bin-0 version 1[\s\S]*bin-3 version 1[\s\S]*targets version 4/u);
  await publish(desk);
  const { targets } = await listed(desk, 'target');
  assert.deepEqual(
    targets
      .filter(({ role }) => role.startsWith('bin-'))
      .map(({ path }) => path)
      .toSorted(),
    ['one.txt', 'two.txt'],
  );
  await desk.run('target', 'add', 'three.txt=editor.tar');
  assert.match((await desk.run('sign')).stdout, /^✓ metal\/x86_64 bin-\d version 2: signed by online\n✓ metal\/x86_64 snapshot/u);
  await desk.run('publish');
  await desk.run('target', 'remove', 'one.txt');
  await publish(desk);
  await desk.run('verify', '../public/metal/x86_64', '--targets', '--root', '1.root.json');
  assert.equal((await desk.run('lint', '../public/metal/x86_64')).stdout.match(/hash prefixes/gu)?.length, 1);
});

for (const [what, args, code, message] of [
  [
    'a role that there is not',
    ['delegation', 'rotate-key', 'nope', 'root-a', 'root-c'],
    3,
    /there is no such delegation; expected one of apps/u,
  ],
  ['a key that does not sign it', ['delegation', 'rotate-key', 'apps', 'root-c', 'online'], 3, /does not sign it; expected one of/u],
  ['a key that there is not', ['delegation', 'add', 'x', '--keys', 'nobody', '--path', 'x'], 3, /Cannot find the key "nobody"/u],
  ['a threshold above its keys', ['delegation', 'set-threshold', 'apps', '3'], 3, /expected a threshold from 1 to 2/u],
  ['the threshold that it has', ['delegation', 'set-threshold', 'apps', '2'], 3, /its threshold is 2 already/u],
  ['a threshold that is no number', ['delegation', 'set-threshold', 'apps', 'two'], 2, /expected a whole number/u],
  ['the name of a top-level role', ['delegation', 'add', 'targets', '--keys', 'root-a', '--path', 'x'], 3, /expected another name/u],
  [
    'a pattern that clients read differently',
    ['delegation', 'add', 'x', '--keys', 'root-a', '--path', '[a-z]'],
    3,
    /Cannot sign this targets role/u,
  ],
  ['no path', ['delegation', 'add', 'x', '--keys', 'root-a'], 2, /--path/u],
  ['three bins', ['delegation', 'split', '--bins', '3', '--keys', 'online'], 3, /expected a power of two/u],
  [
    'a target outside of its paths',
    ['target', 'add', 'editor.tar', '--role', 'apps'],
    3,
    /is not delegated to it: its paths are "apps\/\*"/u,
  ],
  ['the manifest', ['target', 'add', 'manifest.json=editor.tar'], 3, /hosts need it for an update/u],
  ['a target that there is not', ['target', 'remove', 'nothing'], 3, /Cannot remove the target "nothing"/u],
  ['a target that the role does not list', ['target', 'remove', 'apps/x', '--role', 'apps'], 3, /"apps" does not list it/u],
  ['a file that there is not', ['target', 'add', 'nofile'], 3, /it does not exist/u],
] as const) {
  test(`gantry ${args[0]} ${args[1]} refuses ${what}, and nothing is drafted`, async (t) => {
    await (await delegating(t)).refused(code, message, ...args);
  });
}

test('gantry delegation add --dry-run shows the draft, and drafts nothing', async (t) => {
  const desk = await delegating(t);
  const { stdout } = await desk.run('delegation', 'add', 'docs', '--keys', 'root-a', '--path', 'docs/*', '--dry-run');
  assert.match(stdout, /- delegates "docs\/\*" to docs, signed by 1 of root-a[\s\S]*Nothing was drafted\./u);
  assert.match((await desk.run('sign')).stdout, /Nothing waits/u);
});

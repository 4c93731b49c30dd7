/** Drafts between people at the command line: one drafts, others sign elsewhere, the files come back. */
import assert from 'node:assert/strict';
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ADD, cliWorkspace, gantry } from '../support/cli.ts';
import { deskOf, drafts, type Desk } from '../support/desk.ts';
import { temporaryDirectory } from '../support/engineer.ts';

const KEYS = join('config', 'gantry', 'keys', 'my-os');

interface Office {
  readonly home: Desk;
  /** Their own copy of the workspace as it is now, with these private keys and no others. */
  readonly holder: (name: string, keys: readonly string[]) => Promise<Desk>;
  readonly file: (name: string) => string;
}

async function office(t: TestContext, { keysAtHome }: { readonly keysAtHome: readonly string[] }): Promise<Office> {
  const { directory, workspace } = await cliWorkspace(t);
  const all = join(directory, 'all-keys');
  await cp(join(directory, KEYS), all, { recursive: true });
  const leave = async (folder: string, keys: readonly string[]): Promise<void> => {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    for (const key of keys) for (const end of ['pem', 'pub.pem']) await cp(join(all, `${key}.${end}`), join(folder, `${key}.${end}`));
  };
  await leave(join(directory, KEYS), keysAtHome);
  return {
    home: await deskOf(workspace),
    file: (name) => join(directory, name),
    async holder(_, keys) {
      const own = await temporaryDirectory(t);
      await cp(workspace, join(own, 'my-os'), { recursive: true });
      await rm(join(own, 'my-os', 'drafts'), { recursive: true, force: true });
      await leave(join(own, KEYS), keys);
      return deskOf(join(own, 'my-os'));
    },
  };
}

interface Shown {
  readonly drafts: readonly {
    readonly state: string;
    readonly roles: readonly {
      readonly role: string;
      readonly digest: string;
      readonly sentences: readonly string[];
      readonly tallies: readonly { readonly need: number; readonly signedBy: readonly string[] }[];
    }[];
  }[];
}

async function shown(desk: Desk, ...what: readonly string[]): Promise<Shown['drafts'][number]> {
  const [draft] = ((await desk.json('draft', 'show', ...what)) as unknown as Shown).drafts;
  assert.ok(draft !== undefined);
  return draft;
}

test('a release is signed where the targets key is, and comes back in one file', async (t) => {
  const { home, holder, file } = await office(t, { keysAtHome: ['online'] });
  await home.run(...ADD);
  await home.run('draft', 'export', '-o', file('out.draft'));
  const there = await holder('tina', ['targets']);
  const taken = await there.run('draft', 'import', file('out.draft'));
  assert.match(taken.stdout, /- adds release 1\.0\.0 of metal\/x86_64 with 3 images/u);
  assert.equal((await shown(there)).roles[0]?.digest, (await shown(home)).roles[0]?.digest);
  await there.run('sign');
  await there.run('draft', 'export', 'metal/x86_64', '-o', file('back.draft'));
  await home.run('draft', 'import', file('back.draft'));
  assert.deepEqual(
    (await shown(home)).roles.map(({ role, tallies }) => [role, tallies[0]?.signedBy.length]),
    [
      ['targets', 1],
      ['snapshot', 0],
    ],
  );
  await home.run('sign');
  await home.run('publish');
});

test('gantry sign FILE signs exactly what waits, outside a workspace with the root that is trusted', async (t) => {
  const { home, holder, file } = await office(t, { keysAtHome: ['online'] });
  await home.run(...ADD);
  await home.run('draft', 'export', '-o', file('out.draft'));
  const keys = ['--keys-dir', join((await holder('tina', ['targets'])).workspace, '..', KEYS)];
  const elsewhere = await temporaryDirectory(t);
  const refused = await gantry(['sign', file('out.draft'), ...keys], { cwd: elsewhere });
  assert.match(refused.stderr, /expected --root FILE, a root that you trust/u);
  const root = ['--root', join(home.workspace, '1.root.json')];
  const signed = await gantry(['sign', file('out.draft'), ...keys, ...root], { cwd: elsewhere });
  assert.equal(signed.code, 0, signed.stderr);
  assert.match(signed.stderr, /- adds release 1\.0\.0 of metal\/x86_64 with 3 images/u);
  assert.match(signed.stdout, /^Next: take it back, then: gantry draft import /mu);
  await home.run('draft', 'import', file('out.draft'));
  // What follows from it is drafted at home, by the policy at home.
  const { items } = (await home.json('sign')) as unknown as { items: readonly { role: string; reason: string }[] };
  assert.deepEqual(
    items.map(({ role, reason }) => [role, reason]),
    [
      ['snapshot', 'signed'],
      ['timestamp', 'signed'],
    ],
  );
  await home.run('publish');
});

test('gantry draft import refuses a file with a signature that does not count, and stores nothing of any file', async (t) => {
  const { home, holder, file } = await office(t, { keysAtHome: ['online'] });
  await home.run(...ADD);
  await home.run('draft', 'export', '-o', file('out.draft'));
  const there = await holder('tina', ['targets']);
  await there.run('draft', 'import', file('out.draft'));
  await there.run('sign');
  await there.run('draft', 'export', '-o', file('good.draft'));
  const hostile = (await readFile(file('good.draft'), 'utf8')).replace(
    /"sig": "(.)/u,
    (_, digit: string) => `"sig": "${digit === '0' ? '1' : '0'}`,
  );
  await writeFile(file('bad.draft'), hostile);
  await home.refused(1, /it is not a valid signature by a key of this role/u, 'draft', 'import', file('good.draft'), file('bad.draft'));
  await home.refused(1, /it is not a valid signature/u, 'draft', 'merge', file('good.draft'), file('bad.draft'), '-o', file('both.draft'));
  await writeFile(file('torn.draft'), hostile.slice(0, 500));
  await home.refused(3, /the file: it is not JSON/u, 'draft', 'import', file('torn.draft'));
  await home.refused(3, /the file: it is not JSON/u, 'draft', 'show', file('torn.draft'));
  assert.ok(!(await readdir(join(file('out.draft'), '..'))).includes('both.draft'));
});

test('gantry draft merge gives the same file in any order', async (t) => {
  const { home, holder, file } = await office(t, { keysAtHome: ['root-a', 'root-b', 'targets', 'online'] });
  await rm(join(home.workspace, '1.root.json'));
  const names = [
    '--root',
    'root-a,root-b,root-c',
    '--threshold',
    'root=3',
    '--targets',
    'targets',
    '--snapshot',
    'online',
    '--timestamp',
    'online',
  ];
  await home.run('root', 'init', ...names);
  await home.run('draft', 'export', 'root', '-o', file('out.draft'));
  for (const key of ['root-a', 'root-b', 'root-c']) {
    const there = await holder(key, [key]);
    await there.run('draft', 'import', file('out.draft'));
    await there.run('sign');
    await there.run('draft', 'export', 'root', '-o', file(`${key}.draft`));
  }
  const orders = [
    ['root-a', 'root-b', 'root-c'],
    ['root-c', 'root-a', 'root-b'],
    ['root-b', 'root-b', 'root-a', 'root-c'],
  ];
  const merged = new Set<string>();
  for (const [index, order] of orders.entries()) {
    await home.run('draft', 'merge', ...order.map((name) => file(`${name}.draft`)), '-o', file(`${index}.draft`));
    merged.add(await readFile(file(`${index}.draft`), 'utf8'));
  }
  assert.equal(merged.size, 1);
  assert.match((await home.run('draft', 'import', file('0.draft'))).stdout, /^Root version 1 is complete\.$/mu);
  assert.deepEqual(await drafts(home.workspace), []);
  assert.match((await home.run('draft', 'import', file('1.draft'))).stdout, /^Root version 1 is complete already\.$/mu);
});

test('a draft of another product or repository is refused, and so is another draft than the one that waits', async (t) => {
  const { home, file } = await office(t, { keysAtHome: ['targets', 'online'] });
  await home.run(...ADD);
  await home.run('draft', 'export', '-o', file('one.draft'));
  await home.refused(6, /it exists already/u, 'draft', 'export', '-o', file('one.draft'));
  const text = await readFile(file('one.draft'), 'utf8');
  await writeFile(file('product.draft'), text.replace('"product": "my-os"', '"product": "other"'));
  await home.refused(3, /it is of the product "other"; expected "my-os"/u, 'draft', 'import', file('product.draft'));
  await writeFile(file('arch.draft'), text.replace('"arch": "x86_64"', '"arch": "aarch64"'));
  await home.refused(3, /it is for "metal\/aarch64"; expected one of metal\/x86_64/u, 'draft', 'import', file('arch.draft'));
  await home.run('draft', 'cancel', '--yes');
  await home.run('release', 'add', '1.0.1', ...ADD.slice(3));
  await home.refused(3, /Cannot merge the drafts: the changes are not the same/u, 'draft', 'import', file('one.draft'));
});

test('a draft in the place of another repository is refused', async (t) => {
  const { home } = await office(t, { keysAtHome: ['targets', 'online'] });
  await home.run(...ADD);
  const path = join(home.workspace, 'drafts', 'metal', 'x86_64.json');
  await writeFile(path, (await readFile(path, 'utf8')).replace('"arch": "x86_64"', '"arch": "aarch64"'));
  await home.refused(3, /it was made for "metal\/aarch64"; expected one of this repository/u, 'sign');
});

test('cancelling a draft leaves the images of drafts that gantry.toml does not name any more', async (t) => {
  const { home } = await office(t, { keysAtHome: ['targets', 'online'] });
  await home.run(...ADD);
  const [from, to] = [join(home.workspace, 'drafts', 'metal', 'x86_64.json'), join(home.workspace, 'drafts', 'old')];
  await mkdir(to);
  const text = await readFile(from, 'utf8');
  await writeFile(join(to, 'riscv64.json'), text.replace('"arch": "x86_64"', '"arch": "riscv64"'));
  await home.run('draft', 'cancel', '--yes');
  const left = await readdir(join(home.workspace, '.gantry', 'objects'));
  const { changes } = JSON.parse(text) as {
    readonly changes: readonly { readonly file?: { readonly hashes: { readonly sha256: string } } }[];
  };
  const needed = changes.flatMap(({ file }) => file?.hashes.sha256 ?? []);
  assert.ok(needed.length > 0);
  assert.deepEqual(
    needed.filter((digest) => !left.includes(digest)),
    [],
  );
});

test('gantry root init asks before it throws signatures of a first root away', async (t) => {
  const { home } = await office(t, { keysAtHome: ['root-a'] });
  await rm(join(home.workspace, '1.root.json'));
  const init = [
    'root',
    'init',
    '--root',
    'root-a,root-b,root-c',
    '--threshold',
    'root=2',
    '--targets',
    'targets',
    '--snapshot',
    'online',
    '--timestamp',
    'online',
  ];
  await home.run(...init);
  await home.run(...init);
  await home.run('sign');
  await home.refused(2, /A first root waits with 1 signature, which would be lost\. Replace it\?/u, ...init);
  await home.run(...init, '--yes');
  assert.deepEqual((await shown(home, 'root')).roles[0]?.tallies[0]?.signedBy, []);
});

test('signatures of targets stay when somebody renewed the timestamp meanwhile, and gantry draft show says so', async (t) => {
  const { home, holder, file } = await office(t, { keysAtHome: ['targets', 'online'] });
  await home.run(...ADD);
  await home.run('sign');
  await home.run('publish');
  const release = await holder('release', ['targets']);
  // Both act on one store, which lies beside the first workspace.
  const store = ['--store', join(home.workspace, '..', 'public')];
  await release.run('release', 'add', '1.1.0', ...ADD.slice(3), ...store);
  await release.run('sign', ...store);
  const signed = (await shown(release, ...store)).roles[0];
  await home.run('refresh', '--online');
  await home.run('sign');
  await home.run('publish');
  const view = await shown(release, ...store);
  assert.equal(view.state, 'overtaken');
  assert.equal(view.roles[0]?.digest, signed?.digest);
  assert.deepEqual(view.roles[0]?.tallies[0]?.signedBy.length, 1);
  await release.refused(5, /somebody has published since/u, 'draft', 'export', '-o', file('late.draft'), ...store);
  const report = await release.run('sign', ...store);
  assert.match(report.stdout, /Somebody else has published metal\/x86_64 since/u);
  assert.doesNotMatch(report.stdout, /targets version 2/u);
});

test('gantry draft show tells that a draft conflicts with what was published since', async (t) => {
  const { home, holder } = await office(t, { keysAtHome: ['targets', 'online'] });
  await home.run(...ADD);
  const other = await holder('other', ['targets', 'online']);
  const store = ['--store', join(home.workspace, '..', 'public')];
  await other.run('release', 'add', '2.0.0', ...ADD.slice(3), ...store);
  for (const command of ['sign', 'publish']) await other.run(command, ...store);
  const view = await shown(home);
  assert.equal(view.state, 'conflict');
  const { stdout } = await gantry(['draft', 'show'], { cwd: home.workspace });
  assert.match(stdout, /It cannot be made again on top of what is there now: Cannot add release\s+1\.0\.0/u);
  assert.match(stdout, /^Next: gantry draft cancel$/mu);
});

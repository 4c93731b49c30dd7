/** Look-ups through delegated roles: who may say what, in which order, and what is fetched and kept for it. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { METADATA } from '../support/simulator.ts';
import { simulatedHost, type SimulatedHost } from '../support/simulated-host.ts';
import { createWorld, newSigner, type World } from '../support/tuf-world.ts';
import type { RepositoryClient } from '../../lib/client/index.ts';

const CONTENT = Buffer.from('content');

async function listed(world: World, role: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) world.role(role).targets.set(path, CONTENT);
}

function asked({ server }: SimulatedHost): readonly string[] {
  const files = server.requests.filter((path) => path.startsWith(METADATA)).map((path) => path.slice(METADATA.length));
  server.requests.length = 0;
  return files;
}

function namesOf(targets: readonly { readonly path: { memberName(): string } }[]): readonly string[] {
  return targets.map(({ path }) => path.memberName()).toSorted();
}

async function find(client: RepositoryClient, path: string): Promise<string> {
  return client.target(path).then(
    ({ digest }) => digest.hex.slice(0, 4),
    (error: { readonly code?: string }) => String(error.code),
  );
}

test('target() finds what a delegated role lists, and asks for its file once', async (t) => {
  const world = await createWorld();
  await world.delegate('targets', { name: 'team', terminating: false, paths: ['team/*'] });
  await listed(world, 'team', ['team/app.img']);
  await world.publish();
  const host = await simulatedHost(t, world);
  const client = await host.refreshed();
  asked(host);
  const target = await client.target('team/app.img');
  assert.deepEqual([target.lengthBytes, target.sha256], [CONTENT.length, hash('sha256', CONTENT)]);
  assert.deepEqual(asked(host), ['1.team.json']);
  await client.target('team/app.img');
  assert.deepEqual(asked(host), []);
  assert.deepEqual(await readdir(join(host.stateDirectory, 'delegated')), ['team.json']);
  await client.download(target, join(host.directory, 'app.img'));
  const later = await host.refreshed();
  asked(host);
  await later.target('team/app.img');
  assert.deepEqual(asked(host), []);
});

test('target() fetches a role again when the stored file was damaged, and when there is a new version', async (t) => {
  const world = await createWorld();
  await world.delegate('targets', { name: 'team', terminating: false, paths: ['*'] });
  await listed(world, 'team', ['app.img']);
  await world.publish();
  const host = await simulatedHost(t, world);
  await (await host.refreshed()).target('app.img');
  await writeFile(join(host.stateDirectory, 'delegated', 'team.json'), '{');
  asked(host);
  await (await host.refreshed()).target('app.img');
  assert.ok(asked(host).includes('1.team.json'));
  await world.publish();
  await (await host.refreshed()).target('app.img');
  assert.ok(asked(host).includes('2.team.json'));
});

test('refresh() removes stored roles that the repository has no more', async (t) => {
  const world = await createWorld();
  for (const name of ['stays', 'goes']) {
    await world.delegate('targets', { name, terminating: false, paths: [`${name}.img`] });
    await listed(world, name, [`${name}.img`]);
  }
  await world.publish();
  const host = await simulatedHost(t, world);
  const client = await host.refreshed();
  for (const name of ['stays', 'goes']) await client.target(`${name}.img`);
  world.role('targets').delegations = world.role('targets').delegations.slice(0, 1);
  // No client takes a snapshot that misses a role, unless the key of the snapshot is new.
  world.role('snapshot').signers = [await newSigner()];
  await world.publish({}, ['root']);
  await world.publish(
    {
      snapshot: {
        signed: ({ meta, ...rest }) => ({ ...rest, meta: { 'targets.json': meta['targets.json'], 'stays.json': meta['stays.json'] } }),
      },
    },
    ['targets', 'stays', 'snapshot', 'timestamp'],
  );
  await host.refreshed();
  assert.deepEqual(await readdir(join(host.stateDirectory, 'delegated')), ['stays.json']);
});

/** A role name, then what it lists, whom it delegates which paths to. */
type Tree = Readonly<
  Record<string, { readonly lists?: readonly string[]; readonly to?: Readonly<Record<string, readonly string[] | 'end'>> }>
>;

async function treeWorld(tree: Tree): Promise<World> {
  const world = await createWorld();
  for (const [parent, { to = {} }] of Object.entries(tree)) {
    for (const [name, paths] of Object.entries(to)) {
      await world.delegate(parent, { name, terminating: paths === 'end', paths: paths === 'end' ? ['*'] : paths });
    }
  }
  for (const [role, { lists = [] }] of Object.entries(tree)) {
    for (const path of lists) world.role(role).targets.set(path, Buffer.from(role));
  }
  await world.publish();
  return world;
}

const ALL = ['*'];
const CASES: Readonly<Record<string, { readonly tree: Tree; readonly asks: readonly string[]; readonly finds?: string }>> = {
  'goes into depth first': {
    tree: { targets: { to: { A: ALL, B: ALL } }, A: { to: { C: ALL } }, B: {}, C: {} },
    asks: ['A', 'C', 'B'],
  },
  'stops at the first role that lists it': {
    tree: { targets: { to: { A: ALL, B: ALL } }, A: { lists: ['x'] }, B: { lists: ['x'] } },
    asks: ['A'],
    finds: 'A',
  },
  'prefers the top role': { tree: { targets: { lists: ['x'], to: { A: ALL } }, A: { lists: ['x'] } }, asks: [], finds: 'targets' },
  'passes over roles whose paths do not match': {
    tree: { targets: { to: { A: ['y'], B: ['?'] } }, A: { lists: ['x'] }, B: { lists: ['x'] } },
    asks: ['B'],
    finds: 'B',
  },
  'does not let a star cross a slash': { tree: { targets: { to: { A: ['*'] } }, A: { lists: ['a/x'] } }, asks: [] },
  'goes nowhere behind a terminating role': {
    tree: { targets: { to: { A: 'end', B: ALL } }, A: { to: { C: ALL } }, B: { lists: ['x'] }, C: {} },
    asks: ['A', 'C'],
  },
  'visits a role of a cycle once': {
    tree: { targets: { to: { A: ALL } }, A: { to: { B: ALL } }, B: { to: { A: ALL, C: ALL } }, C: { lists: ['x'] } },
    asks: ['A', 'B', 'C'],
    finds: 'C',
  },
  'visits a role that delegates to itself once': { tree: { targets: { to: { A: ALL } }, A: { to: { A: ALL } } }, asks: ['A'] },
  'visits the end of a diamond once': {
    tree: { targets: { to: { A: ALL, B: ALL } }, A: { to: { C: ALL } }, B: { to: { C: ALL } }, C: {} },
    asks: ['A', 'C', 'B'],
  },
};

for (const [what, { tree, asks, finds }] of Object.entries(CASES)) {
  test(`target() ${what}`, async (t) => {
    const host = await simulatedHost(t, await treeWorld(tree));
    const client = await host.refreshed();
    asked(host);
    const path = what.includes('slash') ? 'a/x' : 'x';
    assert.equal(await find(client, path), finds === undefined ? 'client/target-unknown' : hash('sha256', finds).slice(0, 4));
    assert.deepEqual(
      asked(host),
      asks.map((role) => `1.${role}.json`),
    );
  });
}

test('target() gives up after 33 roles', async (t) => {
  const names = Array.from({ length: 40 }, (_, index) => `role${index}`);
  const tree: Record<string, Tree[string]> = { targets: { to: { role0: ALL } } };
  names.forEach((name, index) => (tree[name] = index === 39 ? { lists: ['x'] } : { to: { [`role${index + 1}`]: ALL } }));
  const host = await simulatedHost(t, await treeWorld(tree));
  const client = await host.refreshed();
  asked(host);
  await assert.rejects(client.target('x'), { code: 'client/target-unknown' });
  assert.equal(asked(host).length, 32);
});

test('target() looks into hash bins', async (t) => {
  const world = await createWorld();
  const bins = ['0', '4', '8', 'c'].map((first, index) => ({
    name: `bin-${index}`,
    prefixes: [0, 1, 2, 3].map((next) => (Number.parseInt(first, 16) + next).toString(16)),
  }));
  for (const { name, prefixes } of bins) await world.delegate('targets', { name, terminating: true, path_hash_prefixes: prefixes });
  const paths = Array.from({ length: 20 }, (_, index) => `image-${index}`);
  for (const path of paths) {
    const bin = bins.find(({ prefixes }) => prefixes.includes(hash('sha256', path).slice(0, 1)));
    await listed(world, bin?.name ?? '', [path]);
  }
  await world.publish();
  const host = await simulatedHost(t, world);
  const client = await host.refreshed();
  for (const path of paths) assert.equal((await client.target(path)).path.memberName(), path);
  assert.deepEqual(namesOf(await client.allTargets()), [...paths, 'manifest.json'].toSorted());
  assert.deepEqual(namesOf(client.targets()), ['manifest.json']);
});

test('allTargets() lists what target() finds, and nothing that a role has no right to list', async (t) => {
  const world = await treeWorld({
    targets: { lists: ['top'], to: { A: ['a?'], B: ALL } },
    A: { lists: ['a1', 'b9', 'top'], to: { C: ['a2', 'z'] } },
    B: { lists: ['b1', 'a1'] },
    C: { lists: ['a2', 'z'] },
  });
  const host = await simulatedHost(t, world);
  const client = await host.refreshed();
  assert.deepEqual(namesOf(await client.allTargets()), ['a1', 'a2', 'b1', 'manifest.json', 'top']);
  assert.equal((await client.target('a1')).sha256, hash('sha256', 'A'));
});

test('target() refuses a delegated role with a code and its name, and looks up others', async (t) => {
  const world = await createWorld();
  for (const name of ['good', 'bad/../role']) {
    await world.delegate('targets', { name, terminating: false, paths: [`${name.slice(0, 3)}*`] });
    await listed(world, name, [`${name.slice(0, 3)}-file`]);
  }
  await world.publish({ 'bad/../role': { signers: world.role('good').signers } });
  const host = await simulatedHost(t, world);
  const client = await host.refreshed();
  await assert.rejects(client.target('bad-file'), {
    code: 'client/untrusted',
    details: { role: 'bad/../role' },
    message: /^Cannot trust the "bad\/\.\.\/role" metadata: bad\/\.\.\/role was signed by 0\/1 keys$/u,
  });
  assert.equal(await find(client, 'goo-file'), hash('sha256', CONTENT).slice(0, 4));
  await assert.rejects(client.allTargets(), { code: 'client/untrusted' });
  assert.deepEqual(await readdir(join(host.stateDirectory, 'delegated')), ['good.json']);
  await world.publish();
  const later = await host.refreshed();
  assert.equal(await find(later, 'bad-file'), hash('sha256', CONTENT).slice(0, 4));
  assert.deepEqual((await readdir(join(host.stateDirectory, 'delegated'))).toSorted(), ['bad%2F..%2Frole.json', 'good.json']);
});

test('target() throws aborted when the signal fires while a role is fetched', async (t) => {
  const world = await createWorld();
  await world.delegate('targets', { name: 'team', terminating: false, paths: ['*'] });
  await world.publish();
  const host = await simulatedHost(t, world);
  const client = await host.refreshed();
  const controller = new AbortController();
  host.server.lies.set('1.team.json', () => controller.abort());
  await assert.rejects(client.target('x', { signal: controller.signal }), { code: 'aborted' });
});

/** Delegated roles from the draft to the host. */
import assert from 'node:assert/strict';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { openRepository, type RepositoryClient } from '../../lib/client/index.ts';
import { prepareEdit, saveEdit } from '../../lib/publish/edit.ts';
import { readLive } from '../../lib/publish/live.ts';
import { allDelegated } from '../../lib/publish/live-state.ts';
import { checkPlan, publishRepository, stateRepository } from '../../lib/publish/publish.ts';
import { planRefresh, refreshRepository } from '../../lib/publish/refresh.ts';
import { readStatus } from '../../lib/publish/status.ts';
import { startStaticServer } from '../../lib/server/static-server.ts';
import type { Change } from '../../lib/repository/draft.ts';
import { delegatedIn } from '../../lib/repository/draft-roles.ts';
import { binOf } from '../../lib/repository/delegations.ts';
import { draftPath } from '../../lib/workspace/draft-files.ts';
import { keyIdOf } from '../../lib/tuf/key.ts';
import { addObject } from '../../lib/workspace/objects.ts';
import { engineerWithRelease, keyOf, METAL, publish, sign, type Engineer } from '../support/engineer.ts';

const DAY_MS = 86_400_000;

async function change(engineer: Engineer, ...changes: readonly Change[]): Promise<void> {
  const edit = await prepareEdit(engineer.workspace, engineer.store, METAL, {
    now: engineer.now,
    changesFor: () => changes,
    delegated: () => delegatedIn(changes),
  });
  await saveEdit(engineer.workspace, edit);
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

async function put(engineer: Engineer, path: string, role?: string): Promise<Change> {
  const { sha256, lengthBytes } = await addObject(engineer.workspace, bytesOf(`content of ${path}`));
  return { kind: 'put-target', path, file: { length: lengthBytes, hashes: { sha256 } }, ...(role === undefined ? {} : { role }) };
}

function addApps(engineer: Engineer): Change {
  const key = keyOf(engineer, 'root-a');
  return { kind: 'add-delegation', name: 'apps', paths: ['apps/*'], terminating: false, keys: { [keyIdOf(key)]: key }, threshold: 1 };
}

/** Release 1.0.0, and the role `apps` with one target. */
async function engineerWithApps(t: TestContext): Promise<Engineer> {
  const engineer = await engineerWithRelease(t, '1.0.0');
  await change(engineer, addApps(engineer), await put(engineer, 'apps/a', 'apps'));
  await sign(engineer);
  await publish(engineer);
  return engineer;
}

async function hostOf(t: TestContext, engineer: Engineer): Promise<RepositoryClient> {
  const server = await startStaticServer({ directory: engineer.storeDirectory });
  t.after(async () => server.close());
  const client = await openRepository({
    root: await readFile(join(engineer.workspace.directory, '1.root.json')),
    metadataUrl: new URL('metal/x86_64/', server.url),
    stateDirectory: join(engineer.directory, `host-${Math.random()}`),
    now: () => engineer.now,
  });
  t.after(() => client.close());
  await client.refresh();
  return client;
}

async function metadata({ storeDirectory }: Engineer): Promise<ReadonlySet<string>> {
  return new Set(await readdir(join(storeDirectory, 'metal', 'x86_64')));
}

test('a host finds what a delegated role lists, and a target more rewrites that role and no other of targets', async (t) => {
  const engineer = await engineerWithApps(t);
  const before = await metadata(engineer);
  await change(engineer, await put(engineer, 'apps/b', 'apps'));
  await sign(engineer);
  await publish(engineer);
  const added = [...(await metadata(engineer))].filter((file) => !before.has(file));
  assert.deepEqual(added.toSorted(), ['2.apps.json', '3.snapshot.json']);
  const host = await hostOf(t, engineer);
  for (const path of ['apps/a', 'apps/b']) {
    const target = await host.target(path);
    assert.equal(target.lengthBytes, `content of ${path}`.length);
    await host.check([target]);
  }
  assert.equal((await host.availableUpdates({ variant: 'metal', arch: 'x86_64', seed: 1 })).length, 1);
});

test('delegated roles are written before the targets role that names them, and after the files that they list', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  await change(engineer, addApps(engineer), await put(engineer, 'apps/a', 'apps'));
  await sign(engineer);
  const { plan } = await stateRepository(engineer.workspace, engineer.store, METAL, engineer.now);
  const order = plan.writes.map(({ path }) => /[^/]*$/u.exec(path)?.[0].replace(/^[0-9a-f]{64}\./u, ''));
  const at = (name: string): number => order.indexOf(name);
  assert.ok(
    at('apps/a'.slice(5)) < at('1.apps.json') && at('1.apps.json') < at('2.targets.json') && at('2.targets.json') < at('2.snapshot.json'),
    order.join(),
  );
  assert.equal(order.at(-1), 'timestamp.json');
});

test('a number that a crashed publisher took of a delegated role is skipped', async (t) => {
  const engineer = await engineerWithApps(t);
  await writeFile(join(engineer.storeDirectory, 'metal', 'x86_64', '2.apps.json'), 'left behind');
  await change(engineer, await put(engineer, 'apps/b', 'apps'));
  await sign(engineer);
  await publish(engineer);
  assert.equal(
    (await readLive(engineer.workspace, engineer.store, METAL, { delegated: allDelegated })).trusted.delegated.get('apps')?.role.version,
    3,
  );
  await (await hostOf(t, engineer)).target('apps/b');
});

test('a number that is taken after signing makes the draft anew, with the next one', async (t) => {
  const engineer = await engineerWithApps(t);
  await change(engineer, await put(engineer, 'apps/b', 'apps'));
  await sign(engineer);
  await writeFile(join(engineer.storeDirectory, 'metal', 'x86_64', '2.apps.json'), 'of somebody else');
  await publishRepository(engineer.workspace, engineer.store, METAL, {
    now: engineer.now,
    signAgain: async () => void (await sign(engineer)),
  });
  await (await hostOf(t, engineer)).target('apps/b');
});

test('a plan notices that the file of a delegated role is gone, and a target of it', async (t) => {
  const engineer = await engineerWithApps(t);
  await change(engineer, { kind: 'renew-targets' });
  await sign(engineer);
  const { stated } = await stateRepository(engineer.workspace, engineer.store, METAL, engineer.now);
  const check = async (): Promise<unknown> => checkPlan(engineer.workspace, engineer.store, { stated, file: 'plan.json' }, engineer.now);
  await check();
  const targets = join(engineer.storeDirectory, 'targets', 'apps');
  const [file = ''] = await readdir(targets);
  const bytes = await readFile(join(targets, file));
  await rm(join(targets, file));
  await assert.rejects(check(), { code: 'publish/target-lost' });
  await writeFile(join(targets, file), bytes);
  await rm(join(engineer.storeDirectory, 'metal', 'x86_64', '1.apps.json'));
  await assert.rejects(check(), { code: 'store/missing', message: /1\.apps\.json/u });
});

test('a delegated role that somebody replaced is not believed', async (t) => {
  const engineer = await engineerWithApps(t);
  const path = join(engineer.storeDirectory, 'metal', 'x86_64', '1.apps.json');
  const text = await readFile(path, 'utf8');
  const read = async (): Promise<unknown> => readLive(engineer.workspace, engineer.store, METAL, { delegated: allDelegated });
  await writeFile(
    path,
    text.replace(/"length": ?\d/u, (found) => `${found.slice(0, -1)}7`),
  );
  await assert.rejects(read(), { code: 'tuf/threshold' });
  await writeFile(path, `${text} `);
  await assert.rejects(read(), { code: 'store/too-long' });
});

test('what somebody else published meanwhile stays, and the delegation is made again on top of it', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  await change(engineer, addApps(engineer), await put(engineer, 'apps/a', 'apps'));
  const path = draftPath(engineer.workspace, METAL);
  const draft = await readFile(path);
  await rm(path);
  await refreshRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, roles: 'all' });
  await sign(engineer);
  await publish(engineer);
  await writeFile(path, draft);
  await change(engineer, await put(engineer, 'apps/a', 'apps'));
  await sign(engineer);
  await publish(engineer);
  const { trusted } = await readLive(engineer.workspace, engineer.store, METAL);
  assert.equal(trusted.published?.targets.role.version, 3);
  await (await hostOf(t, engineer)).target('apps/a');
});

test('a delegated role is due, renewed and shown like the targets role, by its own keys', async (t) => {
  const engineer = await engineerWithApps(t);
  const now = new Date(engineer.now.getTime() + 11 * DAY_MS);
  const plan = await planRefresh(engineer.workspace, engineer.store, METAL, { now, roles: 'due', expired: 'renew' });
  assert.deepEqual(
    plan.renews.map(({ role }) => role),
    ['apps', 'targets', 'snapshot', 'timestamp'],
  );
  assert.deepEqual(
    plan.writes.map((path) => path.split('/').at(-1)),
    ['2.apps.json', '3.targets.json', '3.snapshot.json', 'timestamp.json'],
  );
  const apps = keyIdOf(keyOf(engineer, 'root-a'));
  const left = await planRefresh(engineer.workspace, engineer.store, METAL, {
    now,
    roles: 'due',
    expired: 'renew',
    hasKeys: ({ keyids }) => !keyids.includes(apps),
  });
  assert.deepEqual(
    left.left.map(({ role }) => role),
    ['apps'],
  );
  assert.deepEqual(
    left.renews.map(({ role }) => role),
    ['targets', 'snapshot', 'timestamp'],
  );
  const { repositories } = await readStatus(engineer.workspace, engineer.store, { now, canSign: async () => true });
  assert.deepEqual(
    repositories[0]?.live.map(({ role, urgency }) => [role, urgency]),
    [
      ['root', 'fine'],
      ['targets', 'due'],
      ['apps', 'due'],
      ['snapshot', 'due'],
      ['timestamp', 'overdue'],
    ],
  );
});

test('a split moves no file, and a target more rewrites one bin', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  const key = keyOf(engineer, 'online');
  await change(engineer, ...(await Promise.all(['a', 'b', 'c', 'd', 'e'].map(async (path) => put(engineer, path)))));
  await sign(engineer);
  await publish(engineer);
  await change(engineer, { kind: 'split-targets', bins: 4, keys: { [keyIdOf(key)]: key }, threshold: 1 });
  await sign(engineer);
  const { plan } = await stateRepository(engineer.workspace, engineer.store, METAL, engineer.now);
  assert.deepEqual(
    plan.writes.filter(({ kind }) => kind === 'target').map(({ path }) => path),
    [],
  );
  await publish(engineer);
  const before = await metadata(engineer);
  const { delegations } = (await readLive(engineer.workspace, engineer.store, METAL)).trusted.published?.targets.role ?? assert.fail();
  const bin = binOf(delegations, 'f') ?? assert.fail();
  await change(engineer, await put(engineer, 'f', bin));
  await sign(engineer);
  await publish(engineer);
  const added = [...(await metadata(engineer))].filter((file) => !before.has(file));
  assert.deepEqual(added.toSorted(), [`2.${bin}.json`, '4.snapshot.json']);
  const host = await hostOf(t, engineer);
  await host.check(await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map(async (path) => host.target(path))));
  assert.equal((await host.availableUpdates({ variant: 'metal', arch: 'x86_64', seed: 1 })).length, 1);
});

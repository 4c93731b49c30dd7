/** Repositories of other tools, taken over. */
import assert from 'node:assert/strict';
import { cp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import { importRepository, type Import, type ImportSource } from '../../lib/publish/import.ts';
import { readLive } from '../../lib/publish/live.ts';
import { createDirectoryStore } from '../../lib/store/directory.ts';
import { readRootChain } from '../../lib/workspace/root-files.ts';
import { namedKeys } from '../../lib/workspace/key-ring.ts';
import { createWorkspace } from '../../lib/workspace/create.ts';
import type { Workspace } from '../../lib/workspace/workspace.ts';
import { addVersion, engineerWithRelease, engineerWithRoot, METAL, newEngineer, sign, temporaryDirectory } from '../support/engineer.ts';

const FIXTURE = join(import.meta.dirname, '..', '..', 'fixtures', 'repositories', 'tuftool');
const NOW = new Date('2026-06-01T00:00:00Z');

async function newWorkspace(t: TestContext): Promise<{ readonly workspace: Workspace; readonly store: string }> {
  const directory = await temporaryDirectory(t);
  const store = join(directory, 'public');
  return { workspace: await createWorkspace(join(directory, 'my-os'), { product: 'my-os', repositories: [METAL], store }), store };
}

/** A copy of what tuftool wrote. */
async function fromTuftool(t: TestContext): Promise<{ readonly folder: string; readonly source: ImportSource }> {
  const folder = join(await temporaryDirectory(t), 'tuftool');
  await cp(FIXTURE, folder, { recursive: true });
  return { folder, source: await sourceIn(folder) };
}

async function sourceIn(folder: string): Promise<ImportSource> {
  return {
    metadataUrl: join(folder, 'metadata'),
    targetsUrl: join(folder, 'targets'),
    root: await readFile(join(folder, 'metadata', '1.root.json')),
    repository: METAL,
    mode: 'copy',
    now: NOW,
    concurrency: 2,
    signal: new AbortController().signal,
  };
}

async function take(workspace: Workspace, store: string, source: ImportSource): Promise<Import> {
  return importRepository(workspace, createDirectoryStore(store), source);
}

async function filesIn(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const files = await Promise.all(names.map(async (name) => ((await stat(join(folder, name))).isFile() ? [name] : [])));
  return files
    .flat()
    .filter((name) => !name.split('/').some((part) => part.startsWith('.')))
    .toSorted();
}

test('importRepository() takes over what tuftool wrote, byte for byte, and the next versions go on from it', async (t) => {
  const { workspace, store } = await newWorkspace(t);
  const { folder, source } = await fromTuftool(t);
  const { clone, keys, sent, findings } = await take(workspace, store, source);
  assert.equal(clone.listed, 2);
  assert.equal(sent, 6);
  assert.deepEqual(
    keys.map(({ name }) => name).toSorted(),
    (await namedKeys(workspace)).map(({ name }) => name),
  );
  // What tuftool dates is not what gantry would write.
  assert.deepEqual([...new Set(findings.map(({ rule }) => rule))], ['tuf-2']);
  for (const file of ['1.root.json', '3.targets.json', '4.snapshot.json', 'timestamp.json']) {
    assert.deepEqual(await readFile(join(store, 'metal', 'x86_64', file)), await readFile(join(folder, 'metadata', file)));
  }
  assert.equal((await readRootChain(workspace))?.latest.role.version, 1);
  const live = await readLive(workspace, createDirectoryStore(store), METAL);
  assert.deepEqual(live.versions, { targets: 4, snapshot: 5, timestamp: 6 });
  assert.equal((await filesIn(join(workspace.directory, '.gantry', 'import'))).length, 0);
});

test('importRepository() asked twice does nothing the second time', async (t) => {
  const { workspace, store } = await newWorkspace(t);
  const { source } = await fromTuftool(t);
  await take(workspace, store, source);
  const before = await filesIn(store);
  const { sent, keys } = await take(workspace, store, source);
  assert.equal(sent, 0);
  assert.ok(keys.every(({ known }) => known));
  assert.deepEqual(await filesIn(store), before);
});

test('importRepository() changes nothing on a dry run', async (t) => {
  const { workspace, store } = await newWorkspace(t);
  const before = await filesIn(workspace.directory);
  const { clone, keys } = await take(workspace, store, { ...(await fromTuftool(t)).source, mode: 'dry-run' });
  assert.equal(clone.fetched.length, 2);
  assert.ok(keys.length > 0 && keys.every(({ known }) => !known));
  assert.deepEqual(await filesIn(store), []);
  assert.deepEqual(await filesIn(workspace.directory), before);
});

test('importRepository() reads through the links that tuftool create makes of targets', async (t) => {
  const { workspace, store } = await newWorkspace(t);
  const { folder, source } = await fromTuftool(t);
  const elsewhere = await temporaryDirectory(t);
  const [name = ''] = await readdir(join(folder, 'targets'));
  await cp(join(folder, 'targets', name), join(elsewhere, 'image'));
  const links = join(elsewhere, 'targets');
  await cp(join(folder, 'targets'), links, { recursive: true, filter: (path) => !path.endsWith(name) });
  await symlink(join(elsewhere, 'image'), join(links, name));
  await take(workspace, store, { ...source, targetsUrl: links });
  assert.equal((await filesIn(join(store, 'targets'))).length, 2);
});

for (const [what, spoil] of [
  ['a target is missing', async (folder: string) => emptyFolder(join(folder, 'targets'))],
  ['a target has other bytes', async (folder: string) => overwrite(join(folder, 'targets'))],
  ['a role does not verify', async (folder: string) => spoilJson(join(folder, 'metadata', 'timestamp.json'))],
] as const) {
  test(`importRepository() takes nothing over when ${what}`, async (t) => {
    const { workspace, store } = await newWorkspace(t);
    const { folder, source } = await fromTuftool(t);
    await spoil(folder);
    await assert.rejects(
      take(workspace, store, source),
      (error: unknown) => isGantryError(error) && /^(?:client|http|tuf)\//u.test(error.code),
    );
    assert.deepEqual(await filesIn(store), []);
    assert.equal(await readRootChain(workspace), undefined);
    assert.deepEqual(await namedKeys(workspace), []);
  });
}

async function emptyFolder(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name));
}

async function overwrite(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const { size } = await stat(join(folder, name));
    await writeFile(join(folder, name), Buffer.alloc(size));
  }
}

async function spoilJson(path: string): Promise<void> {
  await writeFile(path, (await readFile(path, 'utf8')).replace('"version": 5', '"version": 6'));
}

test('importRepository() refuses a repository that has expired, and takes it when it is judged by an earlier day', async (t) => {
  const { workspace, store } = await newWorkspace(t);
  const { source } = await fromTuftool(t);
  await assert.rejects(take(workspace, store, { ...source, now: new Date('2101-01-01T00:00:00Z') }), { code: 'client/expired' });
  await take(workspace, store, source);
});

test('importRepository() refuses a workspace that has another root chain, or a draft', async (t) => {
  const { source } = await fromTuftool(t);
  const other = await engineerWithRoot(t);
  await assert.rejects(take(other.workspace, join(other.directory, 'new'), source), {
    code: 'workspace/exists',
    message: /another 1\.root\.json/u,
  });
  const drafting = await engineerWithRoot(t);
  await addVersion(drafting, '1.0.0');
  await assert.rejects(take(drafting.workspace, join(drafting.directory, 'new'), source), {
    code: 'workspace/exists',
    message: /a draft of it waits/u,
  });
});

test('importRepository() refuses a store that has another publication, and leaves it as it is', async (t) => {
  const theirs = await engineerWithRelease(t, '1.0.0');
  const { workspace } = await newWorkspace(t);
  const before = await filesIn(theirs.storeDirectory);
  await assert.rejects(take(workspace, theirs.storeDirectory, (await fromTuftool(t)).source), { code: 'publish/conflict' });
  assert.deepEqual(await filesIn(theirs.storeDirectory), before);
  assert.equal(await readRootChain(workspace), undefined);
});

test('importRepository() rebuilds a workspace that was lost, from what it had published', async (t) => {
  const lost = await engineerWithRelease(t, '1.0.0');
  const { workspace } = await newEngineer(t);
  const folder = join(lost.storeDirectory, 'metal', 'x86_64');
  await importRepository(workspace, lost.store, {
    ...(await sourceIn(FIXTURE)),
    metadataUrl: folder,
    targetsUrl: join(lost.storeDirectory, 'targets'),
    root: await readFile(join(folder, '1.root.json')),
    now: lost.now,
  });
  const again = { ...lost, workspace };
  await addVersion(again, '1.1.0');
  const { items } = await sign(again);
  assert.ok(items.length > 0 && items.every(({ missing }) => missing.length === 0));
});

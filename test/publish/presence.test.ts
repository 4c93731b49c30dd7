/** What must lie in a store, and what may, before anything is sent. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { checkPlan, planRepository, publishPlan, publishRepository, stateRepository } from '../../lib/publish/publish.ts';
import { METAL, addVersion, engineerWithRelease, engineerWithRoot, sign, type Engineer } from '../support/engineer.ts';

const FILE = 'plan.json';

async function storedFiles({ storeDirectory }: Engineer): Promise<readonly string[]> {
  return (await readdir(storeDirectory, { recursive: true })).toSorted();
}

async function put({ storeDirectory }: Engineer, path: string): Promise<void> {
  await mkdir(dirname(join(storeDirectory, path)), { recursive: true });
  await writeFile(join(storeDirectory, path), 'theirs');
}

async function nextVersion(engineer: Engineer): Promise<void> {
  await addVersion(engineer, '1.1.0');
  await sign(engineer);
}

for (const [what, damage] of [
  ['gone', async (path: string) => rm(path)],
  ['cut short', async (path: string) => truncate(path, 10)],
] as const) {
  test(`publishPlan() and checkPlan() refuse when a file of an earlier publication is ${what}, and nothing is written`, async (t) => {
    const engineer = await engineerWithRelease(t, '1.0.0');
    await nextVersion(engineer);
    const { workspace, store, storeDirectory, now } = engineer;
    const { stated } = await stateRepository(workspace, store, METAL, now);
    const old = (await readdir(join(storeDirectory, 'targets'))).find((name) => name.includes('1.0.0') && name.endsWith('root.ext4.zst'));
    assert.ok(old !== undefined);
    const path = join(storeDirectory, 'targets', old);
    const bytes = await readFile(path);
    await damage(path);
    const before = await storedFiles(engineer);
    const refusal = { code: 'publish/target-lost', details: { path: `targets/${old}` } };
    await assert.rejects(publishPlan(workspace, store, { stated, file: FILE }, { now }), refusal);
    await assert.rejects(checkPlan(workspace, store, { stated, file: FILE }, now), refusal);
    assert.deepEqual(await storedFiles(engineer), before);
    await writeFile(path, bytes);
    await publishPlan(workspace, store, { stated, file: FILE }, { now });
  });
}

test('publishPlan() lists the targets once, and publishRepository() never', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  await nextVersion(engineer);
  const { workspace, now } = engineer;
  const listed: string[] = [];
  const store = {
    ...engineer.store,
    list: (prefix: string) => {
      listed.push(prefix);
      return engineer.store.list(prefix);
    },
  };
  const { stated } = await stateRepository(workspace, store, METAL, now);
  await publishPlan(workspace, store, { stated, file: FILE }, { now });
  assert.deepEqual(listed, ['targets/']);
  await addVersion(engineer, '1.2.0');
  await sign(engineer);
  await publishRepository(workspace, store, METAL, { now });
  assert.deepEqual(listed, ['targets/']);
});

for (const foreign of ['index.html', 'targets/readme.txt', 'metal/x86_64/notes.txt']) {
  test(`publishRepository() does not begin a repository where ${foreign} lies, unless that is allowed`, async (t) => {
    const engineer = await engineerWithRoot(t);
    await nextVersion(engineer);
    await put(engineer, foreign);
    const { workspace, store, now } = engineer;
    const before = await storedFiles(engineer);
    const refusal = { code: 'publish/foreign-objects', details: { location: store.description, path: foreign } };
    await assert.rejects(publishRepository(workspace, store, METAL, { now }), refusal);
    await assert.rejects(planRepository(workspace, store, METAL, now), refusal);
    await assert.rejects(stateRepository(workspace, store, METAL, now), refusal);
    assert.deepEqual(await storedFiles(engineer), before);
    await publishRepository(workspace, store, METAL, { now, others: 'allowed' });
    assert.equal(await readFile(join(engineer.storeDirectory, foreign), 'utf8'), 'theirs');
  });
}

test('publishRepository() begins a repository beside others, and never minds what comes later', async (t) => {
  const engineer = await engineerWithRoot(t);
  await nextVersion(engineer);
  for (const path of ['other/aarch64/1.root.json', 'other/aarch64/timestamp.json', `targets/${'ab'.repeat(32)}.image.zst`]) {
    await put(engineer, path);
  }
  const { workspace, store, now } = engineer;
  await publishRepository(workspace, store, METAL, { now });
  await put(engineer, 'index.html');
  await addVersion(engineer, '1.2.0');
  await sign(engineer);
  await publishRepository(workspace, store, METAL, { now });
});

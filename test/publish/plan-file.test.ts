/** Plans that are written, looked at, and carried out later: exactly, or not at all. */
import assert from 'node:assert/strict';
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isGantryError } from '../../lib/errors.ts';
import { readLive } from '../../lib/publish/live.ts';
import { decodePlans, encodePlans, type StatedPlan } from '../../lib/publish/plan-file.ts';
import { checkPlan, publishPlan, publishRepository, stateRepository, type Publication } from '../../lib/publish/publish.ts';
import { addRelease } from '../../lib/publish/release.ts';
import { refreshRepository } from '../../lib/publish/refresh.ts';
import { readDraft } from '../../lib/workspace/draft-files.ts';
import { openWorkspace } from '../../lib/workspace/workspace.ts';
import {
  addVersion,
  type Engineer,
  engineerWithRelease,
  engineerWithRoot,
  METAL,
  publish,
  sign,
  writeImages,
} from '../support/engineer.ts';
import { failingStore, interruptedStore } from '../support/faulty-store.ts';

const FILE = 'plan.json';

/** Through the file and back. */
async function planned(engineer: Engineer): Promise<StatedPlan> {
  const { stated } = await stateRepository(engineer.workspace, engineer.store, METAL, engineer.now);
  const { plans } = decodePlans(encodePlans({ store: engineer.store.description, plans: [stated] }, engineer.now), FILE);
  const [plan] = plans;
  assert.ok(plan !== undefined);
  return plan;
}

async function carryOut(engineer: Engineer, stated: StatedPlan, store = engineer.store): Promise<Publication> {
  return publishPlan(engineer.workspace, store, { stated, file: FILE }, { now: engineer.now });
}

async function withDraft(engineer: Engineer, version: string): Promise<Engineer> {
  await addVersion(engineer, version);
  await sign(engineer);
  return engineer;
}

async function storedFiles({ storeDirectory }: Engineer): Promise<readonly string[]> {
  return (await readdir(storeDirectory, { recursive: true })).filter((name) => !name.startsWith('.gantry')).toSorted();
}

async function offered(engineer: Engineer): Promise<readonly string[]> {
  const live = await readLive(engineer.workspace, engineer.store, METAL);
  return live.trusted.manifest.updates.map(({ version }) => version);
}

test('publishPlan() writes what the file says, in its order', async (t) => {
  const engineer = await withDraft(await engineerWithRelease(t, '1.0.0'), '1.1.0');
  const stated = await planned(engineer);
  const { applied } = await carryOut(engineer, stated);
  assert.deepEqual(
    applied.map(({ write }) => write.path),
    stated.writes.map(({ path }) => path),
  );
  assert.equal(stated.writes.at(-1)?.kind, 'timestamp');
  assert.deepEqual(await offered(engineer), ['1.0.0', '1.1.0']);
  assert.equal(await readDraft(engineer.workspace, METAL), undefined);
});

test('publishPlan() says that all is live when it is asked a second time, and writes nothing', async (t) => {
  const engineer = await withDraft(await engineerWithRoot(t), '1.0.0');
  const stated = await planned(engineer);
  await carryOut(engineer, stated);
  const before = await storedFiles(engineer);
  assert.deepEqual((await carryOut(engineer, stated)).applied, []);
  assert.deepEqual(await storedFiles(engineer), before);
});

test('publishPlan() removes the objects of a draft that is live when it was cut off before that', async (t) => {
  const engineer = await withDraft(await engineerWithRoot(t), '1.0.0');
  const stated = await planned(engineer);
  const objects = join(engineer.workspace.directory, '.gantry', 'objects');
  await cp(objects, `${objects}.kept`, { recursive: true });
  await carryOut(engineer, stated);
  await rm(objects, { recursive: true, force: true });
  await cp(`${objects}.kept`, objects, { recursive: true });
  assert.notDeepEqual(await readdir(objects), []);
  assert.deepEqual((await carryOut(engineer, stated)).applied, []);
  assert.deepEqual(await readdir(objects), []);
});

test('publishPlan() goes on where it was cut off, at every write', async (t) => {
  const engineer = await withDraft(await engineerWithRoot(t), '1.0.0');
  const stated = await planned(engineer);
  for (let step = 0; step < stated.writes.length; step += 1) {
    await rm(engineer.storeDirectory, { recursive: true, force: true });
    await assert.rejects(carryOut(engineer, stated, failingStore(engineer.store, step, 'before')), { code: 'store/failed' });
    const { applied } = await carryOut(engineer, stated);
    assert.equal(applied.at(-1)?.write.kind, 'timestamp', `step ${step}`);
    assert.deepEqual(await offered(engineer), ['1.0.0']);
    // Another round needs the draft's objects, which a publication forgets.
    if (step + 1 < stated.writes.length) {
      await rm(join(engineer.workspace.directory, '.gantry', 'published'), { recursive: true });
      await mkdir(join(engineer.workspace.directory, '.gantry', 'objects'), { recursive: true });
      for (const { write } of applied) {
        if (write.bytes === undefined)
          await cp(join(engineer.storeDirectory, write.path), join(engineer.workspace.directory, '.gantry', 'objects', write.sha256));
      }
    }
  }
});

test('publishPlan() refuses when somebody else published since, and says who, what and when', async (t) => {
  const engineer = await withDraft(await engineerWithRelease(t, '1.0.0'), '1.1.0');
  const stated = await planned(engineer);
  await publish(engineer);
  await withDraft(engineer, '1.2.0');
  await publish(engineer);
  const before = await storedFiles(engineer);
  const check = (error: unknown): boolean => {
    assert.ok(isGantryError(error, 'publish/conflict'), String(error));
    assert.deepEqual(error.details.published?.releases, ['1.2.0', '1.1.0', '1.0.0']);
    assert.deepEqual(error.details.published?.signedBy, ['online', 'targets']);
    assert.equal(error.details.published?.timestamp, 3);
    assert.match(
      error.message,
      /timestamp 3 was written at \d{4}-\d\d-\d\dT[\d:]+Z, signed by online and targets; it offers 1\.2\.0, 1\.1\.0, 1\.0\.0\. Nothing that hosts see was changed$/u,
    );
    return true;
  };
  await assert.rejects(carryOut(engineer, stated), check);
  await assert.rejects(checkPlan(engineer.workspace, engineer.store, { stated, file: FILE }, engineer.now), check);
  assert.deepEqual(await storedFiles(engineer), before);
});

test('publishPlan() loses to somebody who publishes while it writes', async (t) => {
  const engineer = await withDraft(await engineerWithRelease(t, '1.0.0'), '1.1.0');
  const directory = join(engineer.directory, 'colleague');
  await cp(engineer.workspace.directory, directory, { recursive: true });
  const colleague = { ...engineer, workspace: await openWorkspace(directory), now: new Date(engineer.now.getTime() + 5000) };
  await rm(join(directory, 'drafts', 'metal'), { recursive: true });
  await refreshRepository(colleague.workspace, colleague.store, METAL, { now: colleague.now, roles: 'online' });
  await sign(colleague);
  const stated = await planned(engineer);
  const racing = interruptedStore(
    engineer.store,
    (path) => path.endsWith('timestamp.json'),
    async () => void (await publish(colleague)),
  );
  await assert.rejects(carryOut(engineer, stated, racing), {
    code: 'publish/conflict',
    message: /signed by online and targets; it offers 1\.0\.0\./u,
  });
  assert.deepEqual(await offered(engineer), ['1.0.0']);
});

test('publishPlan() refuses a file that says something else than its metadata makes', async (t) => {
  const engineer = await withDraft(await engineerWithRelease(t, '1.0.0'), '1.1.0');
  const stated = await planned(engineer);
  const before = await storedFiles(engineer);
  const [first, ...others] = stated.writes;
  assert.ok(first !== undefined);
  for (const writes of [
    others,
    [...stated.writes, first],
    [{ ...first, sha256: '0'.repeat(64) }, ...others],
    [{ ...first, length: 1 }, ...others],
  ]) {
    await assert.rejects(carryOut(engineer, { ...stated, writes }), {
      code: 'publish/bad-plan',
      message: /is not what its signed metadata makes/u,
    });
  }
  const { draft } = stated;
  assert.ok(draft?.roles.targets !== undefined);
  const forged = { ...draft, roles: { ...draft.roles, targets: { ...draft.roles.targets, signatures: [] } } };
  await assert.rejects(carryOut(engineer, { ...stated, draft: forged }), { code: 'repository/incomplete' });
  assert.deepEqual(await storedFiles(engineer), before);
});

test('publishPlan() wants every file before it sends the first, here or in the store', async (t) => {
  const engineer = await withDraft(await engineerWithRelease(t, '1.0.0'), '1.1.0');
  const stated = await planned(engineer);
  const image = stated.writes.find(({ path }) => path.includes('root.ext4.zst'));
  assert.ok(image !== undefined);
  const object = join(engineer.workspace.directory, '.gantry', 'objects', image.sha256);
  const bytes = await readFile(object);
  await rm(object);
  const before = await storedFiles(engineer);
  await assert.rejects(carryOut(engineer, stated), { code: 'workspace/object-missing' });
  assert.deepEqual(await storedFiles(engineer), before);
  await writeFile(join(engineer.storeDirectory, image.path), bytes);
  await carryOut(engineer, stated);
  assert.deepEqual(await offered(engineer), ['1.0.0', '1.1.0']);
});

test('decodePlans() gives a plan or a typed error for any text', async (t) => {
  const engineer = await withDraft(await engineerWithRoot(t), '1.0.0');
  const { stated } = await stateRepository(engineer.workspace, engineer.store, METAL, engineer.now);
  const bytes = encodePlans({ store: 'x', plans: [stated] }, engineer.now);
  const refused = (changed: Uint8Array): void => {
    try {
      decodePlans(changed, FILE);
    } catch (error) {
      assert.ok(isGantryError(error), String(error));
    }
  };
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
      const changed = Uint8Array.from(bytes);
      changed[at] = byte;
      refused(changed);
    }),
    { numRuns: 300 },
  );
  for (const text of ['', '{}', '[]', 'null', '{"format":2}']) {
    assert.throws(() => decodePlans(Buffer.from(text), FILE), { code: 'publish/bad-plan', message: /^Cannot use the plan "plan\.json": / });
  }
});

test('publishRepository() signs again and goes on when a crashed publisher has taken its version number', async (t) => {
  const engineer = await withDraft(await engineerWithRelease(t, '1.0.0'), '1.1.0');
  const folder = join(engineer.storeDirectory, 'metal', 'x86_64');
  await writeFile(join(folder, '2.targets.json'), '{"left": "by somebody"}');
  let signed = 0;
  const signAgain = async (): Promise<void> => {
    signed += 1;
    await sign(engineer);
  };
  await publishRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, signAgain });
  assert.equal(signed, 1);
  const live = await readLive(engineer.workspace, engineer.store, METAL);
  assert.equal(live.trusted.published?.targets.role.version, 3);
  assert.equal(await readFile(join(folder, '2.targets.json'), 'utf8'), '{"left": "by somebody"}');
});

test('publishRepository() never signs again on top of what somebody else published', async (t) => {
  const engineer = await withDraft(await engineerWithRelease(t, '1.0.0'), '1.1.0');
  const directory = join(engineer.directory, 'colleague');
  await cp(engineer.workspace.directory, directory, { recursive: true });
  const colleague = { ...engineer, workspace: await openWorkspace(directory), now: new Date(engineer.now.getTime() + 5000) };
  await rm(join(directory, 'drafts', 'metal'), { recursive: true });
  await withDraft(colleague, '1.0.5');
  const racing = interruptedStore(
    engineer.store,
    (path) => path.startsWith('targets/'),
    async () => void (await publish(colleague)),
  );
  const signAgain = async (): Promise<void> => assert.fail('it signed');
  await assert.rejects(publishRepository(engineer.workspace, racing, METAL, { now: engineer.now, signAgain }), {
    code: 'publish/conflict',
  });
  assert.deepEqual(await offered(engineer), ['1.0.0', '1.0.5']);
});

test('publishPlan() keeps what later plans of its file need when their drafts lie nowhere else', async (t) => {
  const usual = await engineerWithRoot(t);
  const cloud = { variant: 'cloud', arch: 'x86_64' };
  const { config } = usual.workspace;
  const workspace = { ...usual.workspace, config: { ...config, repositories: [METAL, cloud] } };
  const engineer = { ...usual, workspace };
  for (const repository of [METAL, cloud]) {
    const images = await writeImages(engineer.directory);
    await addRelease(workspace, engineer.store, { repository, version: '1.0.0', images, compression: 'zstd', level: 3, now: engineer.now });
  }
  await sign(engineer);
  const plans: StatedPlan[] = [];
  for (const repository of [METAL, cloud]) {
    plans.push((await stateRepository(workspace, engineer.store, repository, engineer.now)).stated);
  }
  await rm(join(workspace.directory, 'drafts'), { recursive: true });
  for (const [index, stated] of plans.entries()) {
    const job = { stated, file: FILE, later: plans.slice(index + 1) };
    await publishPlan(workspace, engineer.store, job, { now: engineer.now });
    // Whoever was cut off asks again.
    await publishPlan(workspace, engineer.store, job, { now: engineer.now });
  }
  const live = await readLive(workspace, engineer.store, cloud);
  assert.equal(live.trusted.manifest.updates.length, 1);
  assert.deepEqual(await readdir(join(workspace.directory, '.gantry', 'objects')), []);
});

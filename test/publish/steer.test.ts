import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { prepareEdit, removalOf, saveEdit } from '../../lib/publish/edit.ts';
import { readCurrent } from '../../lib/publish/live.ts';
import { planRepository, publishRepository, stateRepository } from '../../lib/publish/publish.ts';
import { addRelease } from '../../lib/publish/release.ts';
import { readStatus } from '../../lib/publish/status.ts';
import type { Change } from '../../lib/repository/draft.ts';
import { scheduleOf, readySeeds } from '../../lib/release/eligibility.ts';
import { findUpdate } from '../../lib/release/find.ts';
import type { Update } from '../../lib/release/manifest.ts';
import { instantOf } from '../../lib/release/wave-time.ts';
import { draftPath } from '../../lib/workspace/draft-files.ts';
import { METAL, addVersion, engineerWithRelease, publish, sign, writeImages, type Engineer } from '../support/engineer.ts';
import { interruptedStore } from '../support/faulty-store.ts';

const HOUR = 3_600_000;
const name = (version: string): typeof METAL & { readonly version: string } => ({ ...METAL, version });
const later = (engineer: Engineer, ms: number): Date => new Date(engineer.now.getTime() + ms);

/** Half of the fleet within an hour from the engineer's now, the rest after ten. */
function waves(engineer: Engineer): Update['waves'] {
  const at = (hours: number): string => later(engineer, hours * HOUR).toISOString();
  return { '0': at(0), '1024': at(1), '1025': at(10) };
}

async function edit(engineer: Engineer, changes: readonly Change[]): Promise<void> {
  const prepared = await prepareEdit(engineer.workspace, engineer.store, METAL, { now: engineer.now, changesFor: () => changes });
  await saveEdit(engineer.workspace, prepared);
}

async function liveUpdate(engineer: Engineer, version: string): Promise<Update> {
  const { live } = await readCurrent(engineer.workspace, engineer.store, METAL);
  return findUpdate(live.trusted.manifest, name(version));
}

async function underWay(t: Parameters<typeof engineerWithRelease>[0]): Promise<Engineer> {
  const engineer = await engineerWithRelease(t, '1.1.0');
  await addVersion(engineer, '1.2.0');
  await edit(engineer, [{ kind: 'set-waves', update: name('1.2.0'), waves: waves(engineer) }]);
  await sign(engineer);
  await publish(engineer);
  return engineer;
}

function pauseAt(engineer: Engineer, at: Date): Change {
  return { kind: 'pause-waves', update: name('1.2.0'), from: engineer.now.toISOString(), at: at.toISOString() };
}

test('publishRepository() publishes a pause before its moment', async (t) => {
  const engineer = await underWay(t);
  const at = later(engineer, HOUR / 4);
  await edit(engineer, [pauseAt(engineer, at)]);
  await sign(engineer);
  await publishRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, clock: () => engineer.now });
  const update = await liveUpdate(engineer, '1.2.0');
  assert.equal(update.gantry?.paused?.at, '2026-06-01T12:15:00Z');
  assert.equal(readySeeds(scheduleOf(update.waves), instantOf(later(engineer, 1000 * HOUR))), 257);
});

test('publishRepository() refuses a pause whose moment has passed, and the live repository stays as it was', async (t) => {
  const engineer = await underWay(t);
  await edit(engineer, [pauseAt(engineer, later(engineer, HOUR / 4))]);
  await sign(engineer);
  const before = await readFile(join(engineer.storeDirectory, 'metal', 'x86_64', 'timestamp.json'));
  const late = publishRepository(engineer.workspace, engineer.store, METAL, {
    now: engineer.now,
    clock: () => later(engineer, HOUR / 4 + 1),
  });
  await assert.rejects(late, {
    code: 'publish/too-late',
    message:
      'Cannot publish metal/x86_64: its draft steers a rollout at 2026-06-01T12:15:00Z, and it is 2026-06-01T12:15:00Z by now; expected it to be published before that moment',
  });
  assert.deepEqual(await readFile(join(engineer.storeDirectory, 'metal', 'x86_64', 'timestamp.json')), before);
  assert.ok((await stat(draftPath(engineer.workspace, METAL))).isFile());
});

test('planRepository(), stateRepository() and readStatus() tell that a draft came too late', async (t) => {
  const engineer = await underWay(t);
  const { workspace, store } = engineer;
  await edit(engineer, [pauseAt(engineer, later(engineer, HOUR / 4))]);
  await sign(engineer);
  const statusAt = async (now: Date): Promise<readonly unknown[]> => {
    const { next, repositories } = await readStatus(workspace, store, { now, canSign: async () => true });
    return [next, repositories[0]?.draft?.publishBefore, repositories[0]?.draft?.late.map(({ kind }) => kind)];
  };
  assert.equal((await planRepository(workspace, store, METAL, engineer.now)).writes.length > 0, true);
  assert.deepEqual(await statusAt(later(engineer, HOUR / 4)), ['publish', '2026-06-01T12:15:00Z', []]);
  const late = later(engineer, HOUR / 4 + 1);
  await assert.rejects(planRepository(workspace, store, METAL, late), { code: 'publish/too-late' });
  await assert.rejects(stateRepository(workspace, store, METAL, late), { code: 'publish/too-late' });
  assert.deepEqual(await statusAt(late), ['steer-again', '2026-06-01T12:15:00Z', ['pause-waves']]);
});

test('publishRepository() looks at the clock once more before timestamp.json', async (t) => {
  const engineer = await underWay(t);
  await edit(engineer, [pauseAt(engineer, later(engineer, HOUR / 4))]);
  await sign(engineer);
  const before = await readFile(join(engineer.storeDirectory, 'metal', 'x86_64', 'timestamp.json'));
  let moment = engineer.now;
  const store = interruptedStore(
    engineer.store,
    (path) => path.endsWith('.snapshot.json'),
    async () => {
      moment = later(engineer, HOUR);
    },
  );
  const slow = publishRepository(engineer.workspace, store, METAL, { now: engineer.now, clock: () => moment });
  await assert.rejects(slow, { code: 'publish/too-late' });
  assert.deepEqual(await readFile(join(engineer.storeDirectory, 'metal', 'x86_64', 'timestamp.json')), before);
});

test('prepareEdit() replaces a pause that came too late, and keeps what else the draft holds', async (t) => {
  const engineer = await underWay(t);
  await edit(engineer, [{ kind: 'renew-targets' }, pauseAt(engineer, later(engineer, HOUR / 4))]);
  engineer.now = later(engineer, HOUR / 2);
  const change = pauseAt(engineer, later(engineer, HOUR / 4));
  const prepared = await prepareEdit(engineer.workspace, engineer.store, METAL, { now: engineer.now, changesFor: () => [change] });
  assert.equal(prepared.dropped.length, 1);
  assert.deepEqual(prepared.draft?.changes, [{ kind: 'renew-targets' }, change]);
});

test('prepareEdit() changes nothing on disk', async (t) => {
  const engineer = await underWay(t);
  await prepareEdit(engineer.workspace, engineer.store, METAL, {
    now: engineer.now,
    changesFor: () => [pauseAt(engineer, later(engineer, HOUR))],
  });
  await assert.rejects(stat(draftPath(engineer.workspace, METAL)), { code: 'ENOENT' });
});

test('an edit that somebody else overtook is made again on top of what they published', async (t) => {
  const engineer = await underWay(t);
  await edit(engineer, [pauseAt(engineer, later(engineer, HOUR / 4))]);
  const mine = await readFile(draftPath(engineer.workspace, METAL));
  await rm(draftPath(engineer.workspace, METAL));
  const [now, then] = [later(engineer, 0), later(engineer, 2 * HOUR)].map((date) => date.toISOString());
  await edit(engineer, [{ kind: 'set-waves', update: name('1.2.0'), waves: { '0': now ?? '', '1': then ?? '' } }]);
  await sign(engineer);
  await publish(engineer);
  await writeFile(draftPath(engineer.workspace, METAL), mine);
  assert.deepEqual((await sign(engineer)).redrafted, [METAL]);
  await publishRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, clock: () => engineer.now });
  const update = await liveUpdate(engineer, '1.2.0');
  assert.equal(update.gantry?.paused?.at, '2026-06-01T12:15:00Z');
  // Their schedule is the one that is paused: nobody but seed 0 had it by then.
  assert.equal(readySeeds(scheduleOf(update.waves), instantOf(later(engineer, 1000 * HOUR))), 1);
});

test('removalOf() takes a release and what only it needs, and leaves the files in the store', async (t) => {
  const engineer = await underWay(t);
  const stored = (await readdir(join(engineer.storeDirectory, 'targets'))).length;
  const prepared = await prepareEdit(engineer.workspace, engineer.store, METAL, {
    now: engineer.now,
    changesFor: (standing) => removalOf(standing, name('1.2.0')),
  });
  await saveEdit(engineer.workspace, prepared);
  await sign(engineer);
  await publish(engineer);
  const { live } = await readCurrent(engineer.workspace, engineer.store, METAL);
  const names = Object.keys(live.trusted.published?.targets.role.targets ?? {});
  assert.equal(names.length, 7);
  assert.ok(names.every((one) => one === 'manifest.json' || one.includes('-1.1.0-')));
  assert.equal((await readdir(join(engineer.storeDirectory, 'targets'))).length, stored + 1);
  // Hosts on the removed release find a way to the next one.
  await addVersion(engineer, '1.2.1');
  const { draft } = await readCurrent(engineer.workspace, engineer.store, METAL);
  assert.ok(draft?.manifest !== undefined);
  const { migrations } = JSON.parse(Buffer.from(draft.manifest).toString('utf8')) as { migrations: object };
  assert.deepEqual(migrations, { '(1.1.0, 1.2.0)': [], '(1.2.0, 1.2.1)': [] });
});

test('addRelease() refuses a release beside one that was recalled, until that is removed', async (t) => {
  const engineer = await engineerWithRelease(t, '1.1.0');
  await addVersion(engineer, '1.2.0');
  await sign(engineer);
  await publish(engineer);
  await edit(engineer, [{ kind: 'recall', update: name('1.2.0'), to: '1.1.0', at: engineer.now.toISOString() }]);
  await sign(engineer);
  await publish(engineer);
  await assert.rejects(addVersion(engineer, '1.2.1'), { code: 'release/withdrawn', details: { version: '1.2.0' } });
  const prepared = await prepareEdit(engineer.workspace, engineer.store, METAL, {
    now: engineer.now,
    changesFor: (standing) => removalOf(standing, name('1.2.0')),
  });
  await saveEdit(engineer.workspace, prepared);
  await addVersion(engineer, '1.2.1');
});

test('addRelease() publishes migrations as hosts expect them, notes, severity, and files of the publisher', async (t) => {
  const engineer = await engineerWithRelease(t, '1.1.0');
  const [migration, extra] = [join(engineer.directory, 'migrate_v1.2.0_add-setting'), join(engineer.directory, 'disk.img')];
  await writeFile(migration, 'a program');
  await writeFile(extra, 'a disk');
  const { release, draft } = await addRelease(engineer.workspace, engineer.store, {
    repository: METAL,
    version: '1.2.0',
    images: await writeImages(engineer.directory),
    compression: 'both',
    level: 1,
    about: { severity: 'critical', notes: 'All of it is new.', waves: waves(engineer) },
    migrations: { files: [migration] },
    extraTargets: [
      { name: 'my-os-1.2.0.img', file: extra, mode: 'link' },
      { name: 'copy.img', file: extra, mode: 'copy' },
    ],
    now: engineer.now,
  });
  assert.deepEqual(
    release.targets.slice(-3).map(({ path }) => path),
    ['migrate_v1.2.0_add-setting.lz4', 'my-os-1.2.0.img', 'copy.img'],
  );
  assert.ok(draft.manifest !== undefined);
  await sign(engineer);
  await publish(engineer);
  const { live } = await readCurrent(engineer.workspace, engineer.store, METAL);
  assert.deepEqual(live.trusted.manifest.migrations, { '(1.1.0, 1.2.0)': ['migrate_v1.2.0_add-setting.lz4'] });
  assert.deepEqual((await liveUpdate(engineer, '1.2.0')).gantry, { severity: 'critical', notes: 'All of it is new.' });
});

test('addRelease() refuses a linked file that changed before it was published', async (t) => {
  const engineer = await engineerWithRelease(t, '1.1.0');
  const extra = join(engineer.directory, 'disk.img');
  await writeFile(extra, 'a disk');
  await addRelease(engineer.workspace, engineer.store, {
    repository: METAL,
    version: '1.2.0',
    images: await writeImages(engineer.directory),
    compression: 'zstd',
    level: 1,
    extraTargets: [{ name: 'disk.img', file: extra, mode: 'link' }],
    now: engineer.now,
  });
  await sign(engineer);
  await writeFile(extra, 'b disk');
  await assert.rejects(publish(engineer), { code: 'store/source-changed' });
  assert.equal((await readCurrent(engineer.workspace, engineer.store, METAL)).live.trusted.manifest.updates.length, 1);
});

test('prepareEdit() refuses what would break a release for hosts, and drafts nothing', async (t) => {
  const engineer = await engineerWithRelease(t, '1.1.0');
  const missing: Change = { kind: 'set-migrations', migrations: { '(1.0.0, 1.1.0)': ['migrate_v1.1.0_gone.lz4'] } };
  await assert.rejects(edit(engineer, [missing]), {
    code: 'release/lint',
    message: /migration-missing.*"migrate_v1\.1\.0_gone\.lz4" is not a target/u,
  });
  await assert.rejects(stat(draftPath(engineer.workspace, METAL)), { code: 'ENOENT' });
});

/** Drafts travel between people: what somebody wrote into one must not be signed or published unless the changes say so. */
import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readCurrent } from '../../lib/publish/live.ts';
import { planRepository, publishRepository } from '../../lib/publish/publish.ts';
import { refreshRepository } from '../../lib/publish/refresh.ts';
import { readStatus } from '../../lib/publish/status.ts';
import { draftPath, readSeenVersions, saveSeenVersions } from '../../lib/workspace/draft-files.ts';
import { METAL, addVersion, engineerWithRelease, engineerWithRoot, publish, sign, type Engineer } from '../support/engineer.ts';

interface DraftText {
  manifest: string;
  versions: Record<string, number>;
  roles: Record<string, { signed: Record<string, unknown> & { version: number } }>;
}

async function tamper(engineer: Engineer, change: (draft: DraftText) => void): Promise<void> {
  const path = draftPath(engineer.workspace, METAL);
  const draft = JSON.parse(await readFile(path, 'utf8')) as DraftText;
  change(draft);
  await writeFile(path, JSON.stringify(draft));
}

async function live(engineer: Engineer): Promise<string> {
  return readFile(join(engineer.storeDirectory, 'metal', 'x86_64', 'timestamp.json'), 'utf8');
}

async function drafted(t: Parameters<typeof engineerWithRelease>[0]): Promise<Engineer> {
  const engineer = await engineerWithRelease(t, '1.0.0');
  await addVersion(engineer, '1.1.0');
  return engineer;
}

const TAMPERED: Readonly<Record<string, (draft: DraftText) => void>> = {
  'the manifest': (draft) => {
    draft.manifest = draft.manifest.replaceAll('"1.0.0"', '"1.0.9"');
  },
  'the targets': ({ roles }) => {
    if (roles['targets'] !== undefined) roles['targets'].signed['targets'] = {};
  },
  'a version that goes back': (draft) => {
    draft.versions['targets'] = 1;
    if (draft.roles['targets'] !== undefined) draft.roles['targets'].signed.version = 1;
  },
};

for (const [what, change] of Object.entries(TAMPERED)) {
  test(`a draft is not signed when somebody changed ${what}`, async (t) => {
    const engineer = await drafted(t);
    await tamper(engineer, change);
    const before = await readFile(draftPath(engineer.workspace, METAL), 'utf8');
    await assert.rejects(sign(engineer), { code: 'repository/bad-draft' });
    assert.equal(await readFile(draftPath(engineer.workspace, METAL), 'utf8'), before);
  });
}

test('a signed draft is not published when somebody changed its manifest, and nothing is written', async (t) => {
  const engineer = await drafted(t);
  await sign(engineer);
  const stored = await readdir(join(engineer.storeDirectory, 'targets'));
  await tamper(engineer, (draft) => {
    draft.manifest = draft.manifest.replaceAll('"1.0.0"', '"1.0.9"');
  });
  await assert.rejects(publish(engineer), { code: 'repository/bad-draft', details: { at: 'manifest' } });
  assert.deepEqual(await readdir(join(engineer.storeDirectory, 'targets')), stored);
});

test('a timestamp that would take hosts back is not signed', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  for (let round = 0; round < 3; round += 1) {
    await refreshRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, roles: 'online' });
    if (round < 2) {
      await sign(engineer);
      await publish(engineer);
    }
  }
  await tamper(engineer, ({ versions }) => {
    versions['timestamp'] = 2;
  });
  const before = await live(engineer);
  await assert.rejects(sign(engineer), {
    code: 'repository/bad-draft',
    message: /versions\.timestamp: it is 2, and 3 is published/u,
  });
  assert.equal(await live(engineer), before);
});

test('a draft that has expired is not published, and signing makes it again', async (t) => {
  const engineer = await drafted(t);
  await sign(engineer);
  engineer.now = new Date(engineer.now.getTime() + 20 * 86_400_000);
  const before = await live(engineer);
  await assert.rejects(publish(engineer), { code: 'repository/expired' });
  await assert.rejects(planRepository(engineer.workspace, engineer.store, METAL, engineer.now), { code: 'repository/expired' });
  assert.equal(await live(engineer), before);
  await sign(engineer);
  await publish(engineer);
});

test('looking changes nothing: a draft that is live stays for whoever holds the lock, and so do objects and versions', async (t) => {
  const engineer = await drafted(t);
  await sign(engineer);
  const path = draftPath(engineer.workspace, METAL);
  const copy = join(engineer.directory, 'copy.json');
  await copyFile(path, copy);
  await publish(engineer);
  await copyFile(copy, path);
  const objects = join(engineer.workspace.directory, '.gantry', 'objects');
  await mkdir(objects, { recursive: true });
  await writeFile(join(objects, 'incoming-0'), 'half of an image that another gantry writes');
  assert.equal((await readCurrent(engineer.workspace, engineer.store, METAL)).draft, undefined);
  await readStatus(engineer.workspace, engineer.store, { now: engineer.now, canSign: async () => true });
  assert.deepEqual((await planRepository(engineer.workspace, engineer.store, METAL, engineer.now)).writes, []);
  assert.ok((await stat(path)).isFile());
  assert.deepEqual(await readdir(objects), ['incoming-0']);
});

test('saveSeenVersions() never lowers what is remembered', async (t) => {
  const { workspace } = await engineerWithRoot(t);
  await saveSeenVersions(workspace, './public', METAL, { root: 2, timestamp: 9, snapshot: 8, targets: 7 });
  await saveSeenVersions(workspace, './public', METAL, { root: 3, timestamp: 4, snapshot: 8, targets: 1 });
  assert.deepEqual(await readSeenVersions(workspace, './public', METAL), { root: 3, timestamp: 9, snapshot: 8, targets: 7 });
});

test('sign() goes on after a crash between keeping the root and removing its draft', async (t) => {
  const engineer = await engineerWithRoot(t);
  const draft = join(engineer.workspace.directory, 'drafts', 'root.json');
  await copyFile(join(engineer.workspace.directory, '1.root.json'), draft);
  await addVersion(engineer, '1.0.0');
  await sign(engineer);
  await assert.rejects(stat(draft), { code: 'ENOENT' });
  await publish(engineer);
});

test('who loses a race with the same release is told so, and signing goes on from what was published', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  await addVersion(engineer, '1.1.0');
  await sign(engineer);
  const path = draftPath(engineer.workspace, METAL);
  const mine = await readFile(path);
  await rm(path);
  await refreshRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, roles: 'online' });
  await sign(engineer);
  await publish(engineer);
  await writeFile(path, mine);
  await assert.rejects(publishRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now }), {
    code: 'repository/moved-on',
  });
  const report = await sign(engineer);
  assert.deepEqual(report.redrafted, [METAL]);
});

test('a release that somebody else has published meanwhile is dropped from the draft', async (t) => {
  const engineer = await drafted(t);
  const path = draftPath(engineer.workspace, METAL);
  const mine = await readFile(path);
  await sign(engineer);
  await publish(engineer);
  await writeFile(path, mine);
  const report = await sign(engineer);
  assert.deepEqual(report.redrafted, [METAL]);
  const { draft } = await readCurrent(engineer.workspace, engineer.store, METAL);
  assert.deepEqual(draft?.changes, []);
});

import assert from 'node:assert/strict';
import { cp, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { publishRepository, planRepository } from '../../lib/publish/publish.ts';
import { readLive, takeCurrent } from '../../lib/publish/live.ts';
import { refreshRepository } from '../../lib/publish/refresh.ts';
import { draftRoot, specOf } from '../../lib/repository/root-draft.ts';
import { openWorkspace } from '../../lib/workspace/workspace.ts';
import { draftPath } from '../../lib/workspace/draft-files.ts';
import { requireRootChain, saveRootDraft } from '../../lib/workspace/root-files.ts';
import { GantryError, isGantryError } from '../../lib/errors.ts';
import type { Store } from '../../lib/store/store.ts';
import {
  METAL,
  addVersion,
  engineerWithRelease,
  engineerWithRoot,
  keyOf,
  makeKey,
  publish,
  sign,
  type Engineer,
} from '../support/engineer.ts';
import { delegate, failingStore, interruptedStore } from '../support/faulty-store.ts';

function metadata(engineer: Engineer, file: string): string {
  return join(engineer.storeDirectory, 'metal', 'x86_64', file);
}

/** A second laptop with the same keys, workspace and store. */
async function colleagueOf(engineer: Engineer): Promise<Engineer> {
  const directory = join(engineer.directory, 'colleague');
  await cp(engineer.workspace.directory, join(directory, 'my-os'), { recursive: true });
  return { ...engineer, directory, workspace: await openWorkspace(join(directory, 'my-os')) };
}

test('publishRepository() writes timestamp.json last and leaves no draft', async (t) => {
  const engineer = await engineerWithRoot(t);
  await addVersion(engineer, '1.0.0');
  await sign(engineer);
  const { applied } = await publish(engineer);
  const kinds = applied.map(({ write }) => write.kind);
  assert.deepEqual(kinds, ['root', ...Array.from({ length: 7 }, () => 'target'), 'role', 'role', 'timestamp']);
  assert.ok(applied.every(({ sent }) => sent));
  await assert.rejects(stat(draftPath(engineer.workspace, METAL)));
  assert.deepEqual(await readdir(join(engineer.workspace.directory, '.gantry', 'objects')), []);
  const live = await readLive(engineer.workspace, engineer.store, METAL);
  assert.deepEqual(
    live.trusted.manifest.updates.map(({ version }) => version),
    ['1.0.0'],
  );
});

test('publishRepository() sends only what changed', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  await addVersion(engineer, '1.1.0');
  await sign(engineer);
  const { applied } = await publish(engineer);
  assert.equal(applied.filter(({ write }) => write.kind === 'target').length, 7);
  assert.equal(applied.filter(({ write }) => write.kind === 'root').length, 0);
});

test('publishRepository() refuses a draft whose signatures are missing', async (t) => {
  const engineer = await engineerWithRoot(t);
  await addVersion(engineer, '1.0.0');
  await assert.rejects(publish(engineer), (error) => {
    assert.ok(isGantryError(error, 'repository/incomplete'));
    assert.deepEqual(
      error.details.missing.map(({ role, have, need }) => ({ role, have, need })),
      [{ role: 'targets', have: 0, need: 1 }],
    );
    return true;
  });
  await assert.rejects(stat(metadata(engineer, 'timestamp.json')));
});

test('planRepository() writes nothing', async (t) => {
  const engineer = await engineerWithRoot(t);
  await addVersion(engineer, '1.0.0');
  await sign(engineer);
  const { writes } = await planRepository(engineer.workspace, engineer.store, METAL, engineer.now);
  assert.equal(writes.at(-1)?.path, 'metal/x86_64/timestamp.json');
  await assert.rejects(stat(metadata(engineer, '1.root.json')));
});

test('publishRepository() leaves the live repository as it was when any write fails, and resumes', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  const liveBefore = await readFile(metadata(engineer, 'timestamp.json'));
  await addVersion(engineer, '1.1.0');
  await sign(engineer);
  const { writes } = await planRepository(engineer.workspace, engineer.store, METAL, engineer.now);
  for (let arrived = 0; arrived < writes.length; arrived += 1) {
    // Each try gets one write further than the one before.
    const store = failingStore(engineer.store, arrived === 0 ? 0 : 1, 'before');
    const publishing = publishRepository(engineer.workspace, store, METAL, { now: engineer.now, concurrency: 1 });
    await assert.rejects(publishing, { code: 'store/failed' });
    assert.deepEqual(await readFile(metadata(engineer, 'timestamp.json')), liveBefore);
  }
  const { applied } = await publish(engineer);
  const sent = applied.filter((one) => one.sent).map(({ write }) => write.kind);
  assert.ok(sent.length <= 2 && sent.at(-1) === 'timestamp');
});

test('publishRepository() sends target files side by side, and stops all of them when one fails', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  await addVersion(engineer, '1.1.0');
  await sign(engineer);
  let now = 0;
  let most = 0;
  const signals: (AbortSignal | undefined)[] = [];
  const slow: Store = {
    ...delegate(engineer.store),
    async write(path, body, options) {
      now += 1;
      most = Math.max(most, now);
      signals.push(options.signal);
      try {
        await delay(20);
        if (signals.length === 3) throw new GantryError('store/failed', 'Cannot write: the network is gone', { path, call: 'write' });
        return await engineer.store.write(path, body, options);
      } finally {
        now -= 1;
      }
    },
  };
  const publishing = publishRepository(engineer.workspace, slow, METAL, { now: engineer.now, concurrency: 3 });
  await assert.rejects(publishing, { code: 'store/failed' });
  assert.equal(most, 3);
  assert.equal(now, 0, 'a write went on behind the back of its caller');
  assert.ok(signals.length === 3 && signals.every((signal) => signal?.aborted === true));
});

test('publishRepository() looks whether a write arrived when its answer was lost', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  await addVersion(engineer, '1.1.0');
  await sign(engineer);
  const { writes } = await planRepository(engineer.workspace, engineer.store, METAL, engineer.now);
  const store = failingStore(engineer.store, writes.length - 1, 'after');
  await publishRepository(engineer.workspace, store, METAL, { now: engineer.now });
  const live = await readLive(engineer.workspace, engineer.store, METAL);
  assert.deepEqual(
    live.trusted.manifest.updates.map(({ version }) => version),
    ['1.0.0', '1.1.0'],
  );
});

test('sign() after a publisher was killed right behind its last write finds that all is done', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  await addVersion(engineer, '1.1.0');
  await sign(engineer);
  const draft = await readFile(draftPath(engineer.workspace, METAL));
  await publish(engineer);
  await writeFile(draftPath(engineer.workspace, METAL), draft);
  assert.deepEqual(await sign(engineer), { items: [], redrafted: [] });
  await assert.rejects(stat(draftPath(engineer.workspace, METAL)));
});

test('publishRepository() gives the loser of a race a conflict, and sign and publish once more is all it takes', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  const colleague = await colleagueOf(engineer);
  await addVersion(engineer, '1.1.0');
  await sign(engineer);
  await addVersion(colleague, '1.2.0');
  await sign(colleague);
  const racing = interruptedStore(
    colleague.store,
    (path) => path.endsWith('timestamp.json') || path.endsWith('.targets.json'),
    async () => {
      await publish(engineer);
    },
  );
  await assert.rejects(publishRepository(colleague.workspace, racing, METAL, { now: colleague.now }), { code: 'publish/conflict' });
  await sign(colleague);
  await publish(colleague);
  const live = await readLive(colleague.workspace, colleague.store, METAL);
  assert.deepEqual(
    live.trusted.manifest.updates.map(({ version }) => version),
    ['1.0.0', '1.1.0', '1.2.0'],
  );
});

test('publishRepository() skips a version number that a crashed publisher took', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  await addVersion(engineer, '1.1.0');
  await sign(engineer);
  await writeFile(metadata(engineer, '2.targets.json'), '{"left": "by somebody"}');
  await assert.rejects(publish(engineer), { code: 'publish/conflict' });
  await sign(engineer);
  await publish(engineer);
  const live = await readLive(engineer.workspace, engineer.store, METAL);
  assert.equal(live.trusted.published?.targets.role.version, 3);
});

test('publishRepository() stops at a target file that has other bytes', async (t) => {
  const engineer = await engineerWithRoot(t);
  await addVersion(engineer, '1.0.0');
  await sign(engineer);
  const { writes } = await planRepository(engineer.workspace, engineer.store, METAL, engineer.now);
  const image = writes.find(({ kind, bytes }) => kind === 'target' && bytes === undefined);
  assert.ok(image !== undefined);
  await mkdir(join(engineer.storeDirectory, 'targets'), { recursive: true });
  await writeFile(join(engineer.storeDirectory, image.path), 'other bytes');
  await assert.rejects(publish(engineer), { code: 'publish/target-differs', details: { path: image.path } });
  await assert.rejects(stat(metadata(engineer, 'timestamp.json')));
});

test('publishRepository() refuses a root under which a live role would not verify', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  const { latest } = await requireRootChain(engineer.workspace);
  const online = { keys: [await makeKey(engineer, 'online-2')], threshold: 1 };
  const spec = { ...specOf(latest.role), snapshot: online, timestamp: online };
  await saveRootDraft(engineer.workspace, draftRoot(spec, engineer.now, engineer.workspace.expiry, latest.role));
  await sign(engineer);
  await assert.rejects(publish(engineer), { code: 'repository/root-transition', details: { version: 2, role: 'timestamp' } });
  await assert.rejects(stat(metadata(engineer, '2.root.json')));
});

test('publishRepository() lets a root that somebody else publishes meanwhile come first', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  const colleague = await colleagueOf(engineer);
  await addVersion(colleague, '1.1.0');
  await sign(colleague);
  const before = await readFile(metadata(engineer, 'timestamp.json'));
  const racing = interruptedStore(
    colleague.store,
    (path) => path.endsWith('.snapshot.json'),
    async () => {
      const { latest } = await requireRootChain(engineer.workspace);
      const both = { keys: [keyOf(engineer, 'online'), await makeKey(engineer, 'online-2')], threshold: 1 };
      const spec = { ...specOf(latest.role), snapshot: both, timestamp: both };
      await saveRootDraft(engineer.workspace, draftRoot(spec, engineer.now, engineer.workspace.expiry, latest.role));
      await sign(engineer);
      await publish(engineer);
    },
  );
  await assert.rejects(publishRepository(colleague.workspace, racing, METAL, { now: colleague.now }), {
    code: 'publish/conflict',
    details: { path: 'metal/x86_64/2.root.json', expected: 'none', found: '2.root.json' },
  });
  assert.deepEqual(await readFile(metadata(engineer, 'timestamp.json')), before);
  await sign(colleague);
  await publish(colleague);
  const live = await readLive(colleague.workspace, colleague.store, METAL);
  assert.deepEqual([live.trusted.chain.latest.role.version, live.trusted.manifest.updates.length], [2, 2]);
});

test('publishRepository() publishes a root by itself, and another workspace adopts it', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  const colleague = await colleagueOf(engineer);
  const { latest } = await requireRootChain(engineer.workspace);
  const both = { keys: [keyOf(engineer, 'online'), await makeKey(engineer, 'online-2')], threshold: 1 };
  const spec = { ...specOf(latest.role), snapshot: both, timestamp: both };
  await saveRootDraft(engineer.workspace, draftRoot(spec, engineer.now, engineer.workspace.expiry, latest.role));
  await sign(engineer);
  const { applied } = await publish(engineer);
  assert.deepEqual(
    applied.map(({ write }) => write.path),
    ['metal/x86_64/2.root.json'],
  );
  const { live } = await takeCurrent(colleague.workspace, colleague.store, METAL);
  assert.equal(live.trusted.chain.latest.role.version, 2);
  assert.equal((await requireRootChain(colleague.workspace)).latest.role.version, 2);
});

test('refreshRepository() renews snapshot and timestamp only', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  engineer.now = new Date(engineer.now.getTime() + 86_400_000);
  await refreshRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, roles: 'online' });
  await sign(engineer);
  const { applied } = await publish(engineer);
  assert.deepEqual(
    applied.map(({ write }) => write.path),
    ['metal/x86_64/2.snapshot.json', 'metal/x86_64/timestamp.json'],
  );
});

test('addRelease() refuses a version that is published, or older', async (t) => {
  const engineer = await engineerWithRelease(t, '1.1.0');
  await assert.rejects(addVersion(engineer, '1.1.0'), { code: 'release/duplicate' });
  await assert.rejects(addVersion(engineer, '1.0.0'), { code: 'release/not-newer' });
  await assert.rejects(stat(draftPath(engineer.workspace, METAL)));
});

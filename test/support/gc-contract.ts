/** What garbage collection does on any store: publications that leave something behind, and what becomes of it. */
import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { collectGarbage, planCollection } from '../../lib/publish/gc/collect.ts';
import { fatesOf } from '../../lib/publish/gc/explain.ts';
import { openCollector } from '../../lib/publish/gc/open.ts';
import { publishPlan, stateRepository } from '../../lib/publish/publish.ts';
import type { Store, StorePath } from '../../lib/store/store.ts';
import { objectPath } from '../../lib/workspace/objects.ts';
import { METAL, engineerWithRoot, sign, type Engineer } from './engineer.ts';
import { interruptedStore, delegate, failingStore } from './faulty-store.ts';
import { assertHostSeesAll, DAY_MS, GRACE_MS, HOUR_MS, publishAsCloud, type Gardener } from './garbage.ts';

/** @param make a gardener whose store is empty */
export function testGarbageCollection(kind: string, make: (t: TestContext) => Promise<Gardener>): void {
  test(`collectGarbage() on ${kind} marks a grace after nobody needs something, and removes it a grace later`, async (t) => {
    const gardener = await make(t);
    await gardener.release('1.0.0');
    const first = await gardener.paths('targets/');
    await gardener.release('1.1.0');
    gardener.pass(30 * DAY_MS);
    await gardener.withdraw('1.0.0');
    // The first manifest, targets and snapshot have not been live for 30 days.
    assert.deepEqual(counts(await gardener.collect()), { marked: 3, removed: 0 });
    gardener.pass(GRACE_MS + HOUR_MS);
    // The images with their frame tables, a manifest, and a version of two roles.
    assert.deepEqual(counts(await gardener.collect()), { marked: 9, removed: 3 });
    gardener.pass(GRACE_MS - HOUR_MS);
    assert.deepEqual(counts(await gardener.collect()), { marked: 0, removed: 0 });
    gardener.pass(2 * HOUR_MS);
    assert.deepEqual(counts(await gardener.collect()), { marked: 0, removed: 9 });
    const left = await gardener.paths();
    assert.deepEqual(
      left.filter((path) => first.includes(path) || path.startsWith('gantry-gc/')),
      [],
    );
    assert.ok(left.includes('metal/x86_64/1.root.json' as StorePath));
    await assertHostSeesAll(gardener);
    gardener.pass(GRACE_MS);
    assert.deepEqual(counts(await gardener.collect()), { marked: 0, removed: 0 });
  });

  test(`a publication to ${kind} takes the marks off what it uses again, and gc leaves it`, async (t) => {
    const gardener = await make(t);
    await gardener.release('1.0.0');
    await gardener.release('1.1.0');
    await gardener.withdraw('1.1.0');
    gardener.pass(GRACE_MS + HOUR_MS);
    assert.ok((await gardener.collect()).marked.length > 6);
    gardener.pass(GRACE_MS + HOUR_MS);
    // Between what a person was shown and what is done.
    const collector = await openCollector(gardener.engineer.workspace, gardener.store, { graceMs: GRACE_MS, clock: () => gardener.now });
    const shown = await planCollection(collector);
    await gardener.add('1.1.0', 'kept');
    const { applied } = await gardener.publish();
    assert.equal(applied.filter(({ write, sent }) => write.kind === 'target' && !sent).length, 7);
    const { spared } = await collectGarbage(collector, shown);
    assert.equal(spared.filter(({ object }) => object.path.includes('-1.1.0-')).length, 6);
    await assertHostSeesAll(gardener);
    for (let week = 0; week < 4; week += 1) {
      gardener.pass(GRACE_MS);
      await gardener.collect();
    }
    await assertHostSeesAll(gardener);
  });

  test(`what an abandoned publication left on ${kind} goes: its targets by themselves, its roles once their numbers are passed`, async (t) => {
    const gardener = await make(t);
    await gardener.release('1.0.0');
    await gardener.add('1.1.0');
    const { engineer, store } = gardener;
    const writes = (await stateRepository(engineer.workspace, store, METAL, gardener.now)).plan.writes.length;
    const dying = failingStore(store, writes - 1, 'before');
    await assert.rejects(gardener.publish(dying), { code: 'store/failed' });
    const isAbandoned = (path: string): boolean => path.includes('-1.1.0-') || /\/2\.(?:targets|snapshot)\.json$/u.test(path);
    assert.equal((await gardener.paths()).filter(isAbandoned).length, 8);
    for (let week = 0; week < 3; week += 1) {
      gardener.pass(GRACE_MS + HOUR_MS);
      await gardener.collect();
    }
    assert.deepEqual((await gardener.paths()).filter(isAbandoned), ['metal/x86_64/2.snapshot.json', 'metal/x86_64/2.targets.json']);
    const [fate] = fatesOf(await gardener.plan(), '2.targets.json', GRACE_MS);
    assert.equal(fate?.why, 'its number is not below the live one, so it may yet be published');
    // The engineer comes back, and loses nothing.
    await sign(engineer);
    await gardener.publish().catch(async () => {
      await sign(engineer);
      return gardener.publish();
    });
    await assertHostSeesAll(gardener);
    await gardener.release('1.2.0');
    for (let week = 0; week < 3; week += 1) {
      gardener.pass(GRACE_MS + HOUR_MS);
      await gardener.collect();
    }
    await assertHostSeesAll(gardener);
  });

  test(`a plan that is carried out after gc has been at ${kind} sends again what is gone, or changes nothing`, async (t) => {
    const gardener = await make(t);
    await gardener.release('1.0.0');
    await gardener.add('1.1.0');
    const { engineer, store } = gardener;
    const { workspace } = engineer;
    const { stated, plan } = await stateRepository(workspace, store, METAL, gardener.now);
    const images = plan.writes.filter(({ bytes }) => bytes === undefined);
    const dying = failingStore(store, images.length + 1, 'before');
    const carryOut = async (to: Store): Promise<unknown> =>
      publishPlan(workspace, to, { stated, file: 'plan.json' }, { now: gardener.now, clock: () => gardener.now });
    await assert.rejects(carryOut(dying), { code: 'store/failed' });
    const live = await gardener.paths('metal/');
    // The draft lives no longer than two weeks.
    for (let turn = 0; turn < 2; turn += 1) {
      gardener.pass(2 * DAY_MS + HOUR_MS);
      await gardener.collect(2 * DAY_MS);
    }
    assert.deepEqual(
      (await gardener.paths()).filter((path) => path.includes('-1.1.0-')),
      [],
    );
    // A machine that has the plan and no images can tell before the first byte.
    const colleague: Engineer = { ...engineer, workspace: { ...workspace, directory: join(engineer.directory, 'colleague') } };
    await cp(workspace.directory, colleague.workspace.directory, { recursive: true });
    for (const { sha256 } of images) await rm(objectPath(colleague.workspace, sha256), { force: true });
    await assert.rejects(
      publishPlan(colleague.workspace, store, { stated, file: 'plan.json' }, { now: gardener.now, clock: () => gardener.now }),
      {
        code: 'workspace/object-missing',
      },
    );
    assert.deepEqual(await gardener.paths('metal/'), live);
    await carryOut(store);
    await assertHostSeesAll(gardener);
    assert.ok((await gardener.paths()).some((path) => path.includes('-1.1.0-')));
  });

  test(`gc on ${kind} keeps what another workspace below the same prefix names, and removes nothing while that cannot be verified`, async (t) => {
    const gardener = await make(t);
    await gardener.release('1.0.0');
    await gardener.release('1.1.0');
    const { store } = gardener;
    await publishAsCloud(gardener, await engineerWithRoot(t, gardener.now));
    await gardener.withdraw('1.0.0');
    for (let week = 0; week < 3; week += 1) {
      gardener.pass(GRACE_MS + HOUR_MS);
      await gardener.collect();
    }
    const kept = fatesOf(await gardener.plan(), '-1.0.0-', GRACE_MS);
    assert.equal(kept.length, 6);
    assert.ok(kept.every(({ fate, why }) => fate === 'keep' && why === 'live metadata names it (cloud/x86_64)'));
    const [target = assert.fail()] = (await gardener.paths()).filter((path) => path.includes('-1.0.0-'));
    const lacking: Store = {
      ...delegate(store),
      head: async (path) => (path === target ? undefined : store.head(path)),
      async *list(prefix) {
        for await (const info of store.list(prefix)) if (info.path !== target) yield info;
      },
    };
    const before = await gardener.paths();
    await assert.rejects(gardener.collect(GRACE_MS, lacking), {
      code: 'publish/unverified',
      message: /"cloud\/x86_64" cannot be verified: the target/u,
    });
    const theirs = 'cloud/x86_64/1.targets.json' as StorePath;
    await store.remove(theirs);
    await assert.rejects(gardener.collect(), { code: 'publish/unverified', message: /"cloud\/x86_64" cannot be verified/u });
    assert.deepEqual(
      await gardener.paths(),
      before.filter((path) => path !== theirs),
    );
  });

  test(`gc that was cut off on ${kind} between marking and removing something does not keep publishers away for ever`, async (t) => {
    const gardener = await make(t);
    await gardener.release('1.0.0');
    await gardener.release('1.1.0');
    await gardener.withdraw('1.1.0');
    gardener.pass(GRACE_MS + HOUR_MS);
    await gardener.collect();
    gardener.pass(GRACE_MS + HOUR_MS);
    const { store } = gardener;
    const remove: Store['remove'] = async (path) => (path.startsWith('targets/') ? assert.fail('killed') : store.remove(path));
    const killed: Store = { ...delegate(store), remove };
    await assert.rejects(gardener.collect(GRACE_MS, killed), { message: 'killed' });
    await gardener.add('1.1.0', 'kept');
    const before = await gardener.paths('metal/');
    await assert.rejects(gardener.publish(), { code: 'publish/being-removed' });
    assert.deepEqual(await gardener.paths('metal/'), before);
    gardener.pass(HOUR_MS + 60_000);
    await gardener.publish();
    gardener.pass(3 * GRACE_MS);
    await gardener.collect();
    await assertHostSeesAll(gardener);
  });

  test(`gc on ${kind} ends between two objects when it is interrupted, and the next run finishes`, async (t) => {
    const gardener = await make(t);
    await gardener.release('1.0.0');
    await gardener.release('1.1.0');
    await gardener.withdraw('1.0.0');
    gardener.pass(GRACE_MS + HOUR_MS);
    await gardener.collect();
    gardener.pass(GRACE_MS + HOUR_MS);
    const stop = new AbortController();
    const stopping = interruptedStore(
      gardener.store,
      (path) => path.startsWith('gantry-gc/targets/'),
      async () => stop.abort(),
    );
    await assert.rejects(gardener.collect(GRACE_MS, stopping, stop.signal), { code: 'aborted' });
    await gardener.collect();
    assert.deepEqual(
      (await gardener.paths()).filter((path) => path.includes('-1.0.0-') || path.startsWith('gantry-gc/')),
      [],
    );
    await assertHostSeesAll(gardener);
  });
}

function counts({ marked, removed }: { readonly marked: readonly unknown[]; readonly removed: readonly unknown[] }): object {
  return { marked: marked.length, removed: removed.length };
}

/** Garbage collection on stores of this machine; `test/services` has the same on S3 servers. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { GantryError } from '../../../lib/errors.ts';
import { fatesOf } from '../../../lib/publish/gc/explain.ts';
import type { Store } from '../../../lib/store/store.ts';
import { parseStorePath } from '../../../lib/store/path.ts';
import { bytesSource } from '../../../lib/store/source.ts';
import { engineerWithRoot } from '../../support/engineer.ts';
import { delegate, interruptedStore } from '../../support/faulty-store.ts';
import { testGarbageCollection } from '../../support/gc-contract.ts';
import { assertHostSeesAll, Gardener, GRACE_MS, HOUR_MS } from '../../support/garbage.ts';
import { createMemoryStore } from '../../support/memory-store.ts';
import { collect } from '../../support/bytes.ts';

async function inMemory(t: TestContext): Promise<Gardener> {
  return new Gardener(await engineerWithRoot(t, new Date()), createMemoryStore());
}

testGarbageCollection('a store in memory', inMemory);
testGarbageCollection('a directory store', async (t) => {
  const engineer = await engineerWithRoot(t, new Date());
  return new Gardener(engineer, engineer.store);
});

/** A store in memory in which something may go, and something may be marked. */
async function untidy(t: TestContext): Promise<Gardener> {
  const gardener = await inMemory(t);
  for (const version of ['1.0.0', '1.1.0', '1.2.0']) await gardener.release(version);
  await gardener.withdraw('1.0.0');
  gardener.pass(GRACE_MS + HOUR_MS);
  await gardener.collect();
  await gardener.withdraw('1.1.0');
  gardener.pass(GRACE_MS + HOUR_MS);
  return gardener;
}

/** That nothing was removed, and nothing marked. */
async function assertRefused(
  t: TestContext,
  double: (store: Store, gardener: Gardener) => Store,
  code: string,
  message: RegExp,
): Promise<void> {
  const gardener = await untidy(t);
  const before = await gardener.paths();
  await assert.rejects(gardener.collect(GRACE_MS, double(gardener.store, gardener)), { code, message });
  assert.deepEqual(await gardener.paths(), before);
}

const TIMESTAMP = 'metal/x86_64/timestamp.json';

test('collectGarbage() refuses when the live timestamp does not verify', async (t) => {
  const forged = (store: Store): Store => ({
    ...delegate(store),
    async read(path, options) {
      const { info, body } = await store.read(path, options);
      if (path !== TIMESTAMP) return { info, body };
      const { sha256: _, ...withoutDigest } = info;
      const text = Buffer.from(await collect(body))
        .toString()
        .replaceAll(/(?<="sig": ?")[0-9a-f]{8}/gu, '00000000');
      return {
        info: withoutDigest,
        body: (async function* () {
          yield Buffer.from(text);
        })(),
      };
    },
  });
  await assertRefused(t, forged, 'publish/unverified', /"metal\/x86_64" cannot be verified: /u);
});

test('collectGarbage() refuses when the live timestamp is gone, denied, or cannot be read', async (t) => {
  const without =
    (error: (path: string) => GantryError) =>
    (store: Store): Store => ({
      ...delegate(store),
      read: async (path, options) => {
        if (path === TIMESTAMP) throw error(path);
        return store.read(path, options);
      },
    });
  const gone = without((path) => new GantryError('store/missing', 'Cannot read: missing', { path }));
  await assertRefused(t, gone, 'publish/unverified', /its timestamp is gone/u);
  const denied = without((path) => new GantryError('store/denied', 'Cannot read: denied', { path }));
  await assertRefused(t, denied, 'store/denied', /denied/u);
  const failing = without((path) => new GantryError('store/failed', 'Cannot read: reset', { path, call: 'read' }));
  await assertRefused(t, failing, 'store/failed', /reset/u);
});

test('collectGarbage() refuses a listing that lacks what is there', async (t) => {
  const truncated = (store: Store): Store => ({
    ...delegate(store),
    async *list(prefix) {
      for await (const info of store.list(prefix)) if (!info.path.includes('-1.2.0-')) yield info;
    },
  });
  await assertRefused(t, truncated, 'publish/unverified', /its listing lacks "targets\/.*-1\.2\.0-/u);
});

test('collectGarbage() refuses a store whose clock is another one, or that keeps no times', async (t) => {
  const late = (store: Store, gardener: Gardener): Store => ({
    ...delegate(store),
    async head(path) {
      const info = await store.head(path);
      return info === undefined ? undefined : { ...info, modified: new Date(gardener.now.getTime() - 16 * 60_000) };
    },
  });
  await assertRefused(t, late, 'store/clock', /16 minutes apart; expected 15 at most/u);
  const timeless = (store: Store): Store => ({
    ...delegate(store),
    async *list(prefix) {
      for await (const { modified: _, ...info } of store.list(prefix)) yield info;
    },
  });
  await assertRefused(t, timeless, 'publish/unverified', /does not say when/u);
});

test('collectGarbage() refuses a grace of less than an hour', async (t) => {
  const gardener = await inMemory(t);
  await assert.rejects(gardener.collect(HOUR_MS - 1), { code: 'usage/option' });
});

test('collectGarbage() leaves what has no name of ours, a repository that is not published yet, and what is young', async (t) => {
  const gardener = await untidy(t);
  const bytes = Buffer.from('x');
  const put = async (path: string): Promise<void> => {
    const source = bytesSource(bytes);
    await gardener.store.write(parseStorePath(path), source, { expect: 'absent', cacheClass: 'immutable', contentType: 'text/plain' });
  };
  const foreign = ['index.html', 'targets/README', 'other/x86_64/1.root.json', 'other/x86_64/1.targets.json', 'a/b/c/7.snapshot.json'];
  for (const path of foreign) await put(path);
  gardener.pass(10 * GRACE_MS);
  const digest = 'ab'.repeat(32);
  await put(`targets/${digest}.young`);
  for (let week = 0; week < 3; week += 1) await gardener.collect();
  const reasons = fatesOf(await gardener.plan(), '', GRACE_MS);
  const whyOf = (path: string): string | undefined => reasons.find((one) => one.path === path)?.why;
  assert.deepEqual(
    foreign.map((path) => whyOf(path)),
    [
      'Gantry gives no such names',
      'Gantry gives no such names',
      'hosts need every root',
      'it belongs to another workspace, or to a repository that is not published yet',
      'Gantry gives no such names',
    ],
  );
  assert.match(whyOf(`targets/${digest}.young`) ?? '', /^it is younger than a grace/u);
  for (let week = 0; week < 3; week += 1) {
    gardener.pass(GRACE_MS);
    await gardener.collect();
  }
  assert.deepEqual(
    (await gardener.paths()).filter((path) => path.endsWith('.young')),
    [],
  );
});

test('collectGarbage() changes nothing in a store in which nothing of the workspace is live', async (t) => {
  const gardener = await inMemory(t);
  await gardener.store.write(parseStorePath(`targets/${'ab'.repeat(32)}.old`), bytesSource(Buffer.from('x')), {
    expect: 'absent',
    cacheClass: 'immutable',
    contentType: 'text/plain',
  });
  gardener.pass(10 * GRACE_MS);
  assert.deepEqual((await gardener.collect()).marked, []);
});

test('applyPublication() claims and looks again when its claims have become old', async (t) => {
  const gardener = await inMemory(t);
  await gardener.release('1.0.0');
  await gardener.release('1.1.0');
  await gardener.withdraw('1.1.0');
  gardener.pass(GRACE_MS + HOUR_MS);
  await gardener.add('1.1.0', 'kept');
  const { store } = gardener;
  // After the images, before the roles, somebody falls asleep for three graces, and gc is at work meanwhile.
  const asleep = interruptedStore(
    store,
    (path) => path.endsWith('.targets.json'),
    async () => {
      for (let hour = 0; hour < 4; hour += 1) {
        gardener.pass(HOUR_MS + 60_000);
        await gardener.collect(HOUR_MS);
      }
      assert.deepEqual(
        (await gardener.paths()).filter((path) => path.includes('-1.1.0-')),
        [],
      );
    },
  );
  await gardener.publish(asleep);
  await assertHostSeesAll(gardener);
});

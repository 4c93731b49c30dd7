import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GantryError } from '../../lib/errors.ts';
import { PROBE_FOLDER, probeConditions } from '../../lib/store/probe.ts';
import { parseStorePath } from '../../lib/store/path.ts';
import { singleWriterStore } from '../../lib/store/single-writer.ts';
import { bytesSource } from '../../lib/store/source.ts';
import type { Expect, Store, StoreVersion } from '../../lib/store/store.ts';
import { createMemoryStore, type MemoryStoreHooks } from '../support/memory-store.ts';

const PATH = parseStorePath('metal/x86_64/timestamp.json');
const OPTIONS = { cacheClass: 'revalidate', contentType: 'application/json' } as const;

function unknown(store: Store): Store {
  return { ...store, conditions: 'unknown' };
}

/** Writes whatever is there. */
async function overwrite(store: Store, path: Parameters<Store['write']>[0], body: Parameters<Store['write']>[1]): Promise<StoreVersion> {
  for (;;) {
    const found = await store.head(path);
    try {
      return await store.write(path, body, { ...OPTIONS, expect: found === undefined ? 'absent' : { version: found.version } });
    } catch {
      // Somebody was quicker.
    }
  }
}

/** A store that looks at some conditions only. */
function careless(ignores: (expect: Expect, count: number) => boolean): Store {
  const store = createMemoryStore();
  let count = 0;
  return unknown({
    ...store,
    async write(path, body, options) {
      count += 1;
      return ignores(options.expect, count) ? overwrite(store, path, body) : store.write(path, body, options);
    },
  });
}

async function objects(store: Store): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { path } of store.list('')) found.push(path);
  return found;
}

test('probeConditions() passes a store that keeps them, and leaves nothing', async () => {
  const store = unknown(createMemoryStore());
  await probeConditions(store);
  assert.deepEqual(await objects(store), []);
});

test('probeConditions() asks nothing of a store whose conditions are kept by our own code', async () => {
  const store = createMemoryStore({
    before: () => {
      throw new GantryError('store/failed', 'Cannot: it was asked', { path: '', call: '' });
    },
  });
  await probeConditions(store);
});

for (const [what, ignores] of Object.entries({
  'every condition': () => true,
  'that an object must not be there': (expect: Expect) => expect === 'absent',
  'which version must be there': (expect: Expect) => expect !== 'absent',
  'one condition in sixty': (_: Expect, count: number) => count % 60 === 0,
})) {
  test(`probeConditions() finds a store that ignores ${what}`, async () => {
    await assert.rejects(probeConditions(careless(ignores)), {
      code: 'store/not-atomic',
      message: /^Cannot publish safely to "memory": .*; expected/u,
    });
  });
}

test('probeConditions() does not take a lost answer for a broken condition', async () => {
  let count = 0;
  const lose = async (): Promise<void> => {
    count += 1;
    if (count % 7 === 0) throw new GantryError('store/failed', 'Cannot write: no answer', { path: '', call: 'write' });
  };
  for (const when of ['before', 'after'] as const) {
    const hooks: MemoryStoreHooks = { [when]: async (call: string) => (call === 'write' ? lose() : undefined) };
    await probeConditions(unknown(createMemoryStore(hooks)));
  }
});

test('probeConditions() goes on without the permission to remove, and leaves one small object', async () => {
  const deny = (call: string): void => {
    if (call === 'remove') throw new GantryError('store/denied', 'Cannot remove: access was denied', { path: '' });
  };
  const store = unknown(createMemoryStore({ before: deny }));
  await probeConditions(store);
  const [left = '', ...others] = await objects(store);
  assert.ok(left.startsWith(`${PROBE_FOLDER}/`));
  assert.deepEqual(others, []);
});

test('probeConditions() says what a store says that refuses to be written to', async () => {
  const deny = (call: string): void => {
    if (call === 'write') throw new GantryError('store/denied', 'Cannot write: access was denied', { path: '' });
  };
  await assert.rejects(probeConditions(unknown(createMemoryStore({ before: deny }))), { code: 'store/denied' });
});

test('singleWriterStore() finds what was there before, on a store that looks at nothing', async () => {
  const store = singleWriterStore(careless(() => true));
  const version = await store.write(PATH, bytesSource(Buffer.from('one')), { ...OPTIONS, expect: 'absent' });
  for (const expect of ['absent', { version: 'another' as StoreVersion }] as const) {
    await assert.rejects(store.write(PATH, bytesSource(Buffer.from('two')), { ...OPTIONS, expect }), { code: 'store/conflict' });
  }
  await store.write(PATH, bytesSource(Buffer.from('two')), { ...OPTIONS, expect: { version } });
  assert.equal((await store.head(PATH))?.lengthBytes, 3);
});

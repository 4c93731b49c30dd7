/** What every store promises, whatever it is made of. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createDirectoryStore } from '../../lib/store/directory.ts';
import { parseStorePath } from '../../lib/store/path.ts';
import { bytesSource } from '../../lib/store/source.ts';
import type { Expect, ObjectInfo, Store, StoreVersion } from '../../lib/store/store.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { collect } from '../support/simulator.ts';

const PATH = parseStorePath('metal/x86_64/timestamp.json');
const STORES: Readonly<Record<string, (t: TestContext) => Promise<Store>>> = {
  'a directory': async (t) => createDirectoryStore(join(await temporaryDirectory(t), 'public')),
  'in memory': async () => createMemoryStore(),
};

async function put(store: Store, text: string, expect: Expect): Promise<StoreVersion> {
  return store.write(PATH, bytesSource(Buffer.from(text)), { expect, cacheClass: 'revalidate', contentType: 'application/json' });
}

async function textOf(store: Store): Promise<string> {
  return (await collect((await store.read(PATH)).body)).toString();
}

async function listed(store: Store, prefix: string): Promise<readonly ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  for await (const info of store.list(prefix)) found.push(info);
  return found;
}

for (const [kind, make] of Object.entries(STORES)) {
  test(`a store keeps what was written when it is ${kind}`, async (t) => {
    const store = await make(t);
    await assert.rejects(store.read(PATH), { code: 'store/missing', details: { path: PATH } });
    assert.equal(await store.head(PATH), undefined);
    const seen: number[] = [];
    const version = await store.write(PATH, bytesSource(Buffer.from('one')), {
      expect: 'absent',
      cacheClass: 'revalidate',
      contentType: 'application/json',
      onProgress: (bytes) => seen.push(bytes),
    });
    assert.deepEqual(seen, [3]);
    const { info } = await store.read(PATH);
    assert.deepEqual([info.path, info.lengthBytes, info.version], [PATH, 3, version]);
    assert.deepEqual(await store.head(PATH), info);
    assert.deepEqual(await listed(store, 'metal/'), [info]);
    assert.deepEqual(await listed(store, 'targets/'), []);
    await store.remove(PATH);
    await store.remove(PATH);
    assert.equal(await store.head(PATH), undefined);
  });

  test(`a store lets one write win and tells the others what it found when it is ${kind}`, async (t) => {
    const store = await make(t);
    const first = await put(store, 'one', 'absent');
    await assert.rejects(put(store, 'two', 'absent'), {
      code: 'store/conflict',
      details: { path: PATH, expected: 'nothing', found: `version ${first}` },
    });
    const outcomes = await Promise.allSettled(['a', 'b', 'c'].map(async (text) => put(store, text, { version: first })));
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
    const found = (await store.head(PATH))?.version;
    assert.notEqual(found, first);
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      assert.equal(outcome.reason.code, 'store/conflict');
      assert.deepEqual(outcome.reason.details, { path: PATH, expected: `version ${first}`, found: `version ${found}` });
    }
    const winner = outcomes.findIndex(({ status }) => status === 'fulfilled');
    assert.equal(await textOf(store), ['a', 'b', 'c'][winner]);
    // Equal bytes are another version: what was replaced is gone.
    const again = await put(store, await textOf(store), { version: found ?? first });
    assert.notEqual(again, found);
  });

  test(`a store writes nothing when its source is not what it says and it is ${kind}`, async (t) => {
    const store = await make(t);
    const source = { ...bytesSource(Buffer.from('one')), sha256: '0'.repeat(64) };
    const options = { expect: 'absent', cacheClass: 'immutable', contentType: 'text/plain' } as const;
    await assert.rejects(store.write(PATH, source, options), { code: 'store/source-changed', details: { path: PATH } });
    assert.equal(await store.head(PATH), undefined);
  });
}

test('createMemoryStore() fails before or after the effect, or lies, when its hooks say so', async () => {
  let failing: 'before' | 'after' | undefined = 'before';
  const failWhen = (now: 'before' | 'after') => (call: string) => {
    if (failing === now && call === 'write') throw new RangeError(now);
  };
  const store = createMemoryStore({ before: failWhen('before'), after: failWhen('after'), lie: (_, bytes) => bytes.subarray(1) });
  await assert.rejects(put(store, 'one', 'absent'), { message: 'before' });
  assert.equal(await store.head(PATH), undefined);
  failing = 'after';
  await assert.rejects(put(store, 'one', 'absent'), { message: 'after' });
  failing = undefined;
  assert.equal((await store.head(PATH))?.lengthBytes, 3);
  assert.equal(await textOf(store), 'ne');
});

/** What every store promises, kept by the stores that need no server. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createDirectoryStore } from '../../lib/store/directory.ts';
import { parseStorePath } from '../../lib/store/path.ts';
import { bytesSource } from '../../lib/store/source.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { collect } from '../support/bytes.ts';
import { testCancelling, testStoreContract, type StoreKind } from '../support/store-contract.ts';

const DIRECTORY: StoreKind = {
  name: 'a directory',
  versionOfEqualBytes: 'other',
  listedObjects: 50,
  cancelled: 'removed',
  make: async (t) => {
    const root = join(await temporaryDirectory(t), 'public');
    return { store: createDirectoryStore(root), leftovers: async () => readdir(join(root, '.gantry', 'uploads')).catch(() => []) };
  },
};

testStoreContract(DIRECTORY);
testCancelling(DIRECTORY);

testStoreContract({
  name: 'in memory',
  versionOfEqualBytes: 'other',
  listedObjects: 50,
  cancelled: 'removed',
  make: async () => ({ store: createMemoryStore(), leftovers: async () => [] }),
});

test('createMemoryStore() fails before or after the effect, or lies, when its hooks say so', async () => {
  const path = parseStorePath('metal/x86_64/timestamp.json');
  let failing: 'before' | 'after' | undefined = 'before';
  const failWhen = (now: 'before' | 'after') => (call: string) => {
    if (failing === now && call === 'write') throw new RangeError(now);
  };
  const store = createMemoryStore({ before: failWhen('before'), after: failWhen('after'), lie: (_, bytes) => bytes.subarray(1) });
  const put = async (text: string): Promise<unknown> =>
    store.write(path, bytesSource(Buffer.from(text)), { expect: 'absent', cacheClass: 'revalidate', contentType: 'text/plain' });
  await assert.rejects(put('one'), { message: 'before' });
  assert.equal(await store.head(path), undefined);
  failing = 'after';
  await assert.rejects(put('one'), { message: 'after' });
  failing = undefined;
  assert.equal((await store.head(path))?.lengthBytes, 3);
  assert.equal((await collect((await store.read(path)).body)).toString(), 'ne');
});

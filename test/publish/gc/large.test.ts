/** Garbage collection of a large store: memory grows with names, never with what lies behind them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parseStorePath } from '../../../lib/store/path.ts';
import type { ObjectInfo, Store, StoreVersion } from '../../../lib/store/store.ts';
import { engineerWithRoot } from '../../support/engineer.ts';
import { delegate } from '../../support/faulty-store.ts';
import { Gardener, GRACE_MS } from '../../support/garbage.ts';
import { createMemoryStore } from '../../support/memory-store.ts';

const OBJECTS = 100_000;
const LIMIT_BYTES = 150 << 20;

setFlagsFromString('--expose-gc');
// Proof: the flag defines it, and nothing else is called gc in a new context.
const collectHeap = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collectHeap();
  return process.memoryUsage().heapUsed;
}

test('planCollection() decides on 100,000 objects in bounded memory', async (t) => {
  const gardener = new Gardener(await engineerWithRoot(t, new Date()), createMemoryStore());
  await gardener.release('1.0.0');
  gardener.pass(2 * GRACE_MS);
  const inner = gardener.store;
  const written = new Date(gardener.now.getTime() - 2 * GRACE_MS);
  const store: Store = {
    ...delegate(inner),
    async *list(prefix): AsyncGenerator<ObjectInfo, void, undefined> {
      yield* inner.list(prefix);
      for (let index = 0; index < OBJECTS; index += 1) {
        const digest = createHash('sha256').update(`${index}`).digest('hex');
        const path = parseStorePath(`targets/${digest}.my-os-metal-x86_64-1.${index}.0-9c41e7d0-root.ext4.zst`);
        yield { path, lengthBytes: 1 << 30, version: `"${digest.slice(0, 32)}"` as StoreVersion, modified: written };
      }
    },
  };
  const before = heapBytes();
  const started = performance.now();
  const decision = await gardener.plan(GRACE_MS, store);
  const seconds = (performance.now() - started) / 1000;
  const grown = heapBytes() - before;
  t.diagnostic(`${OBJECTS} objects: ${Math.round(grown / 2 ** 20)} MiB, ${seconds.toFixed(1)} s`);
  assert.equal(decision.mark.length, OBJECTS);
  assert.ok(grown < LIMIT_BYTES, `${grown}`);
});

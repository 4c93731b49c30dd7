import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';
import { createPartBuffers } from '../../lib/store/s3/part-buffers.ts';

test('take() waits while the budget is out, and is served in the order of asking', async () => {
  const buffers = createPartBuffers(20);
  const [first, second] = [await buffers.take(10), await buffers.take(10)];
  const served: string[] = [];
  const large = buffers.take(15).then((buffer) => (served.push('large'), buffer));
  const small = buffers.take(5).then((buffer) => (served.push('small'), buffer));
  await turn();
  buffers.giveBack(first);
  await turn();
  // 15 bytes do not fit yet, and whoever came later does not overtake.
  assert.deepEqual(served, []);
  buffers.giveBack(second.subarray(0, 3));
  assert.deepEqual([(await large).length, (await small).length], [15, 5]);
  assert.deepEqual(served, ['large', 'small']);
});

test('take() gives more than the budget when nothing else is out', async () => {
  const buffers = createPartBuffers(20);
  const large = await buffers.take(50);
  let isServed = false;
  const next = buffers.take(1).then(() => (isServed = true));
  await turn();
  assert.equal(isServed, false);
  buffers.giveBack(large);
  await next;
});

test('during() keeps buffers for the next part until nobody sends any more', async () => {
  const buffers = createPartBuffers(20);
  const takeOne = async (): Promise<ArrayBufferLike> => {
    const buffer = await buffers.take(10);
    buffers.giveBack(buffer);
    return buffer.buffer;
  };
  const [one, again] = await buffers.during(async () => [await takeOne(), await takeOne()] as const);
  assert.equal(one, again);
  assert.notEqual(await buffers.during(takeOne), one);
  await assert.rejects(
    buffers.during(async () => Promise.reject(new Error('lost'))),
    /lost/u,
  );
});

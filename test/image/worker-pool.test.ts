import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { isGantryError } from '../../lib/errors.ts';
import { createWorkerPool, inOrder, sharedPool } from '../../lib/image/worker-pool.ts';
import { imageBytes } from '../support/bytes.ts';
import { poolOf, practicePool } from '../support/pool.ts';

const run = promisify(execFile);
const at = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);

test('the pool of the process is one and has a thread for each core', () => {
  assert.equal(sharedPool(), sharedPool());
  assert.equal(sharedPool().threads, availableParallelism());
});

test('createWorkerPool() throws a RangeError when the number of threads does not exist', () => {
  for (const threads of [0, -1, 1.5, Number.NaN]) assert.throws(() => createWorkerPool({ threads }), RangeError);
});

test('run() compresses and decompresses a frame in threads of the real script', async (t) => {
  const pool = poolOf(t, 2);
  const raw = new Uint8Array(imageBytes(5000));
  const expected = { rawLengthBytes: 5000, rawSha256: hash('sha256', raw) };
  const input = { raw: raw.buffer, rawLengthBytes: 5000, level: 3 };
  const { bytes, frame, raw: back } = await pool.run('compress-frame', input, { transfer: [raw.buffer] });
  assert.equal(raw.length, 0, 'the buffer was copied');
  assert.deepEqual(frame, { lengthBytes: bytes.length, sha256: hash('sha256', bytes), ...expected });
  const again = await pool.run('decompress-frame', { bytes, frame, index: 0 });
  assert.deepEqual(Buffer.from(again.raw), Buffer.from(back));
});

test('run() starts a thread only when a job finds none free, and no more than the pool has', async (t) => {
  const pool = practicePool(t, 2);
  assert.equal(pool.started, 0);
  await pool.run('sleep', 0);
  await pool.run('sleep', 0);
  assert.equal(pool.started, 1);
  const seen = await Promise.all(Array.from({ length: 8 }, async () => pool.run('sleep', 20)));
  assert.equal(pool.started, 2);
  assert.equal(new Set(seen).size, 2);
});

test('run() hands a buffer over and gets the same bytes back', async (t) => {
  const pool = practicePool(t, 1);
  const bytes = new Uint8Array([1, 2, 3]);
  const back = await pool.run('echo', bytes.buffer, { transfer: [bytes.buffer] });
  assert.deepEqual([bytes.length, [...new Uint8Array(back)]], [0, [1, 2, 3]]);
});

test('run() throws what the job throws, with code, details and cause', async (t) => {
  const pool = practicePool(t, 1);
  const error: unknown = await pool.run('refuse', 7).catch((thrown: unknown) => thrown);
  assert.ok(isGantryError(error, 'image/bad-frame'));
  assert.equal(error.message, 'Cannot decompress frame 7: it is bad');
  assert.deepEqual(error.details, { frame: 7 });
  assert.match(String(error.cause instanceof Error && error.cause.stack), /practice-worker/u);
  await assert.rejects(pool.run('misuse', 'RangeError'), RangeError);
  await assert.rejects(pool.run('misuse', 'TypeError'), TypeError);
  await assert.rejects(pool.run('misuse', 'Error'), { name: 'Error', message: 'just so' });
  assert.equal(pool.started, 1, 'a job that fails must not cost a thread');
});

test('run() rejects an input that cannot cross, and goes on', async (t) => {
  const pool = practicePool(t, 1);
  const detached = new ArrayBuffer(8);
  structuredClone(detached, { transfer: [detached] });
  await assert.rejects(pool.run('echo', detached, { transfer: [detached] }), { name: 'DataCloneError' });
  assert.equal(typeof (await pool.run('sleep', 0)), 'number');
});

for (const how of ['exit', 'throw', 'memory'] as const) {
  test(`run() says image/worker-died, and the pool goes on, when the thread dies by ${how}`, { timeout: 120_000 }, async (t) => {
    const pool = practicePool(t, 1);
    const dead = pool.run('die', how);
    const behind = pool.run('sleep', 0);
    const waiting = pool.run('sleep', 0);
    const outcomes = await Promise.allSettled([dead, behind, waiting]);
    const errors = outcomes.map((one) => (one.status === 'rejected' && isGantryError(one.reason) ? one.reason.code : 'done'));
    // What throws outside of its job may have answered before, and let the thread have the next job.
    if (how === 'throw') assert.equal(errors[1], 'image/worker-died');
    else assert.deepEqual(errors, ['image/worker-died', 'image/worker-died', 'done']);
    assert.equal(typeof (await pool.run('sleep', 0)), 'number');
    assert.equal(pool.started, 1);
  });
}

test('run() says image/worker-died, and does not hang, when the script is missing', async (t) => {
  const pool = createWorkerPool({ threads: 1, script: new URL('no-such-worker.ts', import.meta.url) });
  t.after(async () => pool.close());
  for (let round = 0; round < 2; round += 1) {
    const input = { raw: new ArrayBuffer(1), rawLengthBytes: 1, level: 3 };
    await assert.rejects(pool.run('compress-frame', input), { code: 'image/worker-died', message: /no-such-worker/u });
  }
});

test('run() stops with the code `aborted` when the signal fires, waiting or under way', async (t) => {
  const pool = practicePool(t, 1);
  await assert.rejects(pool.run('sleep', 0, { signal: AbortSignal.abort() }), { code: 'aborted' });
  assert.equal(pool.started, 0);
  const controller = new AbortController();
  const { signal } = controller;
  const jobs = [1, 2, 3, 4].map(async (_, index) => pool.run('sleep', 100, index === 3 ? {} : { signal }));
  const outcomes = Promise.allSettled(jobs);
  controller.abort();
  const settled = await outcomes;
  assert.deepEqual(
    settled.map((one) => (one.status === 'rejected' ? isGantryError(one.reason, 'aborted') : 'done')),
    [true, true, true, 'done'],
  );
});

test('run() throws a RangeError when a thousand jobs wait already', async (t) => {
  const pool = practicePool(t, 1);
  const jobs = Array.from({ length: 1026 }, async () => pool.run('sleep', 0));
  await assert.rejects(pool.run('sleep', 0), RangeError);
  assert.equal((await Promise.all(jobs)).length, 1026);
});

test('close() ends the threads and fails what is not done, and the next job starts new ones', async (t) => {
  const pool = practicePool(t, 1);
  const outcomes = Promise.allSettled([1, 2, 3].map(async () => pool.run('sleep', 5000)));
  await pool.close();
  for (const outcome of await outcomes) assert.ok(outcome.status === 'rejected' && isGantryError(outcome.reason, 'image/worker-died'));
  assert.equal(pool.started, 0);
  assert.equal(typeof (await pool.run('sleep', 0)), 'number');
});

test('a thread sees neither variables nor options of the process', async (t) => {
  const { variables, options } = await practicePool(t, 1).run('environment', null);
  assert.deepEqual([variables, options], [[], []]);
});

test('a pool keeps its process alive while a job runs, and not after', { timeout: 30_000 }, async () => {
  const script = `
    import { createWorkerPool } from ${at('../../lib/image/worker-pool.ts')};
    const pool = createWorkerPool({ threads: 2, script: new URL(${at('../support/practice-worker.ts')}) });
    await pool.run('sleep', 300);
    console.log('done');`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script]);
  assert.equal(stdout, 'done\n');
});

async function* upTo(count: number, seen: number[]): AsyncGenerator<number, void, undefined> {
  for (let next = 0; next < count; next += 1) {
    seen.push(next);
    yield next;
  }
}

test('inOrder() gives outputs in the order of the inputs, and takes no more inputs than are wanted, and one', async () => {
  const taken: number[] = [];
  const given: number[] = [];
  let underWay = 0;
  const slow = async (input: number): Promise<number> => {
    underWay += 1;
    assert.ok(underWay <= 3);
    await new Promise((resolve) => void setTimeout(resolve, (input % 3) * 5));
    underWay -= 1;
    return input;
  };
  for await (const output of inOrder(upTo(20, taken), slow, { atOnce: 3 })) {
    given.push(output);
    assert.ok(taken.length <= given.length + 3);
  }
  assert.deepEqual(given, taken);
  assert.equal(given.length, 20);
});

test('inOrder() throws the first failure in order, after every job has settled', async () => {
  let settled = 0;
  const jobs = async (input: number): Promise<number> => {
    await new Promise((resolve) => void setTimeout(resolve, 20 - input * 5));
    settled += 1;
    if (input > 0) throw new Error(`job ${input}`);
    return input;
  };
  const outputs: number[] = [];
  await assert.rejects(
    async () => {
      for await (const output of inOrder(upTo(4, []), jobs, { atOnce: 4 })) outputs.push(output);
    },
    { message: 'job 1' },
  );
  assert.deepEqual([outputs, settled], [[0], 4]);
});

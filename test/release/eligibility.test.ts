import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  checkSeed,
  readyAt,
  readySeeds,
  scheduleOf,
  SEEDS,
  updateReady,
  type WaveRule,
  type WaveSchedule,
} from '../../lib/release/eligibility.ts';
import { instantOf, parseWaveTime, SECOND } from '../../lib/release/wave-time.ts';

/** Bottlerocket's default policy, started on 2025-03-03 at 17:00. */
const DEFAULT = scheduleOf({
  '0': '2025-03-03T18:00:00Z',
  '20': '2025-03-03T21:00:00Z',
  '102': '2025-03-04T17:00:00Z',
  '307': '2025-03-05T17:00:00Z',
  '819': '2025-03-07T17:00:00Z',
  '1228': '2025-03-08T17:00:00Z',
  '1843': '2025-03-09T17:00:00Z',
});
const START = instantOf(new Date('2025-03-03T17:00:00Z'));
const DAY = 86_400n * SECOND;
const share = (schedule: WaveSchedule, at: bigint, rule?: WaveRule): number => Math.round((readySeeds(schedule, at, rule) * 100) / SEEDS);

test('updateReady() opens to the nanosecond when stock hosts do', () => {
  const opens: Readonly<Record<number, string>> = {
    1: '2025-03-03T18:09:00Z',
    20: '2025-03-03T21:00:00Z',
    21: '2025-03-04T02:07:19.024390227Z',
    82: '2025-03-04T16:59:59.999999934Z',
    83: '2025-03-04T17:00:00Z',
    103: '2025-03-05T05:03:30.731707302Z',
    308: '2025-03-06T21:52:30Z',
    512: '2025-03-07T17:00:00Z',
    820: '2025-03-08T17:00:00Z',
    1229: '2025-03-09T17:00:00Z',
    1844: '2025-03-09T17:00:00Z',
    2047: '2025-03-09T17:00:00Z',
  };
  for (const [seed, text] of Object.entries(opens)) {
    const at = parseWaveTime(text) ?? 0n;
    assert.equal(readyAt(DEFAULT, Number(seed)), at, seed);
    assert.ok(updateReady(DEFAULT, Number(seed), at), seed);
    assert.ok(!updateReady(DEFAULT, Number(seed), at - 1n), seed);
  }
});

test('updateReady() never holds back seed 0, nor anybody without waves', () => {
  assert.ok(updateReady(DEFAULT, 0, 0n));
  assert.equal(readyAt(DEFAULT, 0), undefined);
  for (const seed of [0, 1, 2047]) assert.ok(updateReady({ bounds: [], times: [] }, seed, 0n));
});

test('readySeeds() gives the shares that stock hosts show, and those that were meant', () => {
  const minute = 60n * SECOND;
  const at = [1n, 2n, 3n, 4n, 5n, 6n].map((days) => START + days * DAY);
  assert.deepEqual(
    at.map((moment) => share(DEFAULT, moment)),
    [5, 15, 15, 40, 60, 100],
  );
  assert.deepEqual(
    at.map((moment) => share(DEFAULT, moment, 'relative')),
    [5, 15, 28, 40, 60, 100],
  );
  assert.deepEqual(
    at.slice(3).map((moment) => [share(DEFAULT, moment - minute), share(DEFAULT, moment - minute, 'relative')]),
    [
      [25, 40],
      [40, 60],
      [60, 90],
    ],
  );
});

test('updateReady() and readyAt() agree for every seed, at every joint of a schedule and between them', () => {
  for (const rule of ['stock', 'relative'] as const) {
    const moments = DEFAULT.times.flatMap((time) => [time - 1n, time, time + 1n, time + 3_333_333_333_333n]);
    for (let seed = 0; seed < SEEDS; seed += 1) {
      const open = readyAt(DEFAULT, seed, rule);
      for (const at of moments) assert.equal(updateReady(DEFAULT, seed, at, rule), open === undefined || at >= open, `${rule} ${seed}`);
    }
  }
});

test('updateReady() looks at bounds up to 2048, and leaves those beyond inert, as stock hosts do', () => {
  const [start, end] = ['2025-03-03T18:00:00Z', '2025-03-09T18:00:00Z'];
  const [opens, ends] = [parseWaveTime(start) ?? 0n, parseWaveTime(end) ?? 0n];
  for (const [bound, opened] of [
    ['2047', ends],
    ['2048', ends],
    ['2049', opens],
    ['4294967295', opens],
  ] as const) {
    const schedule = scheduleOf({ '2000': start, [bound]: end });
    assert.equal(readyAt(schedule, 2047), opened, bound);
    assert.equal(updateReady(schedule, 2047, opened), true, bound);
    assert.equal(updateReady(schedule, 2047, opened - 1n), false, bound);
    // Whoever is not behind the first bound has its turn by the same rule.
    assert.equal(readyAt(schedule, 2000), undefined);
  }
});

test('there are 2,048 seeds, and checkSeed() takes no other', () => {
  assert.equal(SEEDS, 2048);
  for (const seed of [0, 1, 2047]) assert.equal(checkSeed(seed), seed);
  for (const seed of [-1, 2048, 2049, 0.5, Number.NaN]) assert.throws(() => checkSeed(seed), { code: 'release/bad-seed' });
});

test('updateReady() divides seconds and nanoseconds apart, as stock hosts do', () => {
  const schedule = scheduleOf({ '0': '2025-03-03T18:00:00Z', '3': '2025-03-03T18:00:01.5Z' });
  assert.equal((readyAt(schedule, 1) ?? 0n) - (parseWaveTime('2025-03-03T18:00:00Z') ?? 0n), 333_333_333n + 166_666_666n);
});

test('updateReady() gives for unordered waves what stock hosts give', () => {
  const schedule = scheduleOf({ '0': '2025-03-03T18:00:00Z', '10': '2025-03-03T17:00:00Z' });
  assert.ok(updateReady(schedule, 5, parseWaveTime('2025-03-03T17:00:00Z') ?? 0n));
  assert.ok(!updateReady(schedule, 5, parseWaveTime('2025-03-03T16:59:59Z') ?? 0n));
});

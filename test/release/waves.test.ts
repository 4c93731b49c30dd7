import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readyTimes, scheduleOf, SEEDS } from '../../lib/release/eligibility.ts';
import { MILLISECOND, parseWaveTime, SECOND, waveTime } from '../../lib/release/wave-time.ts';
import { batches, orderedSchedule, smoothWaves, wavesFrom, type Waves } from '../../lib/release/waves.ts';

const HOUR = 3600n * SECOND;
const T0 = parseWaveTime('2026-03-03T18:00:00Z') ?? 0n;
const at = (hours: number): string => waveTime(T0 + BigInt(hours * 3600) * SECOND);
const boundsOf = (waves: Waves): readonly number[] => scheduleOf(waves).bounds;

test('orderedSchedule() takes bounds up to 2047 with times that grow by any step', () => {
  const waves = { '0': '2026-03-03T18:00:00Z', '2047': '2026-03-03T18:00:00.000000001Z' };
  assert.deepEqual(orderedSchedule(waves).bounds, [0, 2047]);
  assert.deepEqual(orderedSchedule({}), { bounds: [], times: [] });
});

test('orderedSchedule() names the bound that is beyond every seed, or whose time does not grow', () => {
  const cases: readonly (readonly [Waves, number, RegExp])[] = [
    [{ '0': at(0), '2048': at(1) }, 2048, /bound 2048: it is beyond every host's seed; expected bounds from 0 to 2047/u],
    [{ '4294967295': at(0) }, 4_294_967_295, /beyond every host's seed/u],
    [{ '0': at(1), '9': at(1) }, 9, /bound 9: its time 2026-03-03T19:00:00Z is not after the wave before it/u],
    [{ '0': at(0), '9': at(2), '10': at(1) }, 10, /bound 10: its time 2026-03-03T19:00:00Z is not after/u],
    // The same moment in two zones.
    [{ '0': '2026-03-03T18:00:00Z', '1': '2026-03-03T19:00:00+01:00' }, 1, /not after the wave before it/u],
  ];
  for (const [waves, bound, message] of cases) {
    assert.throws(() => orderedSchedule(waves), { code: 'release/bad-waves', details: { bound }, message });
  }
});

test('orderedSchedule() orders bounds by number, whatever their order in the file', () => {
  const waves = Object.fromEntries([
    ['100', at(2)],
    ['20', at(1)],
    ['4', at(0)],
  ]);
  assert.deepEqual(orderedSchedule(waves).bounds, [4, 20, 100]);
});

test('smoothWaves() keeps the wave that begins at bound 0, and narrows the others', () => {
  const smooth = smoothWaves({ '0': at(0), '20': at(3), '102': at(24), '307': at(48) });
  const bounds = boundsOf(smooth);
  assert.deepEqual(bounds.slice(0, 3), [0, 20, 40]);
  for (const joint of [102, 307]) assert.ok(bounds.includes(joint), `${joint} is a joint`);
  for (const [index, bound] of bounds.entries())
    if (index > 1 && bound <= 307) assert.ok(bound - (bounds[index - 1] ?? 0) <= 20, `${bound}`);
  assert.deepEqual([smooth['0'], smooth['20'], smooth['307']], [at(0), at(3), at(48)]);
  assert.equal(bounds.at(-1), 307);
});

test('smoothWaves() leaves a schedule as it is when stock hosts follow it already', () => {
  for (const waves of [{}, { '0': at(0) }, { '0': at(0), '1024': at(9) }, { '7': at(0) }] satisfies readonly Waves[])
    assert.deepEqual(smoothWaves(waves), waves);
});

test('smoothWaves() begins narrowly behind a first wave that is narrow', () => {
  const smooth = smoothWaves({ '1': at(0), '2047': at(2046) });
  // A batch may not be wider than the bound before it, or stock hosts would spread it, too early.
  assert.deepEqual(boundsOf(smooth).slice(0, 7), [1, 2, 4, 8, 16, 32, 52]);
  const [meant, stock] = [readyTimes(scheduleOf({ '1': at(0), '2047': at(2046) }), 'relative'), readyTimes(scheduleOf(smooth))];
  for (let seed = 2; seed < SEEDS; seed += 1) {
    const late = (stock[seed] ?? 0n) - (meant[seed] ?? 0n);
    assert.ok(late >= 0n && late < 20n * HOUR, `seed ${seed}: ${late}`);
  }
});

test('smoothWaves() writes milliseconds where batches share a second, and lets go together what is due within one', () => {
  const within = (duration: bigint): Waves => smoothWaves({ '0': at(0), '1023': at(1), '2047': waveTime(T0 + HOUR + duration) });
  const seconds = within(4n * SECOND);
  assert.deepEqual([seconds['1043'], seconds['1063']], ['2026-03-03T19:00:00.079Z', '2026-03-03T19:00:00.157Z']);
  assert.equal(Object.values(seconds).at(-1), '2026-03-03T19:00:04Z');
  const milliseconds = within(2n * MILLISECOND);
  assert.deepEqual(Object.values(milliseconds), [at(0), at(1), '2026-03-03T19:00:00.001Z', '2026-03-03T19:00:01Z']);
});

test('smoothWaves() refuses what cannot be ordered', () => {
  assert.throws(() => smoothWaves({ '0': at(1), '20': at(0) }), { code: 'release/bad-waves', details: { bound: 20 } });
});

test('batches() ends a batch at its widest, at a joint, and before a host that would have to wait too long for it', () => {
  const times = Array.from({ length: SEEDS }, (_, seed) => T0 + BigInt(seed) * HOUR);
  const after = { bound: 100, time: T0 + 100n * HOUR };
  const ends = (limits?: Parameters<typeof batches>[2]): readonly number[] => batches(times, after, limits).map(({ bound }) => bound);
  assert.deepEqual(ends().slice(0, 3), [120, 140, 160]);
  assert.deepEqual(ends({ joints: new Set([107]) }).slice(0, 3), [107, 127, 147]);
  assert.deepEqual(ends({ maxSpan: 4n * HOUR }).slice(0, 3), [105, 110, 115]);
  assert.deepEqual(ends({ maxSpan: 0n }).slice(0, 3), [101, 102, 103]);
  const last = batches(times, after).at(-1);
  assert.deepEqual(last, { bound: 2047, time: T0 + 2047n * HOUR });
});

test('batches() needs one wave for all hosts that come at the same time in the end, and none when they are due already', () => {
  const [soon, late] = [T0, T0 + HOUR];
  const times = Array.from({ length: SEEDS }, (_, seed) => (seed < 500 ? soon : late));
  assert.deepEqual(batches(times, { bound: 499, time: soon }), [{ bound: 500, time: late }]);
  assert.deepEqual(batches(times, { bound: 499, time: late }), []);
});

test('wavesFrom() writes the bounds in their order', () => {
  assert.deepEqual(wavesFrom([{ bound: 3, time: T0 }]), { '3': '2026-03-03T18:00:00Z' });
});

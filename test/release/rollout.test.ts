import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readyTimes, readySeeds, scheduleOf, SEEDS } from '../../lib/release/eligibility.ts';
import type { Update } from '../../lib/release/manifest.ts';
import { accelerateRollout, isOffered, offeredSeeds, pauseRollout, replaceWaves, resumeRollout } from '../../lib/release/rollout.ts';
import { instantOf, parseWaveTime, SECOND, waveTime } from '../../lib/release/wave-time.ts';
import { orderedSchedule, type Waves } from '../../lib/release/waves.ts';

const T0 = parseWaveTime('2026-03-03T18:00:00Z') ?? 0n;
const DAY = 86_400n * SECOND;
const hours = (count: number): Date => new Date(Number(T0 / 1_000_000n) + count * 3_600_000);
const at = (count: number): string => waveTime(instantOf(hours(count)));
const offeredAt = ({ waves }: Update, date: Date): number => readySeeds(scheduleOf(waves), instantOf(date));

/** 2048 hours for 2047 hosts: seed n comes at hour n. */
const STEADY: Waves = { '0': at(0), '2047': at(2047) };

function update(waves: Waves, gantry?: Update['gantry']): Update {
  return {
    variant: 'metal',
    arch: 'x86_64',
    version: '1.2.0',
    max_version: '1.2.0',
    waves,
    images: { boot: 'b', root: 'r', hash: 'h' },
    ...(gantry === undefined ? {} : { gantry }),
  };
}

const refused = (work: () => unknown, state: 'paused' | 'not-paused' | 'done' | 'done-by-then', message: RegExp): void => {
  assert.throws(work, { code: 'release/rollout', details: { variant: 'metal', arch: 'x86_64', version: '1.2.0', state }, message });
};

test('pauseRollout() holds everyone above the host whose turn it is, and keeps the schedule as it was', () => {
  const held = pauseRollout(update(STEADY), hours(9.5), hours(10));
  assert.deepEqual(held, {
    ...update(STEADY),
    // Seed 10 comes at the moment itself; seed 11 in 20 years.
    waves: { '9': waveTime(instantOf(hours(9.5))), '10': at(10), '11': waveTime(T0 + 10n * 3600n * SECOND + 20n * 365n * DAY) },
    gantry: { paused: { at: at(10), waves: STEADY } },
  });
  for (const [date, seeds] of [
    [9.5, 10],
    [9.99, 10],
    [10, 11],
    [87_600, 11],
  ] as const)
    assert.equal(offeredAt(held, hours(date)), seeds, `${date} hours`);
});

test('pauseRollout() holds all hosts but seed 0 when it comes before the first wave', () => {
  const held = pauseRollout(update(STEADY), hours(-2), hours(-1));
  assert.deepEqual(scheduleOf(held.waves).bounds, [0, 1]);
  assert.equal(offeredAt(held, hours(87_600)), 1);
  assert.equal(offeredSeeds(held, instantOf(hours(87_600))), 1);
  const resumed = resumeRollout(held, hours(100), hours(100));
  const times = readyTimes(scheduleOf(resumed.waves));
  assert.deepEqual([times[0], times[1]], [undefined, T0 + 102n * 3600n * SECOND]);
});

test('pauseRollout() lets nobody in again when it is published later than it was computed for', () => {
  // Whoever was ready at `from` keeps it: the pause cannot hold before that.
  const held = pauseRollout(update(STEADY), hours(20), hours(10));
  assert.deepEqual(held.gantry?.paused?.at, at(20));
  assert.deepEqual(scheduleOf(held.waves).bounds, [20, 21]);
  assert.equal(offeredAt(held, hours(20)), 21);
});

test('pauseRollout() rounds its moment up to the second', () => {
  const held = pauseRollout(update(STEADY), hours(1), new Date(hours(2).getTime() + 1));
  assert.equal(held.gantry?.paused?.at, waveTime(instantOf(hours(2)) + SECOND));
});

test('pauseRollout() and accelerateRollout() refuse a rollout of which nothing is left', () => {
  for (const waves of [{}, { '0': at(-1) }, { '0': at(-9), '2047': at(0) }, { '2047': at(99) }] satisfies readonly Waves[]) {
    const done = update(waves);
    refused(
      () => pauseRollout(done, hours(0), hours(0)),
      'done',
      /^Cannot pause 1\.2\.0 of metal\/x86_64: every host may have it already$/u,
    );
    refused(() => accelerateRollout(done, hours(0), hours(0), 2), 'done', /^Cannot accelerate 1\.2\.0 of metal\/x86_64: every host may/u);
  }
});

test('pauseRollout() and accelerateRollout() say when the last host comes before they would hold', () => {
  const short = update({ '0': at(0), '2047': at(100) });
  const message = /: every host may have it from 2026-03-07T22:00:00Z on, before that holds; expected a moment before$/u;
  refused(() => pauseRollout(short, hours(0), hours(100)), 'done-by-then', message);
  refused(() => accelerateRollout(short, hours(99), hours(200), 2), 'done-by-then', message);
  refused(() => pauseRollout(short, hours(100), hours(100)), 'done', /: every host may have it already$/u);
  assert.equal(pauseRollout(short, hours(0), hours(99.9)).gantry?.paused?.at, waveTime(instantOf(hours(99.9))));
});

test('pauseRollout() refuses a rollout whose pause is still to come, and pauses it anew once that is taken back', () => {
  const meant = update(STEADY, { notes: 'x', waves: { '0': at(0), '2047': at(4000) } });
  const first = pauseRollout(meant, hours(9), hours(50));
  for (const moved of [20, 30, 70]) {
    refused(() => pauseRollout(first, hours(20), hours(moved)), 'paused', /it is paused from/u);
    const resumed = resumeRollout(first, hours(20), hours(20));
    assert.deepEqual(pauseRollout(resumed, hours(20), hours(moved)), pauseRollout(meant, hours(20), hours(moved)));
  }
});

test('pauseRollout() and accelerateRollout() refuse a paused rollout, resumeRollout() one that is not', () => {
  const held = pauseRollout(update(STEADY), hours(9), hours(10));
  refused(
    () => pauseRollout(held, hours(11), hours(12)),
    'paused',
    /^Cannot pause 1\.2\.0 of metal\/x86_64: it is paused from 2026-03-04T04:00:00Z on$/u,
  );
  refused(() => accelerateRollout(held, hours(11), hours(12), 2), 'paused', /^Cannot accelerate .*: it is paused from/u);
  refused(
    () => resumeRollout(update(STEADY), hours(1), hours(1)),
    'not-paused',
    /^Cannot resume 1\.2\.0 of metal\/x86_64: it is not paused$/u,
  );
  refused(() => resumeRollout(resumeRollout(held, hours(20), hours(20)), hours(30), hours(30)), 'not-paused', /it is not paused/u);
});

test('pauseRollout(), resumeRollout() and accelerateRollout() refuse waves that stock tools refuse', () => {
  const unordered = update({ '0': at(2000), '20': at(1999) });
  for (const work of [
    () => pauseRollout(unordered, hours(0), hours(1)),
    () => accelerateRollout(unordered, hours(0), hours(1), 2),
    () => resumeRollout({ ...unordered, gantry: { paused: { at: at(0), waves: unordered.waves } } }, hours(1), hours(1)),
  ])
    assert.throws(work, { code: 'release/bad-waves', details: { bound: 20 } });
});

test('resumeRollout() takes back a pause whose moment has not come, and leaves no trace of it', () => {
  const before = update(STEADY);
  const held = pauseRollout(before, hours(9), hours(10));
  for (const date of [9, 9.5, 10]) assert.deepEqual(resumeRollout(held, hours(8), hours(date)), before);
  const extras = update(STEADY, { notes: 'x' });
  assert.deepEqual(resumeRollout(pauseRollout(extras, hours(9), hours(10)), hours(9), hours(10)), extras);
});

test('resumeRollout() shifts the turns that were still to come by the length of the pause', () => {
  const resumed = resumeRollout(pauseRollout(update(STEADY), hours(1000), hours(1000)), hours(1500), hours(1500));
  assert.equal(resumed.gantry?.paused, undefined);
  assert.deepEqual(resumed.gantry?.waves, { '0': at(0), '1000': at(1000), '1001': at(1501), '2047': at(2547) });
  for (const [date, agents] of [
    [1500, 1001],
    [1501, 1002],
    [2000, 1501],
    [2547, SEEDS],
  ] as const) {
    assert.equal(offeredSeeds(resumed, instantOf(hours(date))), agents, `agents after ${date} hours`);
    const behind = agents - offeredAt(resumed, hours(date));
    assert.ok(behind >= 0 && behind < 20, `stock hosts are ${behind} behind after ${date} hours`);
  }
});

test('resumeRollout() forgets what only the pause said, and keeps what else was said', () => {
  const known = update(STEADY, { severity: 'critical', notes: 'x' });
  const held = pauseRollout({ ...known, gantry: Object.assign({ vendor: [1] }, known.gantry) }, hours(9), hours(10));
  const { waves, ...extras } = resumeRollout(held, hours(20), hours(20)).gantry ?? {};
  assert.deepEqual(extras, { severity: 'critical', notes: 'x', vendor: [1] });
  assert.deepEqual(Object.keys(waves ?? {}), ['0', '10', '11', '2047']);
});

test('accelerateRollout() divides what is left, for stock hosts and our own', () => {
  const fast = accelerateRollout(update(STEADY), hours(1000), hours(1000), 4);
  assert.deepEqual(fast.gantry, { waves: { '0': at(0), '1000': at(1000), '1001': at(1000.25), '2047': at(1261.75) } });
  assert.equal(scheduleOf(fast.waves).times.at(-1), instantOf(hours(1261.75)));
  assert.equal(offeredAt(fast, hours(1000)), 1001);
  assert.equal(offeredSeeds(fast, instantOf(hours(1100))), 1401);
  const behind = 1401 - offeredAt(fast, hours(1100));
  assert.ok(behind >= 0 && behind < 20, `${behind} behind`);
});

test('resumeRollout() lets none of our own agents wait longer that had the update before the pause', () => {
  const meant = { '0': at(0), '701': at(37), '2047': at(4000) };
  const turns = (waves: Update['waves'] = {}): readonly (bigint | undefined)[] => readyTimes(orderedSchedule(waves), 'relative');
  const before = turns(meant);
  for (const pausedAt of [1.01, 5.003, 20.2]) {
    const hold = instantOf(hours(pausedAt));
    const held = pauseRollout(update(STEADY, { waves: meant }), hours(0), hours(pausedAt));
    const after = turns(resumeRollout(held, hours(30), hours(40)).gantry?.waves);
    const later = before.flatMap((time, seed) => (time !== undefined && time <= hold && (after[seed] ?? 0n) > time ? [seed] : []));
    assert.deepEqual(later, []);
  }
});

test('accelerateRollout() brings a start that is still to come nearer', () => {
  const fast = accelerateRollout(update({ '0': at(100), '2047': at(200) }), hours(0), hours(0), 10);
  assert.equal(offeredAt(fast, hours(9.99)), 1);
  assert.ok(offeredAt(fast, hours(15)) > 1000);
  assert.equal(offeredAt(fast, hours(20)), SEEDS);
});

test('accelerateRollout() refuses a factor that does not make it faster', () => {
  for (const factor of [1, 0.5, 0, -2, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(() => accelerateRollout(update(STEADY), hours(0), hours(0), factor), RangeError, String(factor));
});

test('accelerateRollout() at its utmost lets everyone in within a minute or so', () => {
  const fast = accelerateRollout(update(STEADY), hours(10), hours(10), 1e6);
  assert.equal(offeredAt(fast, hours(10)), 11);
  assert.equal(offeredAt(fast, new Date(hours(10).getTime() + 120_000)), SEEDS);
});

test('replaceWaves() ends a pause and forgets the schedule that was meant before', () => {
  const held = pauseRollout(update(STEADY, { severity: 'low', waves: { '0': at(0) } }), hours(9), hours(10));
  assert.deepEqual(replaceWaves(held, { '0': at(5) }), update({ '0': at(5) }, { severity: 'low' }));
  assert.deepEqual(replaceWaves(held, { '0': at(5) }, { '0': at(4) }).gantry, { severity: 'low', waves: { '0': at(4) } });
  assert.ok(!('gantry' in replaceWaves(pauseRollout(update(STEADY), hours(9), hours(10)), {})));
});

test('isOffered() follows the schedule that was meant, and waits while it is paused', () => {
  const meant = { '0': at(0), '2047': at(2047) };
  const one = update({ '0': at(5000) }, { waves: meant });
  assert.deepEqual(
    [0, 99, 100, 101].map((seed) => isOffered(one, seed, instantOf(hours(100)))),
    [true, true, true, false],
  );
  const held = update({ '0': at(9000) }, { waves: meant, paused: { at: at(50), waves: { '0': at(5000) } } });
  assert.deepEqual(
    [50, 51].map((seed) => isOffered(held, seed, instantOf(hours(100)))),
    [true, false],
  );
  assert.equal(isOffered(held, 50, instantOf(hours(49))), false);
  // Nothing was meant but what the pause keeps.
  const plain = update({ '0': at(9000) }, { paused: { at: at(50), waves: meant } });
  assert.deepEqual(
    [50, 51].map((seed) => isOffered(plain, seed, instantOf(hours(100)))),
    [true, false],
  );
});

test('offeredSeeds() counts the seeds for which isOffered() is true', () => {
  const steady = update(STEADY);
  const held = pauseRollout(steady, hours(9), hours(10));
  for (const one of [steady, held, resumeRollout(held, hours(500), hours(500)), update({}), update({ '2047': at(9) })]) {
    for (const date of [-1, 5, 10, 600, 5000]) {
      const now = instantOf(hours(date));
      const counted = Array.from({ length: SEEDS }, (_, seed) => isOffered(one, seed, now)).filter(Boolean).length;
      assert.equal(offeredSeeds(one, now), counted, `${date} hours`);
    }
  }
});

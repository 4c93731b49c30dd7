/** Our wave arithmetic against chrono's, which stock hosts compute with: the same answer to the nanosecond, and never a panic. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { isGantryError } from '../../lib/errors.ts';
import { readyAt, scheduleOf, SEEDS, updateReady, type WaveSchedule } from '../../lib/release/eligibility.ts';
import type { Update } from '../../lib/release/manifest.ts';
import { accelerateRollout, pauseRollout, replaceWaves, resumeRollout } from '../../lib/release/rollout.ts';
import { parseWavePolicy, policyWaves } from '../../lib/release/wave-policy.ts';
import { dateOfInstant, instantOf, parseWaveTime, SECOND, type Instant } from '../../lib/release/wave-time.ts';
import { smoothWaves, type Waves } from '../../lib/release/waves.ts';
import { skipReason } from '../support/peers.ts';
import { startOracle, timeText, type Host, type Oracle } from './peers/chrono/oracle.ts';

const skip = await skipReason('chrono');

let oracle: Oracle;

before(async () => {
  if (skip === false) oracle = await startOracle();
});

after(async () => {
  if (skip === false) await oracle.close();
});

const START = instantOf(new Date('2026-03-03T17:00:00Z'));
const DAY = 86_400n * SECOND;
const YEAR = 365n * DAY;

const minutesLater = (minutes: number): Date => dateOfInstant(START + BigInt(minutes) * 60n * SECOND);

const updateWith = (waves: Waves, meant?: Waves): Update =>
  replaceWaves(
    { variant: 'metal', arch: 'x86_64', version: '1.2.0', max_version: '1.2.0', waves, images: { boot: 'b', root: 'r', hash: 'h' } },
    waves,
    meant,
  );

/** Around 2026, and up to 100 years after 1970: no seed makes stock hosts compute a date that they do not have. */
const second = fc.oneof(fc.bigInt(1_770_000_000n, 1_780_000_000n), fc.bigInt(0n, 100n * 365n * 86_400n)).map((s) => s * SECOND);
const nanosecond = fc.tuple(second, fc.bigInt(0n, SECOND - 1n)).map(([whole, fraction]) => whole + fraction);
/** Hosts look no further than 2048; what others wrote may. */
const bound = fc.oneof(
  { weight: 20, arbitrary: fc.integer({ min: 0, max: 2048 }) },
  { weight: 1, arbitrary: fc.integer({ min: 2049, max: 2 ** 32 - 1 }) },
);

/** Any waves that a manifest can hold: hosts compute with unordered ones, too. */
function anyWaves(time: fc.Arbitrary<Instant>): fc.Arbitrary<Waves> {
  return fc
    .tuple(fc.uniqueArray(bound, { maxLength: 12 }), fc.array(time, { minLength: 12, maxLength: 12 }), fc.boolean())
    .map(([bounds, times, isOrdered]) => {
      const inOrder = isOrdered ? times.toSorted((a, b) => (a < b ? -1 : 1)) : times;
      const ascending = bounds.toSorted((a, b) => a - b);
      return Object.fromEntries(ascending.map((one, index) => [String(one), timeText(inOrder[index] ?? 0n)]));
    });
}

/** Policies of one to eight waves that last from minutes to months. */
const policyText = fc
  .tuple(
    fc.uniqueArray(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 8 }),
    fc.uniqueArray(fc.integer({ min: 0, max: 90 * 24 * 60 }), { minLength: 8, maxLength: 8 }),
  )
  .map(([percentages, starts]) => {
    const sorted = starts.toSorted((a, b) => a - b);
    return percentages
      .toSorted((a, b) => a - b)
      .map((percentage, index) => `[[waves]]\nstart_after = "${sorted[index]} minutes"\nfleet_percentage = ${percentage}\n`)
      .join('\n');
  });

/** A release as `release add` drafts it, with exact waves or smooth ones. */
const rollout = fc.tuple(policyText, fc.boolean()).map(([text, isSmooth]): Update => {
  const exact = policyWaves(parseWavePolicy(text, 'policy.toml'), START);
  return isSmooth ? updateWith(smoothWaves(exact), exact) : updateWith(exact);
});

const step = fc.record({
  verb: fc.constantFrom('pause', 'resume', 'accelerate'),
  /** Minutes after the step before. */
  after: fc.integer({ min: 0, max: 20 * 24 * 60 }),
  lead: fc.integer({ min: 1, max: 300 }),
  factor: fc.integer({ min: 11, max: 200 }).map((tenths) => tenths / 10),
});

/** A rollout and what was made of it, step by step; a step that is refused leaves it as it was. */
const steered = fc.tuple(rollout, fc.array(step, { minLength: 1, maxLength: 4 })).map(([first, steps]) => {
  const updates = [first];
  let minutes = 0;
  let update = first;
  for (const { verb, after: wait, lead, factor } of steps) {
    minutes += wait;
    const [was, from, at] = [update, minutesLater(minutes), minutesLater(minutes + lead)];
    update = unlessRefused(was, () => {
      if (verb === 'pause') return pauseRollout(was, from, at);
      return verb === 'resume' ? resumeRollout(was, from, at) : accelerateRollout(was, from, at, factor);
    });
    updates.push(update);
  }
  return updates;
});

function unlessRefused(update: Update, change: () => Update): Update {
  try {
    return change();
  } catch (error) {
    if (isGantryError(error, 'release/rollout')) return update;
    throw error;
  }
}

/** Seeds at random, and those on either side of a bound. */
const picks = fc.record({ seeds: fc.array(fc.nat(SEEDS - 1), { maxLength: 6 }), bounds: fc.array(fc.nat(200), { maxLength: 6 }) });

function seedsOf(
  { bounds }: WaveSchedule,
  picked: { readonly seeds: readonly number[]; readonly bounds: readonly number[] },
): readonly number[] {
  const joints = picked.bounds.flatMap((index) => bounds[index % bounds.length] ?? []).flatMap((one) => [one, one + 1]);
  return [...new Set([0, SEEDS - 1, ...picked.seeds, ...joints])].filter((seed) => seed < SEEDS);
}

/** Each seed just before its turn, at it and just after it, and at some of the schedule's own times. */
function hostsOf(schedule: WaveSchedule, seeds: readonly number[]): readonly Host[] {
  return seeds.flatMap((seed, index) => {
    const turns = [readyAt(schedule, seed), schedule.times[(index * 7) % schedule.times.length]];
    return turns.flatMap((turn) => around(turn ?? 0n)).map((now) => ({ seed, now }));
  });
}

function around(instant: Instant): readonly Instant[] {
  return [instant - 1n, instant, instant + 1n];
}

async function assertSame(waves: Waves, hosts: readonly Host[]): Promise<void> {
  const schedule = scheduleOf(waves);
  const answers = await oracle.updateReady(waves, hosts);
  for (const [index, { seed, now }] of hosts.entries()) {
    assert.equal(updateReady(schedule, seed, now), answers[index], `seed ${seed} at ${timeText(now)}`);
  }
}

for (const [kind, time] of [
  ['whole seconds', second],
  ['nanoseconds', nanosecond],
] as const) {
  test(`updateReady() answers as stock hosts do for any waves in ${kind}`, { skip }, async () => {
    const property = fc.asyncProperty(anyWaves(time), picks, fc.array(time, { maxLength: 4 }), async (waves, picked, moments) => {
      const schedule = scheduleOf(waves);
      const seeds = seedsOf(schedule, picked);
      const anywhere = moments.flatMap((now) => seeds.map((seed) => ({ seed, now })));
      await assertSame(waves, [...hostsOf(schedule, seeds), ...anywhere]);
    });
    await fc.assert(property, { numRuns: 2000 });
  });
}

test('updateReady() answers as stock hosts do for exact, smooth, paused, resumed and accelerated waves', { skip }, async () => {
  const property = fc.asyncProperty(steered, picks, async (updates, picked) => {
    for (const { waves } of new Set(updates)) {
      const schedule = scheduleOf(waves);
      await assertSame(waves, hostsOf(schedule, seedsOf(schedule, picked)));
    }
  });
  await fc.assert(property, { numRuns: 700 });
});

/** A moment at which a host has to multiply: the beginning of its own wave. */
function beginningsOf({ bounds, times }: WaveSchedule): readonly Host[] {
  return Array.from({ length: SEEDS }, (_, seed) => ({ seed, now: times[bounds.findLastIndex((one) => one < seed)] ?? 0n }));
}

test('pauseRollout() writes no waves at which a stock host stops with a panic, whatever its seed', { skip }, async () => {
  const paused = steered
    .map((updates) => updates.filter(({ gantry }) => gantry?.paused !== undefined))
    .filter((updates) => updates.length > 0);
  const property = fc.asyncProperty(paused, async (updates) => {
    for (const { waves } of new Set(updates)) await assertSame(waves, beginningsOf(scheduleOf(waves)));
  });
  await fc.assert(property, { numRuns: 200 });
});

test('a stock host stops with a panic when the pause is to last 400 years, and not when it is to last 20 or 100', { skip }, async () => {
  const paused = pauseRollout(
    updateWith({ '0': timeText(START), '2000': timeText(START + DAY) }),
    dateOfInstant(START),
    dateOfInstant(START + DAY / 2n),
  );
  const [held = 0, far = 0] = scheduleOf(paused.waves).bounds.slice(-2);
  const ask = async (years: bigint): Promise<readonly (boolean | 'panic')[]> =>
    oracle.updateReady(
      { ...paused.waves, [far]: timeText(START + years * YEAR) },
      [held, far, far + 1].map((seed) => ({ seed, now: START + DAY })),
    );
  for (const years of [20n, 100n]) assert.deepEqual(await ask(years), [true, false, false]);
  assert.deepEqual(await ask(400n), [true, 'panic', false]);
});

test('a stock host stops with a panic when its seed is above 2048', { skip }, async () => {
  const hosts = [2047, 2048, 2049].map((seed) => ({ seed, now: START }));
  assert.deepEqual(await oracle.updateReady({ '0': timeText(START) }, hosts), [true, true, 'panic']);
});

const TEXTS = [
  '2026-03-03T18:00:00Z',
  '2026-03-03T18:00:00.1Z',
  '2026-03-03T18:00:00.1234567899Z',
  '2026-03-03T18:00:00.Z',
  '2026-03-03T18:00:00,5Z',
  '2026-3-3T7:1:2Z',
  '2026-003-03T18:00:00Z',
  '2026-03-03 18:00:00Z',
  '2026-03-03t18:00:00z',
  '2026-03-03_18:00:00Z',
  '2026-03-03T18:00:00 utc',
  '2026-03-03T18:00:00GMT',
  '2026-03-03T18:00:00',
  '2026-03-03T18:00Z',
  '2026-03-03',
  '2026-03-03T18:00:00+00:00',
  '2026-03-03T18:00:00-00:00',
  '2026-03-03T18:00:00+1:00',
  '2026-03-03T18:00:00+01',
  '2026-03-03T18:00:00+01 : 30',
  '2026-03-03T18:00:00\u221201:30',
  '2026-03-03T18:00:00+23:59',
  '2026-03-03T18:00:00+24:00',
  '2026-03-03T18:00:00+00:60',
  '2026-03-03T24:00:00Z',
  '2026-03-03T23:59:60Z',
  '2026-03-03T23:59:61Z',
  '2026-02-29T00:00:00Z',
  '2024-02-29T00:00:00Z',
  '1900-02-29T00:00:00Z',
  '0000-02-29T00:00:00Z',
  '-0001-12-31T23:59:59.5Z',
  '+12026-01-01T00:00:00Z',
  '12026-01-01T00:00:00Z',
  '+262142-12-31T23:59:59.999999999Z',
  '+262143-01-01T00:00:00Z',
  '',
];

/** Texts that are nearly times: something between the parts, parts out of range. */
const nearlyTime = (() => {
  const blank = fc.oneof(
    { weight: 12, arbitrary: fc.constant('') },
    { weight: 1, arbitrary: fc.constantFrom(' ', '\t', '\n', '\u00a0', '\u3000') },
  );
  const number = (max: number): fc.Arbitrary<string> =>
    fc.tuple(fc.nat(max), fc.constantFrom(1, 2, 2, 2, 2, 3)).map(([value, width]) => String(value).padStart(width, '0'));
  const mark = (usual: string, other: string): fc.Arbitrary<string> =>
    fc.oneof({ weight: 30, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constant(other) });
  const zone = fc.constantFrom('Z', 'z', 'UTC', 'uTc', '+00:00', '-01:30', '+0130', '\u221223:59', '+24:00', '-1:00', '+01', '+01\n45', '');
  const year = fc.constantFrom('2026', '2024', '1969', '26', '+2026', '-44', '+123456', '20261');
  const fraction = fc.constantFrom('', '', '.5', '.999999999', '.0000000019', '.');
  const parts = [year, mark('-', '/'), number(13), mark('-', '\u2212'), number(32), fc.constantFrom('T', 'T', 't', ' '), number(24)];
  const rest = [mark(':', '.'), number(60), mark(':', ''), number(61)];
  return fc.tuple(...[...parts, ...rest].flatMap((part) => [blank, part]), fraction, blank, zone, blank).map((words) => words.join(''));
})();

test('parseWaveTime() reads every text as stock hosts do, and refuses what they refuse', { skip }, async () => {
  const compare = async (texts: readonly string[]): Promise<void> => {
    const times = await oracle.readTimes(texts);
    for (const [index, text] of texts.entries()) assert.equal(parseWaveTime(text), times[index], JSON.stringify(text));
  };
  await compare(TEXTS);
  await fc.assert(fc.asyncProperty(fc.array(nearlyTime, { minLength: 20, maxLength: 100 }), compare), { numRuns: 200 });
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { scheduleOf, updateReady, type WaveRule, type WaveSchedule } from '../../lib/release/eligibility.ts';
import { parseRebootWindow, type RebootWindow } from '../../lib/release/reboot-windows.ts';
import { endOf, hostsAt, seriesOf, stepFor } from '../../lib/release/rollout-series.ts';
import { simulateRollout, type Rollout, type SimulationOptions, type Stage } from '../../lib/release/simulate.ts';
import { parseWavePolicy, policyWaves } from '../../lib/release/wave-policy.ts';
import { dateOfInstant, instantOf, SECOND, type Instant } from '../../lib/release/wave-time.ts';
import { smoothWaves, type Waves } from '../../lib/release/waves.ts';

/** A Monday, 17 o'clock. */
const START = instantOf(new Date('2025-03-03T17:00:00Z'));
const HOUR = 3600;
const DAY = 24 * HOUR;
const FLEET: SimulationOptions = { hosts: 100_000, from: START, pollSeconds: 2 * HOUR, rngSeed: 1 };

function wavesOf(policy: string): Waves {
  const path = join(import.meta.dirname, '../../repo-layout/policies/waves', `${policy}.toml`);
  return policyWaves(parseWavePolicy(readFileSync(path, 'utf8'), path), START);
}

const DEFAULT = scheduleOf(wavesOf('default-waves'));

function windowOf(text: string): RebootWindow {
  const window = parseRebootWindow(text);
  assert.ok(window !== undefined);
  return window;
}

const share = (rollout: Rollout, stage: Stage, seconds: number): number => (hostsAt(stage, rollout, seconds) / rollout.hosts) * 100;

function assertNear(actual: number, expected: number, tolerance: number, what?: string): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what ?? ''} ${actual} is not ${expected} ± ${tolerance}`);
}

const reachedAt = (stage: Stage, percent: number): number | undefined => stage.reached.find((one) => one.percent === percent)?.after;

test('simulateRollout() shows the jumps of the default policy as stock hosts compute it: 20 % on day 5, 40 % on day 6', () => {
  const rollout = simulateRollout(DEFAULT, 'stock', FLEET);
  const jumpAt = (day: number): number => share(rollout, rollout.offered, day * DAY) - share(rollout, rollout.offered, day * DAY - 60);
  assertNear(jumpAt(5), 20, 0.5);
  assertNear(jumpAt(6), 40, 0.5);
  assertNear((rollout.jump.hosts / rollout.hosts) * 100, 40, 0.5);
  assert.deepEqual({ after: rollout.jump.after, within: rollout.jump.withinSeconds }, { after: 6 * DAY, within: 60 });
  assert.equal(reachedAt(rollout.offered, 50), 5 * DAY);
  assert.equal(reachedAt(rollout.offered, 100), 6 * DAY);
});

test('simulateRollout() gives the shares and the peaks of the reference, as coded and as intended', () => {
  const moments = [36, 72, 110, 132].map((hours) => hours * HOUR);
  const expected = { stock: [5.1, 15, 40, 60], relative: [9.6, 27, 51, 74] };
  const peaks = { stock: 3.4, relative: 1 };
  for (const rule of ['stock', 'relative'] as const) {
    const rollout = simulateRollout(DEFAULT, rule, { ...FLEET, hosts: 1_000_000, downloadBytes: 236e6 });
    for (const [index, moment] of moments.entries()) {
      assertNear(share(rollout, rollout.updated, moment), expected[rule][index] ?? 0, 0.5, `${rule}, ${moment / HOUR} h`);
    }
    const { peak } = rollout;
    assertNear((peak.hosts / rollout.hosts) * 100, peaks[rule], 0.1);
    assert.equal(peak.withinSeconds, 600);
    assert.equal(peak.bytesPerSecond, (peak.hosts * 236e6) / 600);
    assert.ok(peak.after > 6 * DAY && peak.after <= 6 * DAY + 2 * HOUR);
    assert.equal(rollout.updated.hosts, rollout.hosts);
  }
});

test('simulateRollout() shows that smoothed waves make stock hosts follow the policy within 1 % of the fleet', () => {
  const intended = simulateRollout(DEFAULT, 'relative', FLEET);
  const stock = simulateRollout(scheduleOf(smoothWaves(wavesOf('default-waves'))), 'stock', FLEET);
  for (let hour = 0; hour <= 150; hour += 1) {
    assertNear(share(stock, stock.offered, hour * HOUR), share(intended, intended.offered, hour * HOUR), 1.05, `${hour} h`);
  }
});

test('simulateRollout() plays the same fleet again with the same seed, and another one with another seed', () => {
  const once = simulateRollout(DEFAULT, 'stock', FLEET);
  assert.deepEqual(simulateRollout(DEFAULT, 'stock', FLEET), once);
  const another = simulateRollout(DEFAULT, 'stock', { ...FLEET, rngSeed: 2 });
  assert.notDeepEqual(another.updated.curve, once.updated.curve);
  const withFailures = simulateRollout(DEFAULT, 'stock', { ...FLEET, failures: { share: 0.5, reactionSeconds: 0 } });
  assert.deepEqual(withFailures.updated.curve, once.updated.curve, 'failures alone change nobody');
});

/** What the rules of the module say, host by host and poll by poll. */
function countOneByOne(
  schedule: WaveSchedule,
  rule: WaveRule,
  options: SimulationOptions,
  until: number,
): Pick<Rollout, 'failed'> & Counts {
  const { hosts, pollSeconds, rngSeed, from, rebootWindows = [], failures, holdAt } = options;
  const fleet = xoroshiro128plus(rngSeed);
  fleet.jump();
  const fate = fleet.clone();
  fate.jump();
  const counts = { downloads: [] as number[], updates: [] as number[], failures: [] as number[] };
  const horizon = 40 * DAY;
  for (let host = 0; host < hosts; host += 1) {
    const draw = fleet.next() >>> 0;
    const fails = failures !== undefined && failures.share > 0 && (fate.next() >>> 0) / 2 ** 32 < failures.share;
    const seed = Math.floor(draw / 2 ** 21);
    for (let poll = ((draw % 2 ** 21) / 2 ** 21) * pollSeconds; poll <= Math.min(until, horizon); poll += pollSeconds) {
      const now = from + BigInt(Math.floor(poll * 1e9));
      // A pause stops the clock that turns are read from.
      if (!updateReady(schedule, seed, holdAt !== undefined && now > holdAt ? holdAt : now, rule)) continue;
      counts.downloads.push(poll);
      let update = poll;
      while (!isOpen(rebootWindows, from, update)) update = nextMinute(from, update);
      counts.updates.push(update);
      if (fails) counts.failures.push(update);
      break;
    }
  }
  return { ...counts, failed: counts.failures.length };
}

interface Counts {
  readonly downloads: readonly number[];
  readonly updates: readonly number[];
  readonly failures: readonly number[];
}

function isOpen(windows: readonly RebootWindow[], from: Instant, seconds: number): boolean {
  const date = dateOfInstant(from + BigInt(Math.round(seconds * 1000)) * 1_000_000n);
  const minute = date.getUTCHours() * 60 + date.getUTCMinutes();
  const day = (date.getUTCDay() + 6) % 7;
  return (
    windows.length === 0 ||
    windows.some(({ days, opens, closes }) => {
      if (closes > opens) return days.includes(day) && minute >= opens && minute < closes;
      return (days.includes(day) && minute >= opens) || (days.includes((day + 6) % 7) && minute < closes);
    })
  );
}

/** Windows open with whole minutes of the day. */
function nextMinute(from: Instant, seconds: number): number {
  const offset = Number(from % (60n * SECOND)) / 1e9;
  return (Math.floor((seconds + offset) / 60) + 1) * 60 - offset;
}

const anyPolicy = fc.constantFrom('default-waves', 'accelerated-waves', 'ohno');
const anyWindows = fc.constantFrom<readonly string[]>([], ['22:00-04:00'], ['sat,sun 01:00-05:30', 'wed 23:59-00:01'], ['mon 16:00-18:00']);

test('simulateRollout() counts what hosts do that poll and reboot one by one', () => {
  fc.assert(
    fc.property(
      anyPolicy,
      anyWindows,
      fc.constantFrom<WaveRule>('stock', 'relative'),
      fc.record({
        hosts: fc.integer({ min: 1, max: 300 }),
        pollSeconds: fc.integer({ min: 300, max: 2 * DAY }),
        rngSeed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        offset: fc.integer({ min: -2 * DAY, max: 2 * DAY }),
        hold: fc.option(fc.integer({ min: -2 * DAY, max: 5 * DAY }), { nil: undefined }),
      }),
      (policy, texts, rule, { offset, hold, ...fleet }) => {
        const from = START + BigInt(offset) * SECOND;
        const options: SimulationOptions = {
          ...fleet,
          from,
          rebootWindows: texts.map(windowOf),
          ...(hold === undefined ? {} : { holdAt: from + BigInt(hold) * SECOND }),
        };
        const schedule = scheduleOf(wavesOf(policy));
        const rollout = simulateRollout(schedule, rule, options);
        const expected = countOneByOne(schedule, rule, options, Number.POSITIVE_INFINITY);
        for (let bin = 0; bin < rollout.updated.curve.length + 2; bin += 1) {
          const until = bin * rollout.binSeconds;
          assert.equal(hostsAt(rollout.downloaded, rollout, until), expected.downloads.filter((moment) => moment <= until).length);
          assert.equal(hostsAt(rollout.updated, rollout, until), expected.updates.filter((moment) => moment <= until + 1e-6).length);
        }
        assert.equal(rollout.downloaded.hosts, expected.downloads.length);
        assert.equal(rollout.updated.hosts, expected.updates.length);
      },
    ),
    { numRuns: 40 },
  );
});

test('simulateRollout() lets nobody download once the abort is live, and whoever has downloaded reboots all the same', () => {
  const rebootWindows = [windowOf('03:00-04:00')];
  const failures = { share: 0.1, abortAfter: 20, reactionSeconds: 3 * HOUR };
  const options: SimulationOptions = { ...FLEET, hosts: 5000, rebootWindows, failures };
  const rollout = simulateRollout(DEFAULT, 'stock', options);
  const { abortedAt } = rollout;
  assert.ok(abortedAt !== undefined);

  const unhindered = countOneByOne(DEFAULT, 'stock', options, Number.POSITIVE_INFINITY);
  const twentieth = unhindered.failures.toSorted((a, b) => a - b)[19] ?? 0;
  assert.equal(abortedAt, Math.ceil(twentieth / 60) * 60 + 3 * HOUR);
  const expected = countOneByOne(DEFAULT, 'stock', options, abortedAt);
  assert.equal(rollout.downloaded.hosts, expected.downloads.length);
  assert.equal(rollout.updated.hosts, expected.updates.length);
  assert.equal(rollout.updated.hosts, rollout.downloaded.hosts);
  assert.equal(rollout.failed, expected.failed);
  assert.ok(rollout.failed >= 20 && rollout.failed < unhindered.failed);
  assert.ok(
    expected.updates.some((moment) => moment > abortedAt),
    'some reboot later',
  );
  assert.equal(reachedAt(rollout.offered, 100), undefined);
  assert.equal(hostsAt(rollout.offered, rollout, abortedAt), rollout.offered.hosts, 'nobody new after the abort');
});

test('simulateRollout() aborts nothing when too few hosts fail, and all of them fail at 100 %', () => {
  const few = simulateRollout(DEFAULT, 'stock', { ...FLEET, hosts: 1000, failures: { share: 0.01, abortAfter: 100, reactionSeconds: 0 } });
  assert.equal(few.abortedAt, undefined);
  assert.equal(few.updated.hosts, 1000);
  const all = simulateRollout(DEFAULT, 'stock', { ...FLEET, hosts: 1000, failures: { share: 1, reactionSeconds: 0 } });
  assert.equal(all.failed, 1000);
  const third = simulateRollout(DEFAULT, 'stock', { ...FLEET, failures: { share: 0.3, reactionSeconds: 0 } });
  assertNear(third.failed / FLEET.hosts, 0.3, 0.01);
});

test('simulateRollout() offers an update without waves to everyone at once', () => {
  const rollout = simulateRollout({ bounds: [], times: [] }, 'stock', FLEET);
  assert.deepEqual(rollout.jump, { hosts: FLEET.hosts, after: 0, withinSeconds: 60 });
  assert.equal(reachedAt(rollout.offered, 100), 0);
  assertNear(share(rollout, rollout.downloaded, HOUR), 50, 0.5);
  assert.equal(reachedAt(rollout.updated, 100), 2 * HOUR);
});

test('simulateRollout() offers it to nobody new after a pause', () => {
  const rollout = simulateRollout(DEFAULT, 'relative', { ...FLEET, holdAt: START + BigInt(3 * DAY) * SECOND });
  assertNear((rollout.updated.hosts / FLEET.hosts) * 100, 27.5, 0.5);
  assert.equal(reachedAt(rollout.updated, 50), undefined);
  assert.ok(endOf(rollout) <= 3 * DAY + 2 * HOUR);
});

test('simulateRollout() takes coarser bins for schedules of many years', () => {
  const years = scheduleOf({ '0': '2025-03-03T17:00:00Z', '2047': '2125-03-03T17:00:00Z' });
  const rollout = simulateRollout(years, 'relative', { ...FLEET, hosts: 10_000 });
  assert.ok(rollout.updated.curve.length <= 2 ** 20 + 2);
  assert.equal(rollout.updated.hosts, 10_000);
  assert.equal(rollout.binSeconds % 60, 0);
  assertNear(share(rollout, rollout.updated, 50 * 365.25 * DAY), 50, 1);
});

test('simulateRollout() refuses what makes no sense', () => {
  const failures = { share: 0.1, reactionSeconds: 0 };
  const nonsense: readonly Partial<SimulationOptions>[] = [
    { hosts: 0 },
    { hosts: 1.5 },
    { hosts: 2e9 },
    { pollSeconds: 0 },
    { pollSeconds: Number.NaN },
    { pollSeconds: 1e9 },
    { rngSeed: 0.5 },
    { rngSeed: 2 ** 32 },
    { downloadBytes: -1 },
    { failures: { ...failures, share: 1.1 } },
    { failures: { ...failures, share: Number.NaN } },
    { failures: { ...failures, abortAfter: 0 } },
    { failures: { ...failures, reactionSeconds: -1 } },
  ];
  for (const wrong of nonsense) {
    assert.throws(() => simulateRollout(DEFAULT, 'stock', { ...FLEET, ...wrong }), RangeError, JSON.stringify(wrong));
  }
});

test('seriesOf() samples a rollout in equal steps to its end', () => {
  const rollout = simulateRollout(DEFAULT, 'stock', { ...FLEET, hosts: 10_000 });
  const step = stepFor(endOf(rollout), 1500);
  assert.equal(step, 600);
  const series = seriesOf(rollout, step, endOf(rollout));
  assert.equal(series.updated.at(-1), 10_000);
  assert.equal(series.updated.length, Math.ceil(endOf(rollout) / step) + 1);
  assert.equal(series.downloaded[36 * 6], hostsAt(rollout.downloaded, rollout, 36 * HOUR));
  assert.equal(
    series.downloads.reduce((sum, hosts) => sum + hosts, 0),
    10_000,
  );
  assert.equal(hostsAt(rollout.updated, rollout, -1), 0);
});

test('stepFor() chooses the shortest round step', () => {
  assert.equal(stepFor(HOUR, 60), 60);
  assert.equal(stepFor(HOUR + 1, 60), 300);
  assert.equal(stepFor(30 * DAY, 1500), 30 * 60);
  assert.equal(stepFor(200 * 365 * DAY, 1000), 3 * 28 * DAY);
});

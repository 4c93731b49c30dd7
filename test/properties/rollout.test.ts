import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readySeeds, readyTimes, scheduleOf, SEEDS, updateReady } from '../../lib/release/eligibility.ts';
import type { Update } from '../../lib/release/manifest.ts';
import { accelerateRollout, isOffered, pauseRollout, replaceWaves, resumeRollout } from '../../lib/release/rollout.ts';
import { parseWavePolicy, policyWaves } from '../../lib/release/wave-policy.ts';
import { instantOf, SECOND, type Instant } from '../../lib/release/wave-time.ts';
import { smoothWaves, type Waves } from '../../lib/release/waves.ts';

const START = new Date('2026-03-03T17:00:00Z');
const MINUTE = 60n * SECOND;
/** Hosts panic where a date would be beyond the year 262142. */
const LAST = instantOf(new Date(8.21e15));

const update = (waves: Waves, meant?: Waves): Update =>
  replaceWaves(
    {
      variant: 'metal',
      arch: 'x86_64',
      version: '1.2.0',
      max_version: '1.2.0',
      waves: {},
      images: { boot: 'b', root: 'r', hash: 'h' },
    },
    waves,
    meant,
  );

/** Policies of one to eight waves, from seconds to months apart. */
const policy = fc
  .tuple(
    fc.uniqueArray(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 8 }),
    fc.uniqueArray(fc.integer({ min: 0, max: 90 * 24 * 60 }), { minLength: 8, maxLength: 8 }),
    fc.constantFrom(1 / 3600, 1 / 60, 1, 60),
  )
  .map(([percentages, starts, unit]) => {
    const sorted = starts.toSorted((a, b) => a - b);
    const text = percentages
      .toSorted((a, b) => a - b)
      .map((percentage, index) => {
        const minutes = (Math.ceil((sorted[index] ?? 0) / Math.max(unit, 1)) + index) * unit;
        const start = new Date(START.getTime() + Math.round(minutes * 60) * 1000 + index * 1000).toISOString();
        return `[[waves]]\nstart_after = "${start}"\nfleet_percentage = ${percentage}\n`;
      });
    return policyWaves(parseWavePolicy(text.join('\n'), 'policy.toml'), instantOf(START));
  });

const lengthOf = (waves: Waves): Instant => {
  const { times } = scheduleOf(waves);
  return (times.at(-1) ?? 0n) - (times[0] ?? 0n);
};

const rollout = fc.record({ waves: policy, smooth: fc.boolean() }).map(({ waves, smooth }) => ({
  coarse: waves,
  update: smooth ? update(smoothWaves(waves), waves) : update(waves),
}));

const minutesLater = (minutes: number): Date => new Date(START.getTime() + minutes * 60_000);

test('smoothWaves() makes stock hosts follow the intended curve within 1 % of the fleet, never ahead of it', () => {
  fc.assert(
    fc.property(policy, (coarse) => {
      const smooth = smoothWaves(coarse);
      const [intended, stock] = [readyTimes(scheduleOf(coarse), 'relative'), readyTimes(scheduleOf(smooth))];
      for (let seed = 1; seed < SEEDS; seed += 1) {
        // The division of a wave into steps is cut to whole nanoseconds.
        assert.ok((stock[seed] ?? 0n) >= (intended[seed] ?? 0n) - 4096n, `seed ${seed} is early`);
      }
      const count = (times: readonly (Instant | undefined)[], at: Instant): number =>
        times.filter((time) => time === undefined || time <= at).length;
      const end = instantOf(START) + lengthOf(coarse) + 91n * 86_400n * SECOND;
      const moments = new Set(
        [...scheduleOf(smooth).times, ...scheduleOf(coarse).times].flatMap((time) => [
          time - (time % MINUTE),
          time - (time % MINUTE) + MINUTE,
        ]),
      );
      for (const at of [...moments, end]) {
        const behind = count(intended, at) - count(stock, at);
        assert.ok(behind >= 0 && behind <= SEEDS / 100, `${behind} seeds behind`);
      }
    }),
    { numRuns: 60 },
  );
});

test('smoothWaves() needs about a hundred waves, and a few more where waves meet', () => {
  fc.assert(
    fc.property(policy, (coarse) => Object.keys(smoothWaves(coarse)).length <= 103 + 4 * Object.keys(coarse).length),
    { numRuns: 200 },
  );
});

/** At any share of the schedule's length, or around it; the lead may be most of the schedule. */
const pause = fc
  .record({
    rollout,
    share: fc.integer({ min: -100, max: 1100 }),
    lead: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 60, max: 18_000 })),
  })
  .map(({ rollout: one, share, lead }) => {
    const seconds = Number(lengthOf(one.coarse) / SECOND);
    const first = Number((scheduleOf(one.coarse).times[0] ?? 0n) - instantOf(START)) / 1e9;
    return { rollout: one, from: Math.round(first + (seconds * share) / 1000) / 60, lead: lead / 60 };
  });

/** Undefined when there is nothing to pause any more. */
function paused(before: Update, from: number, lead: number): Update | undefined {
  try {
    return pauseRollout(before, minutesLater(from), minutesLater(from + lead));
  } catch {
    assert.equal(readySeeds(scheduleOf(before.waves), instantOf(minutesLater(from + lead))), SEEDS);
    return undefined;
  }
}

test('pauseRollout() lets the schedule go on to the second until its moment, and nobody in after it', () => {
  fc.assert(
    fc.property(pause, fc.integer({ min: 0, max: 300 }), ({ rollout: { update: before }, from, lead }, probe) => {
      const after = paused(before, from, lead);
      if (after === undefined) return;
      const [old, held] = [scheduleOf(before.waves), scheduleOf(after.waves)];
      const [start, hold] = [instantOf(minutesLater(from)), instantOf(minutesLater(from + lead))];
      for (const at of [start, start + ((hold - start) * BigInt(probe)) / 300n, hold]) {
        for (let seed = 0; seed < SEEDS; seed += 1) {
          const [was, is] = [updateReady(old, seed, at), updateReady(held, seed, at)];
          assert.ok(is || !was, `seed ${seed} lost it`);
          if (is && !was) assert.ok(updateReady(old, seed, at + 2n * SECOND), `seed ${seed} is early`);
        }
      }
      const offered = readySeeds(old, hold);
      for (const days of [0n, 1n, 365n, 3650n]) assert.equal(readySeeds(held, hold + days * 86_400n * SECOND), offered);
      for (const [index, bound] of held.bounds.entries()) {
        const [prev, next] = [held.times[index], held.times[index + 1]];
        if (prev === undefined || next === undefined) continue;
        assert.ok(prev + (next - prev) * 2048n < LAST, `bound ${bound} makes hosts panic`);
      }
    }),
    { numRuns: 60 },
  );
});

test('resumeRollout() leaves every host the wait that it had, to within 1 % of the schedule', () => {
  fc.assert(
    fc.property(
      pause,
      fc.integer({ min: 1, max: 60 * 24 * 60 }),
      fc.constantFrom(0, 0.5, 1),
      ({ rollout: { update: before, coarse }, from, lead }, length, early) => {
        const held = paused(before, from, lead);
        if (held === undefined) return;
        const [hold, go] = [instantOf(minutesLater(from + lead)), instantOf(minutesLater(from + lead + length))];
        const after = resumeRollout(held, minutesLater(from + lead * early), minutesLater(from + lead + length));
        assert.equal(after.gantry?.paused, undefined);
        const [old, now] = [readyTimes(scheduleOf(before.waves)), readyTimes(scheduleOf(after.waves))];
        const slack = lengthOf(coarse) / 100n;
        for (let seed = 0; seed < SEEDS; seed += 1) {
          const [was, is] = [old[seed], now[seed]];
          if (was === undefined || was <= hold) {
            assert.ok(is === undefined || is <= go, `seed ${seed} lost it`);
            // Published before the pause's moment: until then the schedule goes on as it was.
            assert.ok(
              is === undefined ||
                was === undefined ||
                updateReady(scheduleOf(before.waves), seed, instantOf(minutesLater(from + lead * early))) ||
                is >= was - SECOND,
              `seed ${seed} is early`,
            );
          } else {
            const difference = (is ?? 0n) - go - (was - hold);
            assert.ok((is ?? 0n) > go && difference >= 0n && difference <= slack, `seed ${seed}: ${difference}`);
          }
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('accelerateRollout() takes nothing from hosts that have it, and divides what the others wait for', () => {
  fc.assert(
    fc.property(
      pause,
      fc.integer({ min: 11, max: 200 }).map((tenths) => tenths / 10),
      ({ rollout: { update: before, coarse }, from, lead }, factor) => {
        if (paused(before, from, lead) === undefined) return;
        const hold = instantOf(minutesLater(from + lead));
        const after = accelerateRollout(before, minutesLater(from), minutesLater(from + lead), factor);
        const [old, now] = [readyTimes(scheduleOf(before.waves)), readyTimes(scheduleOf(after.waves))];
        const slack = Number(lengthOf(coarse)) / 100;
        for (let seed = 0; seed < SEEDS; seed += 1) {
          const [was, is] = [old[seed], now[seed]];
          if (was === undefined || was <= hold) assert.ok(is === undefined || is <= (was ?? 0n), `seed ${seed} lost it`);
          else {
            const difference = Number((is ?? 0n) - hold) - Number(was - hold) / factor;
            assert.ok(difference >= -1e6 && difference <= slack, `seed ${seed}: ${difference}`);
          }
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('isOffered() pauses and resumes our own agents on the intended curve, too', () => {
  fc.assert(
    fc.property(pause, fc.integer({ min: 1, max: 60 * 24 * 60 }), ({ rollout: { update: before }, from, lead }, length) => {
      const held = paused(before, from, lead);
      if (held === undefined) return;
      const [hold, go] = [instantOf(minutesLater(from + lead)), instantOf(minutesLater(from + lead + length))];
      const after = resumeRollout(held, minutesLater(from + lead), minutesLater(from + lead + length));
      for (let seed = 0; seed < SEEDS; seed += 7) {
        const was = isOffered(before, seed, hold);
        assert.equal(isOffered(held, seed, hold + 3650n * 86_400n * SECOND), was);
        assert.ok(!was || isOffered(after, seed, go), `seed ${seed} lost it`);
        for (const later of [60n, 3600n, 86_400n, 20n * 86_400n]) {
          const [then, now] = [isOffered(before, seed, hold + later * SECOND), isOffered(after, seed, go + later * SECOND)];
          if (then !== now)
            assert.equal(isOffered(after, seed, go + later * SECOND + (now ? -2n : 2n) * SECOND), then, `seed ${seed}, ${later} s`);
        }
      }
    }),
    { numRuns: 60 },
  );
});

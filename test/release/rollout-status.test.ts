import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Update } from '../../lib/release/manifest.ts';
import { rolloutStatus, turnOf } from '../../lib/release/rollout-status.ts';
import { pauseRollout, resumeRollout } from '../../lib/release/rollout.ts';
import { smoothWaves } from '../../lib/release/waves.ts';

const hour = (count: number): Date => new Date(Date.parse('2026-03-03T18:00:00Z') + count * 3_600_000);
const update = (waves: Update['waves'], changes: Partial<Update> = {}): Update => ({
  variant: 'metal',
  arch: 'x86_64',
  version: '1.2.0',
  max_version: '1.2.0',
  waves,
  images: { boot: 'b', root: 'r', hash: 'h' },
  ...changes,
});
/** Seed n comes at hour n. */
const STEADY = update({ '0': hour(0).toISOString(), '2047': hour(2047).toISOString() });
const share = (seeds: number): number => seeds / 2048;

test('rolloutStatus() tells the states of a rollout from its start to its end', () => {
  const ends = hour(2047);
  const cases: readonly (readonly [number, object])[] = [
    [-9, { state: 'scheduled', offered: share(1), offeredToAgents: share(1), ends, next: { at: hour(1), offered: share(2) } }],
    [0.5, { state: 'scheduled', offered: share(1), offeredToAgents: share(1), ends, next: { at: hour(1), offered: share(2) } }],
    [1, { state: 'running', offered: share(2), offeredToAgents: share(2), ends, next: { at: hour(2), offered: share(3) } }],
    [2046.5, { state: 'running', offered: share(2047), offeredToAgents: share(2047), ends, next: { at: hour(2047), offered: 1 } }],
    [2047, { state: 'done', offered: 1, offeredToAgents: 1, ends }],
    [9999, { state: 'done', offered: 1, offeredToAgents: 1, ends }],
  ];
  for (const [hours, expected] of cases) assert.deepEqual(rolloutStatus(STEADY, hour(hours)), expected, `${hours} hours`);
});

test('rolloutStatus() says everyone when there are no waves, and when they begin beyond every seed', () => {
  const everyone = { state: 'everyone', offered: 1, offeredToAgents: 1 };
  for (const bound of ['2047', '2048', '4294967295'])
    assert.deepEqual(rolloutStatus(update({ [bound]: '2099-01-01T00:00:00Z' }), hour(0)), everyone, bound);
  assert.deepEqual(rolloutStatus(update({}), hour(0)), everyone);
  // One seed fewer, and one host waits.
  assert.equal(rolloutStatus(update({ '2046': '2099-01-01T00:00:00Z' }), hour(0)).state, 'scheduled');
});

test('rolloutStatus() counts hosts that wait for nobody apart from the start of the rollout', () => {
  const late = update({ '100': hour(10).toISOString(), '2000': hour(20).toISOString() });
  const { state, offered, next } = rolloutStatus(late, hour(0));
  assert.deepEqual([state, offered], ['scheduled', share(101)]);
  // A stock host multiplies the step with its absolute seed.
  assert.ok(next !== undefined && next.at > hour(10.5) && next.at < hour(10.6) && next.offered === share(102), JSON.stringify(next));
});

test('rolloutStatus() tells our own agents from stock hosts', () => {
  const coarse = { '0': hour(0).toISOString(), '100': hour(100).toISOString(), '2047': hour(2047).toISOString() };
  const exact = rolloutStatus(update(coarse), hour(300));
  assert.deepEqual([exact.offered, exact.offeredToAgents], [share(201), share(301)]);
  const smooth = rolloutStatus(update(smoothWaves(coarse), { gantry: { waves: coarse } }), hour(310));
  assert.deepEqual([smooth.offered, smooth.offeredToAgents], [share(301), share(311)]);
});

test('rolloutStatus() of a paused rollout has no end, and a next step only until the pause', () => {
  const held = pauseRollout(STEADY, hour(8), hour(10));
  const paused = { state: 'paused', pausedAt: hour(10) };
  assert.deepEqual(rolloutStatus(held, hour(8)), {
    ...paused,
    offered: share(9),
    offeredToAgents: share(9),
    next: { at: hour(9), offered: share(10) },
  });
  assert.deepEqual(rolloutStatus(held, hour(10)), { ...paused, offered: share(11), offeredToAgents: share(11) });
  assert.deepEqual(rolloutStatus(held, hour(99_999)), { ...paused, offered: share(11), offeredToAgents: share(11) });
  const resumed = rolloutStatus(resumeRollout(held, hour(20), hour(20)), hour(20));
  assert.deepEqual([resumed.state, resumed.offered, resumed.ends], ['running', share(11), hour(2057)]);
});

test('rolloutStatus() says that a rollout was begun when it was resumed before the next host is due', () => {
  const resumed = resumeRollout(pauseRollout(STEADY, hour(8), hour(10)), hour(20), hour(20));
  const { state, offered, offeredToAgents, next } = rolloutStatus(resumed, hour(19));
  assert.deepEqual([state, offered, offeredToAgents], ['running', share(11), share(11)]);
  assert.ok(next !== undefined && next.at > hour(20));
  const before = resumeRollout(pauseRollout(STEADY, hour(-2), hour(-1)), hour(20), hour(20));
  assert.equal(rolloutStatus(before, hour(20)).state, 'scheduled');
});

test('rolloutStatus() says withdrawn whatever the waves say', () => {
  for (const waves of [{}, STEADY.waves]) {
    const { state, ends, next } = rolloutStatus(update(waves, { max_version: '1.1.0' }), hour(100));
    assert.deepEqual([state, ends, next], ['withdrawn', undefined, undefined]);
  }
  assert.equal(rolloutStatus(update({}, { version: '1.2.0+b', max_version: '1.2.0' }), hour(0)).state, 'withdrawn');
});

test('rolloutStatus() reads waves from before 1970 and from the end of time', () => {
  const old = rolloutStatus(update({ '0': '1901-01-01T00:00:00Z', '2047': '1902-01-01T00:00:00Z' }), hour(0));
  assert.deepEqual([old.state, old.ends], ['done', new Date('1902-01-01T00:00:00Z')]);
  const far = rolloutStatus(update({ '0': '+262142-12-31T23:59:59Z' }), hour(0));
  assert.deepEqual([far.state, far.ends?.toISOString()], ['scheduled', '+262142-12-31T23:59:59.000Z']);
});

test('rolloutStatus() needs no more time for many waves than for few', () => {
  const waves = Object.fromEntries(Array.from({ length: 2048 }, (_, bound) => [String(bound), hour(bound).toISOString()]));
  const started = performance.now();
  assert.equal(rolloutStatus(update(waves), hour(1000)).offered, share(1001));
  // Reading the waves once for each seed takes several seconds.
  assert.ok(performance.now() - started < 1000);
});

test('turnOf() says when a seed may update', () => {
  assert.equal(turnOf(STEADY, 0), 'always');
  assert.deepEqual(turnOf(STEADY, 1), hour(1));
  assert.deepEqual(turnOf(STEADY, 2047), hour(2047));
  assert.equal(turnOf(update({}), 2047), 'always');
  const held = pauseRollout(STEADY, hour(8), hour(10));
  assert.deepEqual([turnOf(held, 8), turnOf(held, 9), turnOf(held, 10)], ['always', hour(9), hour(10)]);
  assert.deepEqual([turnOf(held, 11), turnOf(held, 2047)], ['never', 'never']);
});

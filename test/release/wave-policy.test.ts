import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isGantryError } from '../../lib/errors.ts';
import { readySeeds, scheduleOf, SEEDS } from '../../lib/release/eligibility.ts';
import type { Update } from '../../lib/release/manifest.ts';
import { parseWavePolicy, policyWaves } from '../../lib/release/wave-policy.ts';
import { instantOf, parseWaveTime } from '../../lib/release/wave-time.ts';

const START = instantOf(new Date('2025-03-03T17:00:00Z'));
const wave = (after: string, percentage: number | string): string =>
  `[[waves]]\nstart_after = ${JSON.stringify(after)}\nfleet_percentage = ${percentage}\n`;
const wavesOf = (...entries: readonly (readonly [string, number])[]): Update['waves'] =>
  policyWaves(parseWavePolicy(entries.map(([after, percentage]) => wave(after, percentage)).join('\n'), 'p.toml'), START);

/** What a policy is refused with, without the part that all messages share. */
function refusal(text: string, start = START): string {
  try {
    policyWaves(parseWavePolicy(text, 'p.toml'), start);
  } catch (error) {
    assert.ok(isGantryError(error, 'release/bad-policy'), String(error));
    const beginning = 'Cannot use the wave policy "p.toml": ';
    assert.ok(error.message.startsWith(`${beginning}${error.details.at}: `), error.message);
    return error.message.slice(beginning.length);
  }
  throw new assert.AssertionError({ message: 'it was taken' });
}

/** Offsets in hours, as the reference lists what stock tools write for their own policies. */
function hoursOf(waves: Update['waves']): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(waves).map(([bound, time]) => [bound, Number((parseWaveTime(time) ?? 0n) - START) / 3600e9] as const),
  );
}

test("policyWaves() gives the bounds and times of Bottlerocket's own policies", () => {
  const standard = wavesOf(['1 hour', 1], ['4 hours', 5], ['1 day', 15], ['2 days', 40], ['4 days', 60], ['5 days', 90], ['6 days', 100]);
  assert.deepEqual(hoursOf(standard), { 0: 1, 20: 4, 102: 24, 307: 48, 819: 96, 1228: 120, 1843: 144 });
  const accelerated = wavesOf(['1 hour', 3], ['4 hours', 12], ['8 hours', 40], ['16 hours', 80], ['1 day', 100]);
  assert.deepEqual(hoursOf(accelerated), { 0: 1, 61: 4, 245: 8, 819: 16, 1638: 24 });
  const emergency = wavesOf(['30 minutes', 5], ['60 minutes', 25], ['120 minutes', 50], ['150 minutes', 90], ['180 minutes', 100]);
  assert.deepEqual(hoursOf(emergency), { 0: 0.5, 102: 1, 512: 2, 1024: 2.5, 1843: 3 });
  const slow = wavesOf(['1 hour', 1], ['1 day', 5], ['3 days', 15], ['7 days', 40], ['9 days', 60], ['12 days', 90], ['13 days', 100]);
  assert.deepEqual(hoursOf(slow), { 0: 1, 20: 24, 102: 72, 307: 168, 819: 216, 1228: 288, 1843: 312 });
});

test('policyWaves() puts the bound of every percentage where a 32-bit float puts it', () => {
  for (let percentage = 1; percentage < 100; percentage += 1) {
    const [, bound] = Object.keys(wavesOf(['1 hour', percentage], ['2 hours', 100]));
    assert.equal(bound, String(Math.trunc(Math.fround(Math.fround(percentage / 100) * SEEDS))), `${percentage} %`);
  }
});

test('policyWaves() never uses the last percentage', () => {
  assert.deepEqual(wavesOf(['1 hour', 50], ['2 hours', 60]), wavesOf(['1 hour', 50], ['2 hours', 100]));
  const alone = wavesOf(['1 hour', 1]);
  assert.deepEqual(alone, { 0: '2025-03-03T18:00:00Z' });
  assert.equal(readySeeds(scheduleOf(alone), START + 3_600_000_000_000n), SEEDS);
});

test('policyWaves() writes whole seconds, rounded up', () => {
  const policy = parseWavePolicy(wave('1 hour', 50) + wave('2025-03-03T19:00:00.000000001Z', 100), 'p.toml');
  assert.deepEqual(policyWaves(policy, START + 1n), { 0: '2025-03-03T18:00:01Z', 1024: '2025-03-03T19:00:01Z' });
});

test('parseWavePolicy() refuses members that mean nothing, with their place', () => {
  const good = wave('1 hour', 5);
  assert.match(refusal(`pause = true\n${good}`), /^line 1, column 9: "pause" means nothing in a policy; expected only waves$/u);
  assert.match(refusal(`${good}pause = true\n`), /^line 4, column 9: "pause" means nothing in a wave; expected only start_after and/u);
  assert.match(refusal(`${good}\n[other]\nwaves = 3\n`), /^line 5, column 1: "other" means nothing in a policy/u);
  assert.match(refusal(`${good}__proto__ = 3\n`), /"__proto__" means nothing in a wave/u);
});

test('parseWavePolicy() reads a policy that an editor saved with CRLF and a byte order mark', () => {
  const plain = wave('1 hour', 5) + wave('2 hours', 100);
  assert.deepEqual(parseWavePolicy(`\ufeff${plain.replaceAll('\n', '\r\n')}`, 'p.toml'), parseWavePolicy(plain, 'p.toml'));
  assert.match(
    refusal(`\ufeff${(plain + wave('3 hours', 400)).replaceAll('\n', '\r\n')}`),
    /^line 9, column 20: fleet_percentage is 400;/u,
  );
});

test('parseWavePolicy() refuses percentages that are none, with the place of the number', () => {
  for (const [text, shown] of Object.entries({
    '-1': '-1',
    '0': '0',
    '101': '101',
    '0.5': '0.5',
    '1e400': 'Infinity',
    inf: 'Infinity',
    nan: 'NaN',
    '99999999999999999999': '100000000000000000000',
    true: 'true',
    '[5]': 'of another kind',
    '2026-03-03': 'of another kind',
    '"\\u001b[2J"': '"\\u001b[2J"',
  })) {
    assert.equal(refusal(wave('1 hour', text)), `line 3, column 20: fleet_percentage is ${shown}; expected a whole number from 1 to 100`);
  }
});

test('parseWavePolicy() refuses percentages that do not grow, however many go before', () => {
  const growing = Array.from({ length: 100 }, (_, index) => wave(`${index + 1} hours`, index + 1)).join('');
  assert.equal(parseWavePolicy(growing, 'p.toml').waves.length, 100);
  for (const percentage of [1, 99, 100])
    assert.equal(
      refusal(growing + wave('200 hours', percentage)),
      `line 303, column 20: fleet_percentage is ${percentage}, after 100; expected each wave to reach more of the fleet than the one before`,
    );
});

test('parseWavePolicy() refuses starts that nobody can wait for, and those of other forms', () => {
  for (const text of ['4294967295 weeks', '5215 weeks', '876001 hours']) {
    const expected =
      'expected a count and minutes, hours, days or weeks, up to 100 years, such as "30 minutes" or "2 days", or an RFC 3339 time';
    assert.equal(refusal(wave(text, 5)), `line 2, column 15: start_after is "${text}"; ${expected}`);
  }
  const century = policyWaves(parseWavePolicy(wave('876000 hours', 5), 'p.toml'), START);
  assert.deepEqual(century, { 0: '2125-02-07T17:00:00Z' });
  for (const text of [
    '',
    '1',
    'hours',
    '1 fortnight',
    '1 Hour',
    '-1 hour',
    '2026-03-03',
    '2026-03-03T17:00Z',
    '1 hour 2 minutes',
    'x'.repeat(9999),
  ])
    assert.match(refusal(wave(text, 5)), /^line 2, column 15: start_after is "/u, text);
});

test('policyWaves() compares starts of both kinds, and names the wave that comes too early', () => {
  const absolute = '2025-03-03T18:00:00Z';
  assert.match(
    refusal(wave('1 hour', 5) + wave(absolute, 9)),
    /^line 4, column 1: this wave starts at 2025-03-03T18:00:00Z, and the one before/u,
  );
  assert.match(
    refusal(wave(absolute, 5) + wave('1 hour', 9)),
    /^line 4, column 1: this wave starts at 2025-03-03T18:00:00Z, and the one before/u,
  );
  // The same second, once both are rounded up.
  assert.match(refusal(wave('2025-03-03T18:00:00.1Z', 5) + wave('2025-03-03T18:00:00.9Z', 9)), /^line 4, column 1: this wave starts at/u);
  assert.deepEqual(wavesOf([absolute, 5], ['61 minutes', 9]), { 0: absolute, 102: '2025-03-03T18:01:00Z' });
});

test('parseWavePolicy() refuses a file without waves, whatever else it is', () => {
  for (const [text, at] of Object.entries({
    '': 'line 1, column 1: it has no waves',
    '\ufeff': 'line 1, column 1: it has no waves',
    '\n\n# waves\n': 'line 1, column 1: it has no waves',
    '[Waves]\n': 'line 1, column 1: it has no waves',
    '[waves]\nstart_after = "1 hour"\n': 'line 1, column 1: it has another kind of waves',
    'waves = "all"': 'line 1, column 9: it has another kind of waves',
    'a = 1\nwaves = 2026-03-03': 'line 2, column 9: it has another kind of waves',
    'waves = []': 'line 1, column 9: its list of waves is empty',
    'waves = [[]]': 'line 1, column 10: it is not a wave',
    'waves = [{}]': 'line 1, column 10: start_after is missing',
    '[[waves.waves]]\n': 'line 1, column 1: it has another kind of waves',
    '__proto__.waves = [{ start_after = "1 hour", fleet_percentage = 5 }]': 'line 1, column 1: it has no waves',
  }))
    assert.ok(refusal(text).startsWith(at), `${text}: ${refusal(text)}`);
});

test('parseWavePolicy() gives a policy or a typed error for any text, in no time', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[[\]{}"'=a-z0-9\n .,#-]*$/u)), (text) => {
      try {
        parseWavePolicy(text, 'p.toml');
      } catch (error) {
        assert.ok(isGantryError(error), String(error));
      }
    }),
    { numRuns: 2000 },
  );
  for (const deep of ['['.repeat(50_000), `a = ${'['.repeat(50_000)}${']'.repeat(50_000)}`, `${'a.'.repeat(50_000)}b = 1`])
    assert.throws(
      () => parseWavePolicy(deep, 'p.toml'),
      (error: Error) => isGantryError(error) && error.message.length < 400,
    );
});

test('parseWavePolicy() reads a mebibyte of waves in time that does not explode', () => {
  const text = wave('1 hour', 5).repeat(Math.floor((1 << 20) / wave('1 hour', 5).length));
  const started = performance.now();
  assert.match(refusal(text), /^line 6, column 20: fleet_percentage is 5, after 5/u);
  assert.ok(performance.now() - started < 8000);
});

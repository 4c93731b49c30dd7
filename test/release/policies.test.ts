/** Wave policies and Release.toml: what people write by hand, and what they are told when it is wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isGantryError } from '../../lib/errors.ts';
import { parseReleaseFile } from '../../lib/release/release-file.ts';
import { parseWavePolicy, policyWaves } from '../../lib/release/wave-policy.ts';
import { instantOf } from '../../lib/release/wave-time.ts';

const START = instantOf(new Date('2026-03-03T17:00:00.5Z'));
const wave = (after: string, percentage: string): string => `[[waves]]\nstart_after = ${after}\nfleet_percentage = ${percentage}\n`;
const message = (text: string): string => {
  try {
    parseWavePolicy(text, 'p.toml');
  } catch (error) {
    assert.ok(isGantryError(error, 'release/bad-policy') || isGantryError(error, 'release/bad-toml'), String(error));
    return error.message;
  }
  throw new assert.AssertionError({ message: 'it was taken' });
};

test('policyWaves() puts a time at the bound that the percentage before it makes', () => {
  const text = [wave('"30 minutes"', '5'), wave('"in 2 hours"', '33'), wave("'1d'", '100')].join('\n');
  assert.deepEqual(policyWaves(parseWavePolicy(text, 'p.toml'), START), {
    '0': '2026-03-03T17:30:01Z',
    '102': '2026-03-03T19:00:01Z',
    '675': '2026-03-04T17:00:01Z',
  });
});

test('policyWaves() takes RFC 3339 times, and refuses them when they do not grow', () => {
  const text = wave('"1 hour"', '10') + wave('"2026-03-05T10:00:00+01:00"', '100');
  const policy = parseWavePolicy(text, 'p.toml');
  assert.deepEqual(policyWaves(policy, START), { '0': '2026-03-03T18:00:01Z', '204': '2026-03-05T09:00:00Z' });
  assert.throws(() => policyWaves(policy, instantOf(new Date('2026-03-06T00:00:00Z'))), {
    code: 'release/bad-policy',
    message: /line 4, column 1: this wave starts at 2026-03-05T09:00:00Z, and the one before at 2026-03-06T01:00:00Z/u,
  });
});

test('parseWavePolicy() says where a policy is wrong and what would be right', () => {
  const good = wave('"1 hour"', '5');
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /"p\.toml": line 1, column 1: it has no waves; expected \[\[waves\]\] tables/u],
    ['waves = []', /line 1, column 9: its list of waves is empty/u],
    ['waves = 7', /line 1, column 9: it has another kind of waves/u],
    ['waves = [7]', /line 1, column 10: it is not a wave; expected a table/u],
    [wave('"1 hour"', '0'), /line 3, column 20: fleet_percentage is 0; expected a whole number from 1 to 100/u],
    [wave('"1 hour"', '101'), /line 3, column 20: fleet_percentage is 101/u],
    [wave('"1 hour"', '5.5'), /line 3, column 20: fleet_percentage is 5\.5/u],
    [wave('"1 hour"', '"5"'), /line 3, column 20: fleet_percentage is "5"/u],
    [wave('60', '5'), /line 2, column 15: start_after is 60; expected text such as "4 hours"/u],
    [wave('"1 month"', '5'), /line 2, column 15: start_after is "1 month"; expected a count and minutes, hours, days or weeks/u],
    [wave('"5m"', '5'), /start_after is "5m"/u],
    [wave('"2026-02-30T00:00:00Z"', '5'), /start_after is "2026-02-30T00:00:00Z"/u],
    ['[[waves]]\nfleet_percentage = 5\n', /line 1, column 1: start_after is missing/u],
    [good + wave('"2 hours"', '5'), /line 6, column 20: fleet_percentage is 5, after 5; expected each wave to reach more/u],
    [good + wave('"2 hours"', '4'), /fleet_percentage is 4, after 5/u],
    [good + wave('"60 minutes"', '10'), /line 5, column 15: start_after is not later than in the wave before/u],
    [`${good}[[waves\n`, /line 4, column 8: unterminated table-key/u],
    [`${good}${good.replace('[[waves]]\n', '')}`, /line 4, column 1: /u],
  ];
  for (const [text, expected] of cases) assert.match(message(text), expected, text);
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
    assert.ok(message(deep).length < 400);
});

test('parseReleaseFile() reads every step, and says where one is wrong', () => {
  const text = 'version = "v1.2.0"\n[migrations]\n"(1.0.0, 1.1.0)" = []\n"(1.1.0,1.2.0)" = ["migrate_v1.2.0_x.lz4"]\n';
  assert.deepEqual(parseReleaseFile(text, 'Release.toml'), {
    version: '1.2.0',
    migrations: { '(1.0.0, 1.1.0)': [], '(1.1.0, 1.2.0)': ['migrate_v1.2.0_x.lz4'] },
  });
  for (const [bad, expected] of [
    ['version = "1.0.0"', /line 1, column 1: it has no \[migrations\]/u],
    ['[migrations]\n"1.0.0" = []', /line 2, column 11: "1\.0\.0" is no pair of versions/u],
    [
      '[migrations]\n"(1.0.0, 1.1.0)" = []\n"(1.0.0,1.1.0)" = []',
      /line 3, column 19: the pair \(1\.0\.0, 1\.1\.0\) is there a second time/u,
    ],
    ['[migrations]\n"(1.0.0, 1.1.0)" = "x"', /line 2, column 20: it is no list of names/u],
    ['version = 1\n[migrations]\n', /line 1, column 11: version is not SemVer/u],
  ] as const) {
    assert.throws(() => parseReleaseFile(bad, 'Release.toml'), { code: 'release/bad-release-file', message: expected }, bad);
  }
});

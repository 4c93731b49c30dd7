import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dateOfInstant, parseWaveTime } from '../../lib/release/wave-time.ts';

// Each was read by chrono 0.4.38 as this instant.
const READ: Readonly<Record<string, string>> = {
  '2026-03-03T18:00:00Z': '2026-03-03T18:00:00.000Z',
  '2026-03-03T18:00:00.104882913Z': '2026-03-03T18:00:00.104Z',
  '2019-8-06T15:00:00Z': '2019-08-06T15:00:00.000Z',
  '2026-3-3T7:1:2Z': '2026-03-03T07:01:02.000Z',
  '2026-03-03 18:00:00Z': '2026-03-03T18:00:00.000Z',
  '2026-03-03t18:00:00z': '2026-03-03T18:00:00.000Z',
  '2026-03-03T18:00:00 UTC': '2026-03-03T18:00:00.000Z',
  '2026-03-03T18:00:00+01:00': '2026-03-03T17:00:00.000Z',
  '2026-03-03T18:00:00 -0130': '2026-03-03T19:30:00.000Z',
  '2026-03-03T18:00:00\u221201:00': '2026-03-03T19:00:00.000Z',
  ' 2026 - 03 -03T 18 : 00: 00Z ': '2026-03-03T18:00:00.000Z',
  '2024-02-29T00:00:60Z': '2024-02-29T00:01:00.000Z',
};
// Each was refused by it.
const REFUSED = [
  '',
  '2026-03-03',
  '2026-03-03T18:00Z',
  '2026-03-03T18:00:00',
  '2026-03-03T18:00:00+01',
  '2026-03-03T18:00:00+24:00',
  '2026-03-03T18:00:00+01:60',
  '2026-03-03T24:00:00Z',
  '2026-03-03T18:60:00Z',
  '2026-03-03T18:00:61Z',
  '2026-03-03T18:00:00.Z',
  '2026-03-03\t18:00:00Z',
  '2026-03-03 T18:00:00Z',
  '2026-02-29T18:00:00Z',
  '2026-13-01T18:00:00Z',
  '2026-00-01T18:00:00Z',
  '2026-01-00T18:00:00Z',
  '12026-03-03T18:00:00Z',
  '2026-03-03T18:00:00GMT',
  '2026-03-03T18:00:00Zx',
  '+300000-01-01T00:00:00Z',
  '+262143-01-01T00:00:00+00:01',
  '\ufeff2026-03-03T18:00:00Z',
  '2026-03-03T18:00:00\ufeffZ',
];

test('parseWaveTime() reads the times that hosts read', () => {
  for (const [text, instant] of Object.entries(READ)) assert.equal(dateOfInstant(parseWaveTime(text) ?? 0n).toISOString(), instant, text);
  assert.equal(parseWaveTime('2026-03-03T18:00:00.104882913Z'), 1772560800104882913n);
});

test('parseWaveTime() is undefined when hosts refuse the text', () => {
  for (const text of REFUSED) assert.equal(parseWaveTime(text), undefined, text);
  assert.equal(parseWaveTime(`${' '.repeat(1000)}2026-03-03T18:00:00Z`), undefined);
});

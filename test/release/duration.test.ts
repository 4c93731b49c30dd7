import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOffset } from '../../lib/release/duration.ts';

test('parseOffset() returns seconds', () => {
  const cases: Readonly<Record<string, number>> = {
    'in 2 weeks': 1_209_600,
    '2 weeks': 1_209_600,
    '1 week': 604_800,
    '14d': 1_209_600,
    '14 days': 1_209_600,
    '1 day': 86_400,
    '1 hour': 3600,
    '  in   4   hours ': 14_400,
    '6h': 21_600,
    '52w': 31_449_600,
    '30 minutes': 1800,
    '1 minute': 60,
    '90min': 5400,
    '0 days': 0,
    '876000 hours': 100 * 365 * 86_400,
  };
  for (const [text, seconds] of Object.entries(cases)) assert.equal(parseOffset(text), seconds, text);
});

test('parseOffset() refuses everything else', () => {
  const texts = [
    '',
    '14',
    'days',
    'in days',
    '-1 day',
    '1.5 days',
    '2 Weeks',
    '3m',
    '3 months',
    '1y',
    'in2 days',
    'tomorrow',
    '1 day 2 hours',
  ];
  const hostile = ['4294967295 weeks', '876001 hours', '1 constructor', `${' '.repeat(200)}1 day`, '2026-01-01T00:00:00Z'];
  for (const text of [...texts, ...hostile]) {
    assert.throws(() => parseOffset(text), { code: 'release/bad-duration', details: { text } }, text);
  }
});

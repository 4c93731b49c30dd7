import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ageSeconds, isFromCache, lifetimeSeconds } from '../../lib/publish/doctor/headers.ts';

const DATE = 'Mon, 01 Jun 2026 12:00:00 GMT';

test('lifetimeSeconds() is what the most patient cache may take from the headers', () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['public, max-age=60, must-revalidate', 60],
    ['Max-Age="60"', 60],
    ['max-age=0, s-maxage=300', 300],
    ['max-age=60, stale-while-revalidate=600', 660],
    ['no-store', 0],
    ['no-cache, max-age=60', 0],
    ['public', undefined],
    ['max-age=soon', undefined],
  ];
  for (const [value, expected] of cases) assert.equal(lifetimeSeconds({ 'cache-control': value }), expected, value);
  assert.equal(lifetimeSeconds({}), undefined);
});

test('lifetimeSeconds() falls back on Expires', () => {
  assert.equal(lifetimeSeconds({ date: DATE, expires: 'Mon, 01 Jun 2026 12:10:00 GMT' }), 600);
  assert.equal(lifetimeSeconds({ date: DATE, expires: '0' }), 0);
  assert.equal(lifetimeSeconds({ date: DATE, expires: DATE }), 0);
  assert.equal(lifetimeSeconds({ date: DATE, expires: 'Mon, 01 Jun 2026 12:10:00 GMT', 'cache-control': 'max-age=5' }), 5);
});

test('ageSeconds() takes whole numbers only', () => {
  assert.deepEqual(
    [undefined, '0', '61', '-1', 'old'].map((age) => ageSeconds(age === undefined ? {} : { age })),
    [0, 0, 61, 0, 0],
  );
});

test('isFromCache() knows a hit in what caches write', () => {
  const hits = [
    { age: '1' },
    { 'x-cache': 'Hit from cloudfront' },
    { 'x-cache': 'MISS, HIT' },
    { 'x-cache': 'TCP_HIT from a.example' },
    { 'cf-cache-status': 'HIT' },
    { 'cache-status': 'edge; hit; ttl=30' },
  ];
  const others = [{}, { age: '0' }, { 'x-cache': 'Miss from cloudfront' }, { 'x-cache': 'White list' }, { 'cf-cache-status': 'DYNAMIC' }];
  for (const headers of hits) assert.equal(isFromCache(headers), true, JSON.stringify(headers));
  for (const headers of others) assert.equal(isFromCache(headers), false, JSON.stringify(headers));
});

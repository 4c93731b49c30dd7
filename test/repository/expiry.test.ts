import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { expiryOf, parseExpiryPolicy, renewalOf, urgencyOf } from '../../lib/repository/expiry.ts';
import type { TufDate } from '../../lib/tuf/types.ts';

const DAY = 86_400;
const NOW = new Date('2026-06-01T12:00:00Z');

test("parseExpiryPolicy() takes Bottlerocket's members, those of the root and the leads, and keeps the defaults of the others", () => {
  const policy = parseExpiryPolicy({ targets_expiration: '3 days', root_expiration: '10 weeks', targets_renewal: '14h' });
  assert.deepEqual(policy, {
    root: { lifeSeconds: 70 * DAY, leadSeconds: 21 * DAY },
    targets: { lifeSeconds: 3 * DAY, leadSeconds: 14 * 3600 },
    snapshot: { lifeSeconds: 14 * DAY, leadSeconds: 4.2 * DAY },
    timestamp: { lifeSeconds: 7 * DAY, leadSeconds: 181_440 },
  });
});

for (const [table, member, message] of [
  [{ target_expiration: '3 days' }, 'target_expiration', /expected one of root_expiration, .*timestamp_renewal/u],
  [{ targets_expiration: 3 }, 'targets_expiration', /it is not text; expected a length such as "2 weeks" or "14d", or a date/u],
  [{ targets_expiration: 'soon' }, 'targets_expiration', /it is "soon"; expected a length .* or a date/u],
  [{ targets_expiration: '0 days' }, 'targets_expiration', /it is "0 days"; expected more than nothing/u],
  [{ targets_expiration: '2026-02-30T12:00:00Z' }, 'targets_expiration', /it is "2026-02-30T12:00:00Z"; expected a length/u],
  [{ targets_expiration: '9001-01-01T00:00:00Z' }, 'targets_expiration', /the year 9001 cannot stand in metadata/u],
  [{ timestamp_renewal: '2026-02-03T12:00:00Z' }, 'timestamp_renewal', /expected a length such as "2 weeks" or "14d", at most/u],
  [
    { timestamp_renewal: '1 week' },
    'timestamp_renewal',
    /it is "1 week", and the role lives 604800 s; expected less than timestamp_expiration/u,
  ],
] as const) {
  test(`parseExpiryPolicy() refuses ${JSON.stringify(table)} and says what is wrong`, () => {
    assert.throws(() => parseExpiryPolicy(table), { code: 'repository/bad-policy', details: { member }, message });
  });
}

test('expiryOf() is the date of the policy while that is to come, and refuses it afterwards', () => {
  const policy = parseExpiryPolicy({ root_expiration: '2026-07-01T00:00:00+02:00' });
  assert.equal(expiryOf('root', NOW, policy), '2026-06-30T22:00:00Z');
  assert.throws(() => expiryOf('root', new Date('2026-06-30T22:00:00Z'), policy), {
    code: 'repository/bad-policy',
    message: /it is 2026-06-30T22:00:00Z, and it is 2026-06-30T22:00:00Z by now; expected a date to come/u,
  });
  assert.equal(expiryOf('timestamp', NOW, policy), '2026-06-08T12:00:00Z');
});

test('urgencyOf() is due from the lead on and overdue from the end on, to the second', () => {
  const policy = parseExpiryPolicy({ timestamp_renewal: '2 days' });
  const expires = '2026-06-08T12:00:00Z' as TufDate;
  const at = (now: string): string => urgencyOf('timestamp', expires, { now: new Date(now), policy });
  assert.equal(renewalOf('timestamp', expires, policy).toISOString(), '2026-06-06T12:00:00.000Z');
  assert.equal(at('2026-06-06T11:59:59Z'), 'fine');
  assert.equal(at('2026-06-06T12:00:00Z'), 'due');
  assert.equal(at('2026-06-08T11:59:59Z'), 'due');
  assert.equal(at('2026-06-08T12:00:00Z'), 'overdue');
});

test('urgencyOf() is fine for what was drafted just now, under every policy that is accepted', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 5000 }), (life, lead) => {
      fc.pre(lead < life);
      const policy = parseExpiryPolicy({ snapshot_expiration: `${life}h`, snapshot_renewal: `${lead}h` });
      assert.equal(urgencyOf('snapshot', expiryOf('snapshot', NOW, policy), { now: NOW, policy }), 'fine');
    }),
  );
});

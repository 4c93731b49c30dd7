import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareVersions } from '../../lib/release/version-order.ts';

// The semver crate sorts these texts in this order.
const ASCENDING = [
  '1.0.0-0',
  '1.0.0-2',
  '1.0.0-10',
  '1.0.0-9007199254740992',
  '1.0.0-9007199254740993',
  '1.0.0--',
  '1.0.0-A',
  '1.0.0-alpha',
  '1.0.0-alpha.1',
  '1.0.0-alpha.1+build',
  '1.0.0-alpha.beta',
  '1.0.0',
  '1.0.0+0',
  '1.0.0+00',
  '1.0.0+1',
  '1.0.0+1.x',
  '1.0.0+01',
  '1.0.0+2',
  '1.0.0+a',
  '1.0.1-0',
  '1.9.0',
  '1.10.0',
];

test('compareVersions() orders as hosts do, build metadata included', () => {
  assert.deepEqual(ASCENDING.toReversed().toSorted(compareVersions), ASCENDING);
  for (const version of ASCENDING) assert.equal(compareVersions(version, version), 0);
});

test('compareVersions() throws RangeError when it is given something else', () => {
  assert.throws(() => compareVersions('1.0.0', 'latest'), RangeError);
});

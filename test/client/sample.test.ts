/** Samples of targets. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'node:test';
import { sampleOf } from '../../lib/client/sample.ts';

test('sampleOf() takes that many different ones, in their order, the same ones for the same seed', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat(), { maxLength: 60 }),
      fc.integer({ min: 1, max: 70 }),
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      (all, size, seed) => {
        const sample = sampleOf(all, size, seed);
        assert.equal(sample.length, Math.min(size, all.length));
        assert.deepEqual(
          all.filter((one) => sample.includes(one)),
          sample,
        );
        assert.deepEqual(sampleOf(all, size, seed), sample);
      },
    ),
  );
});

test('sampleOf() takes each as often as any other over many seeds', () => {
  const all = Array.from({ length: 10 }, (_, index) => index);
  const counts = all.map(() => 0);
  for (let seed = 0; seed < 10_000; seed += 1) for (const one of sampleOf(all, 3, seed)) counts[one] = (counts[one] ?? 0) + 1;
  for (const count of counts) assert.ok(Math.abs(count - 3000) < 250, String(counts));
});

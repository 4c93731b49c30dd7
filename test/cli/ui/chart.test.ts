import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { chartLegend, chartRows, drawChart, type ChartOptions } from '../../../cli/ui/chart.ts';

/** A slope and a jump. */
const OPTIONS: ChartOptions = {
  lines: [
    { name: 'as intended', valueAt: (x) => x * 10 },
    { name: 'stock hosts', valueAt: (x) => (x < 5 ? 20 : 100) },
  ],
  xEnd: 10,
  xSteps: [1, 2, 5, 10],
  xTitle: 'days since the release starts',
  columns: 60,
  rows: 9,
  signs: 'unicode',
};

const plain = (lines: readonly string[]): readonly string[] => lines.map((line) => stripVTControlCharacters(line));

test('drawChart() draws both curves, with axes whose numbers stand at their values', () => {
  assert.deepEqual(plain(drawChart(OPTIONS)), [
    '100 %┤                          ┏━━━━━━━━━━━━━━━━━━━━━━┌───━',
    '     │                          ┃                ┌─────┘',
    ' 75 %┤                          ┃         ┌──────┘',
    '     │                          ┃  ┌──────┘',
    ' 50 %┤                       ┌──┃──┘',
    '     │                ┌──────┘  ┃',
    ' 25 %┤━━━━━━━━━┌──────┘━━━━━━━━━┛',
    '     │   ┌─────┘',
    '  0 %┤───┘',
    '     └──────────┬─────────┬──────────┬─────────┬──────────┬',
    '     0          2         4          6         8          10',
    '                 days since the release starts',
  ]);
});

test('drawChart() tells the curves apart without UTF-8', () => {
  const lines = plain(drawChart({ ...OPTIONS, signs: 'ascii' }));
  assert.ok(lines.every((line) => /^[ -~]*$/u.test(line)));
  assert.equal(lines[4], ' 50 %+                       ...#...');
  assert.deepEqual(plain([chartLegend({ ...OPTIONS, signs: 'ascii' })]), ['.. as intended   ## stock hosts']);
});

test('drawChart() keeps rows in which nothing is drawn', () => {
  const flat = { name: 'flat', valueAt: () => 0 };
  const lines = plain(drawChart({ ...OPTIONS, lines: [flat, flat] }));
  assert.equal(lines.length, 12);
  assert.equal(lines[0], '100 %┤');
  assert.match(lines[8] ?? '', /^ {2}0 %┤─+/u);
});

test('drawChart() is as high as it should be and never wider, and numbers never touch', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 20, max: 240 }),
      fc.integer({ min: 1, max: 12 }),
      fc.double({ min: 0.01, max: 1e6, noNaN: true }),
      fc.array(fc.double({ min: -10, max: 110, noNaN: true }), { minLength: 2, maxLength: 20 }),
      fc.constantFrom('unicode' as const, 'ascii' as const),
      (columns, steps, xEnd, values, signs) => {
        const valueAt = (x: number): number => values[Math.floor((x / xEnd) * (values.length - 1))] ?? 0;
        const rows = 4 * steps + 1;
        const lines = [
          { name: 'a', valueAt },
          { name: 'b', valueAt: (x: number): number => 100 - valueAt(x) },
        ] as const;
        const drawn = plain(drawChart({ ...OPTIONS, lines, columns, rows, xEnd, signs }));
        assert.equal(drawn.length, rows + 3);
        for (const line of drawn) assert.ok(line.length <= columns, line);
        for (const [row, label] of ['100 %', ' 75 %', ' 50 %', ' 25 %', '  0 %'].entries()) {
          assert.equal(drawn[row * steps]?.slice(0, 5), label);
        }
        const numbers = (drawn[rows + 1] ?? '').trim().split(/ +/u).map(Number);
        assert.deepEqual(
          numbers,
          [...new Set(numbers)].toSorted((a, b) => a - b),
        );
      },
    ),
  );
});

test('chartRows() finds heights at which every number has its row', () => {
  assert.deepEqual(
    [0, 5, 8, 9, 12, 13, 30].map((available) => chartRows(available)),
    [5, 5, 5, 9, 9, 13, 29],
  );
});

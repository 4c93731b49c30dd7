import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { formatAfter, rateUnit, simulationCsv, simulationLines, simulationPlot, type Comparison } from '../../../cli/ui/simulation.ts';
import { scheduleOf } from '../../../lib/release/eligibility.ts';
import { simulateRollout, type SimulationOptions } from '../../../lib/release/simulate.ts';
import { instantOf } from '../../../lib/release/wave-time.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;
const FROM = instantOf(new Date('2026-03-02T12:00:00Z'));
const SCHEDULE = scheduleOf({ '0': '2026-03-02T13:00:00Z', '1024': '2026-03-02T17:00:00Z', '2047': '2026-03-02T22:00:00Z' });

function comparisonOf(options: Partial<SimulationOptions> = {}): Comparison {
  const all: SimulationOptions = { hosts: 2000, from: FROM, pollSeconds: HOUR, rngSeed: 1, ...options };
  return {
    title: 'a policy',
    since: 'since the release starts',
    intended: simulateRollout(SCHEDULE, 'relative', all),
    stock: simulateRollout(SCHEDULE, 'stock', all),
    ...(all.downloadBytes === undefined ? {} : { downloadBytes: all.downloadBytes }),
    ...(all.failures === undefined ? {} : { failures: all.failures }),
  };
}

const linesOf = (comparison: Comparison, columns = 80, rows = 24): readonly string[] =>
  simulationLines(comparison, { columns, rows, signs: 'unicode' }).map((line) => stripVTControlCharacters(line));

test('simulationLines() fill a terminal and no more, with the prompt that comes next', () => {
  const heights = { 10: 23, 24: 23, 26: 23, 28: 27, 50: 39 };
  for (const [rows, lines] of Object.entries(heights)) assert.equal(linesOf(comparisonOf(), 80, Number(rows)).length, lines, rows);
  for (const columns of [60, 80, 200]) {
    for (const line of linesOf(comparisonOf({ downloadBytes: 240e6 }), columns)) assert.ok(line.length <= columns, line);
  }
});

test('simulationLines() say when who is offered it, how large the jumps are and how fast downloads get', () => {
  const lines = linesOf(comparisonOf({ downloadBytes: 240e6 }));
  assert.equal(lines[0], 'a policy: share of 2,000 hosts that run it');
  assert.match(lines[14] ?? '', /^ +as intended +stock hosts$/u);
  const figure = (name: string): readonly string[] =>
    lines
      .find((line) => line.trimStart().startsWith(`${name}  `))
      ?.trim()
      .split(/ {2,}/u)
      .slice(1) ?? [];
  assert.deepEqual(figure('100 % offered'), ['10 h', '10 h']);
  const [intended = '', stock = ''] = figure('largest jump');
  assert.match(intended, /^0\.\d %/u);
  assert.match(stock, /^(?:49|50|51)\.\d % at 10 h$/u);
  assert.match(figure('peak download')[1] ?? '', /^\d+ MB\/s at 1[01] h/u);
  assert.match(linesOf(comparisonOf()).at(-1) ?? '', /^peak download +\d\.\d % in 10 min +\d+\.\d % in 10 min$/u);
});

test('simulationLines() count failures, and say when the abort is live and who is spared', () => {
  const failures = { share: 0.1, abortAfter: 50, reactionSeconds: 1800 };
  const lines = linesOf(comparisonOf({ failures }));
  assert.match(lines.at(-3) ?? '', /^ failed hosts +\d+ +\d+$/u);
  assert.match(lines.at(-2) ?? '', /^abort is live +at \d h \d+ min +at \d h \d+ min$/u);
  assert.match(lines.at(-1) ?? '', /^ +spared +\d\d\.\d % +\d\d\.\d %$/u);
  const never = linesOf(comparisonOf({ failures: { share: 0, abortAfter: 1, reactionSeconds: 0 } }));
  assert.match(never.at(-2) ?? '', /^abort is live +never +never$/u);
  assert.match(never.at(-1) ?? '', /^ +spared +0 % +0 %$/u);
});

test('simulationCsv() has a row for each step', () => {
  const [head, first, ...rows] = simulationCsv(comparisonOf({ downloadBytes: 6e6 }))
    .trimEnd()
    .split('\n');
  const columns = (head ?? '').split(',');
  assert.deepEqual(columns.slice(0, 6), [
    'time',
    'seconds',
    'intended_offered',
    'intended_downloaded',
    'intended_updated',
    'intended_bytes_per_second',
  ]);
  assert.equal(columns.length, 10);
  assert.equal(first?.split(',').slice(0, 2).join(), '2026-03-02T12:00:00Z,0');
  const cells = rows.map((row) => row.split(',').map(Number));
  assert.equal(cells.at(-1)?.[4], 2000);
  assert.equal(cells[1]?.[1], 120);
  const downloaded = cells.reduce((sum, row) => sum + ((row[9] ?? 0) * 60) / 6e6, 0);
  assert.ok(Math.abs(downloaded - 2000) < 1, 'the rate is that of the step');
  assert.match(simulationCsv(comparisonOf()).split('\n')[5] ?? '', /,\d+,,\d+,\d+,\d+,$/u);
});

test('simulationPlot() chooses units that fit', () => {
  const { xTitle, rateTitle, lines, title } = simulationPlot(comparisonOf({ downloadBytes: 240e6 }));
  assert.deepEqual([title, xTitle, rateTitle], ['a policy, 2,000 hosts', 'hours since the release starts', 'download rate (MB/s)']);
  assert.deepEqual(
    lines.map(({ name, points }) => [name, points.at(-1)?.share]),
    [
      ['as intended', 100],
      ['stock hosts', 100],
    ],
  );
  const most = Math.max(...lines.flatMap(({ points }) => points.map(({ rate }) => rate)));
  assert.ok(most > 60 && most < 120, `half of 2000 hosts in an hour: ${most}`);
  assert.equal(simulationPlot(comparisonOf()).rateTitle, 'downloads (hosts/min)');
  assert.equal(simulationPlot(comparisonOf({ pollSeconds: 7 * DAY })).xTitle, 'days since the release starts');
});

test('formatAfter() rounds to minutes, and to hours after two days', () => {
  assert.deepEqual([0, 60, 59 * 60 + 50, HOUR, 26.2 * HOUR, 2 * DAY, 5 * DAY + 7300, 2 * DAY - 1, undefined].map(formatAfter), [
    '0 min',
    '1 min',
    '1 h',
    '1 h',
    '26 h 12 min',
    '2 d',
    '5 d 2 h',
    '48 h',
    'never',
  ]);
});

test('rateUnit() keeps numbers below a thousand', () => {
  assert.deepEqual(
    [0, 999, 1000, 2.5e6, 8e9, 3e13, 3e17].map((rate) => rateUnit(rate).name),
    ['B/s', 'B/s', 'kB/s', 'MB/s', 'GB/s', 'TB/s', 'TB/s'],
  );
});

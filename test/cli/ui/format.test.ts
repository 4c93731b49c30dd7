import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, formatBytes, formatDuration, formatLeft, formatRate, formatWhen, wrapWords } from '../../../cli/ui/format.ts';

function check<T extends readonly unknown[]>(format: (...input: T) => string, cases: readonly (readonly [...T, string])[]): void {
  for (const row of cases) {
    // Proof: the last item of a row is the text, what stands before it are the arguments.
    const input = row.slice(0, -1) as unknown as T;
    assert.equal(format(...input), row.at(-1), JSON.stringify(input));
  }
}

test('formatBytes() counts in powers of 1024 when a size passes one', () => {
  check(formatBytes, [
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [64 << 20, '64.0 MiB'],
    [(1 << 20) - 1, '1.0 MiB'],
    [5.5 * 2 ** 30, '5.5 GiB'],
    [3 * 2 ** 50, '3072.0 TiB'],
  ]);
});

test('formatRate() counts in millions of bytes a second when time has passed', () => {
  check(formatRate, [
    [100_000_000, 1000, '100 MB/s'],
    [1_500_000, 1000, '1.5 MB/s'],
    [1_500_000, 0, '-'],
  ]);
});

test('formatDuration() never shows 60 seconds when it rounds', () => {
  check(formatDuration, [
    [0, '0 ms'],
    [999.4, '999 ms'],
    [999.6, '1.0 s'],
    [4200, '4.2 s'],
    [59_949, '59.9 s'],
    [59_951, '1 min 0 s'],
    [119_900, '2 min 0 s'],
    [200_000, '3 min 20 s'],
    [7_500_000, '2 h 5 min'],
  ]);
});

test('formatLeft() shows whole seconds, and at least one, when work remains', () => {
  check(formatLeft, [
    [0, '1 s'],
    [1001, '2 s'],
    [61_000, '1 min 1 s'],
  ]);
});

test('formatWhen() looks forward and back when the date is not now', () => {
  const now = new Date('2026-06-01T12:00:00Z');
  const at = (text: string): string => formatWhen(new Date(text), now);
  check(at, [
    ['2026-06-14T12:00:01Z', 'in 13 days'],
    ['2026-06-14T11:59:59Z', 'in 13 days'],
    ['2026-06-07T10:00:00Z', 'in 5.9 days'],
    ['2026-06-03T12:00:00Z', 'in 2 days'],
    ['2026-06-03T11:29:00Z', 'in 47 hours'],
    ['2026-06-02T12:00:00Z', 'in 24 hours'],
    ['2026-06-01T13:30:00Z', 'in 1.5 hours'],
    ['2026-06-01T12:59:40Z', 'in 1 hour'],
    ['2026-06-01T12:01:29Z', 'in 1 minute'],
    ['2026-06-01T12:01:59Z', 'in 2 minutes'],
    ['2026-06-01T12:00:10Z', 'in less than a minute'],
    ['2026-06-01T11:59:50Z', 'less than a minute ago'],
    ['2026-06-01T10:00:00Z', '2 hours ago'],
  ]);
});

test('count() adds an s when there is not exactly one', () => {
  check(count, [
    [0, 'target', '0 targets'],
    [1, 'target', '1 target'],
    [2, 'target', '2 targets'],
  ]);
});

test('wrapWords() breaks between words when a line is wider', () => {
  check(wrapWords, [
    ['one two three', 13, '', 'one two three'],
    ['one two three', 12, '', 'one two\nthree'],
    ['one two three', 3, '', 'one\ntwo\nthree'],
    ['', 10, '', ''],
    ['one two three', 7, '  ', 'one two\n  three'],
    ['\u001b[31mone\u001b[39m two', 7, '', '\u001b[31mone\u001b[39m two'],
  ]);
});

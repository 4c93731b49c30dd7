/** Columns that line up; numbers to the right. Nothing is cut: digests are there to be copied. */
import { stripVTControlCharacters } from 'node:util';
import { paintResult } from './style.ts';

export interface TableOptions {
  readonly head: readonly string[];
  /** Columns that hold numbers, from 0. */
  readonly right?: readonly number[];
}

export function table(rows: readonly (readonly string[])[], { head, right = [] }: TableOptions): readonly string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => width(row[column] ?? ''))));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const blank = ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(cell)));
        return right.includes(column) ? blank + cell : cell + blank;
      })
      .join('  ')
      .trimEnd();
  return [paintResult('dim', line(head)), ...rows.map(line)];
}

function width(text: string): number {
  return stripVTControlCharacters(text).length;
}

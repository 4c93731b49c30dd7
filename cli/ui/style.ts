/** Colour and signs, as far as the terminal has them. */
import { styleText } from 'node:util';

export type Colour = 'red' | 'green' | 'yellow' | 'cyan' | 'bold' | 'dim';

/** Coloured when stderr is a terminal and `NO_COLOR` is not set, or `FORCE_COLOR` is. */
export function paint(colour: Colour, text: string): string {
  return styleText(colour, text, { stream: process.stderr });
}

/** Like `paint`, for what goes to stdout. */
export function paintResult(colour: Colour, text: string): string {
  return styleText(colour, text, { stream: process.stdout });
}

/** The first of these that says something decides (POSIX); a container that says nothing is taken to be modern. */
const locale = [process.env['LC_ALL'], process.env['LC_CTYPE'], process.env['LANG']].find((value) => value !== undefined && value !== '');
const isUtf8 = /utf-?8/iu.test(locale ?? 'C.UTF-8');

export interface Signs {
  readonly done: string;
  readonly failed: string;
  /** Cells of a bar. */
  readonly full: string;
  readonly empty: string;
  /** Stands for what was left out. */
  readonly cut: string;
}

export const sign: Signs = isUtf8
  ? { done: '✓', failed: '✗', full: '█', empty: '░', cut: '…' }
  : { done: 'ok', failed: 'x', full: '#', empty: '.', cut: '...' };

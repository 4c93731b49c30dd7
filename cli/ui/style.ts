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

const isUtf8 = /utf-?8/iu.test(process.env['LC_ALL'] ?? process.env['LC_CTYPE'] ?? process.env['LANG'] ?? 'C.UTF-8');

export const sign: { readonly done: string; readonly failed: string; readonly full: string; readonly empty: string } = isUtf8
  ? { done: '✓', failed: '✗', full: '█', empty: '░' }
  : { done: 'ok', failed: 'x', full: '#', empty: '.' };

/**
 * Two curves in the terminal.
 *
 * Rules:
 * - the curves differ in their signs as well as in their colour, so that they can be told apart without colour and without UTF-8;
 * - the y axis is a share in percent, from 0 to 100; the x axis starts at 0;
 * - numbers on an axis never touch, and no line is wider than `columns`.
 */
import { plot } from 'simple-ascii-chart';
import { paintResult, type Colour } from './style.ts';

export type ChartSigns = 'unicode' | 'ascii';

export interface ChartLine {
  readonly name: string;
  /** In percent. */
  readonly valueAt: (x: number) => number;
}

export interface ChartOptions {
  /** The second one is drawn on top. */
  readonly lines: readonly [ChartLine, ChartLine];
  /** Where the x axis ends. */
  readonly xEnd: number;
  /** Lengths that may lie between two numbers on the x axis, the shortest first. */
  readonly xSteps: readonly number[];
  readonly xTitle: string;
  readonly columns: number;
  /** Of the curves alone; `chartRows` says which heights show every number at its place. */
  readonly rows: number;
  readonly signs: ChartSigns;
}

interface Pen {
  readonly colour: Colour;
  /** In the order of `DRAWN`. */
  readonly glyphs: Readonly<Record<ChartSigns, string>>;
}

/** What the library draws with: horizontal, vertical, and the four corners. */
const DRAWN = '━┃┓┗┛┏';
const PENS: readonly [Pen, Pen] = [
  { colour: 'cyan', glyphs: { unicode: '─│┐└┘┌', ascii: '......' } },
  { colour: 'yellow', glyphs: { unicode: DRAWN, ascii: '######' } },
];
/** How the library marks what belongs to the first curve, and to the second. */
const MARKS = ['ansiCyan', 'ansiYellow'] as const;
// oxlint-disable-next-line no-control-regex -- that is what the library writes
const MARKED = /\u001B\[3([63])m(.)\u001B\[0m/gu;

const AXIS = {
  unicode: { vertical: '│', yTick: '┤', corner: '└', horizontal: '─', xTick: '┬' },
  ascii: { vertical: '|', yTick: '+', corner: '+', horizontal: '-', xTick: '+' },
} as const;
const Y_TICKS = [0, 25, 50, 75, 100];
/** The column of the y axis, behind `100 %`. */
const AXIS_COLUMN = 5;
/** Of a number on the x axis, with what keeps it apart from the next one. */
const LABEL_COLUMNS = 8;
const LEGEND_CELLS = 2;

/** The largest height up to `available` that shows every number of the y axis at its place, and 5 at least. */
export function chartRows(available: number): number {
  const steps = Y_TICKS.length - 1;
  return Math.max(1, Math.floor((available - 1) / steps)) * steps + 1;
}

/** `── as intended  ━━ stock hosts` */
export function chartLegend({ lines, signs }: Pick<ChartOptions, 'lines' | 'signs'>): string {
  const sample = ({ colour, glyphs }: Pen): string => paintResult(colour, (glyphs[signs][0] ?? '').repeat(LEGEND_CELLS));
  return `${sample(PENS[0])} ${lines[0].name}   ${sample(PENS[1])} ${lines[1].name}`;
}

/** The curves with both axes; neither a title nor a legend. */
export function drawChart(options: ChartOptions): readonly string[] {
  const width = Math.max(2, options.columns - AXIS_COLUMN - 1);
  return [...drawCurves(options, width), ...drawXAxis(options, width)];
}

function drawCurves({ lines, xEnd, rows, signs }: ChartOptions, width: number): readonly string[] {
  const points = ({ valueAt }: ChartLine): [number, number][] =>
    Array.from({ length: width }, (_, cell) => [cell, Math.min(100, Math.max(0, valueAt((cell / (width - 1)) * xEnd)))]);
  const { vertical, yTick } = AXIS[signs];
  const drawn = plot(lines.map(points), {
    width,
    height: rows,
    yRange: [0, 100],
    color: [...MARKS],
    hideXAxisTicks: true,
    customYAxisTicks: Y_TICKS,
    // It makes room for the values that there are, not for the numbers on the axis.
    formatter: (value) => `${Math.round(value)} %`.padStart(AXIS_COLUMN),
    symbols: { axis: { n: vertical, ns: vertical, y: yTick } },
  });
  // In front of the curves it has a blank line and the end of the y axis; behind them, an x axis of its own.
  return drawn
    .split('\n')
    .slice(2, rows + 2)
    .map((row) => row.replaceAll(MARKED, (_, mark: string, glyph: string) => inked(PENS[mark === '6' ? 0 : 1], glyph, signs)).trimEnd());
}

function inked({ colour, glyphs }: Pen, glyph: string, signs: ChartSigns): string {
  return paintResult(colour, glyphs[signs][DRAWN.indexOf(glyph)] ?? glyph);
}

function drawXAxis({ xEnd, xSteps, xTitle, signs, columns }: ChartOptions, width: number): readonly string[] {
  const { corner, horizontal, xTick } = AXIS[signs];
  const ticks = ticksUpTo(xEnd, xSteps, Math.max(1, Math.floor(width / LABEL_COLUMNS)));
  const cellOf = (x: number): number => Math.round((x / xEnd) * (width - 1));
  const cells = new Set(ticks.map(cellOf));
  const axis = Array.from({ length: width }, (_, cell) => (cell === 0 ? corner : cells.has(cell) ? xTick : horizontal));
  const labels = ticks.reduce((line, x) => {
    const text = String(Number(x.toFixed(3)));
    const start = AXIS_COLUMN + cellOf(x) - Math.floor((text.length - 1) / 2);
    return start + text.length > columns ? line : line.padEnd(start) + text;
  }, '');
  const middle = AXIS_COLUMN + Math.floor((width - xTitle.length) / 2);
  return [' '.repeat(AXIS_COLUMN) + axis.join(''), labels, `${' '.repeat(Math.max(0, middle))}${xTitle}`.slice(0, columns)];
}

/** Multiples of the shortest step of which there are at most `most`. */
function ticksUpTo(end: number, steps: readonly number[], most: number): readonly number[] {
  const longest = steps.at(-1) ?? 1;
  const step = steps.find((one) => end / one <= most) ?? Math.ceil(end / most / longest) * longest;
  return Array.from({ length: Math.floor(end / step) + 1 }, (_, index) => index * step);
}

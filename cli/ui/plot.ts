/**
 * Two rollouts as a picture: the share of the fleet above, the download rate below, over the same time.
 *
 * Rules:
 * - an SVG brings its own background, and changes all its colours where dark ones are preferred; programs that do not know that
 *   preference show the light ones;
 * - the two curves differ in colour and in their line, so that they can be told apart in print;
 * - a PNG is white. Its letters come from the machine's fonts: without any there would be none, so it is refused.
 */
import type { GroupMark, Spec } from 'vega';
import { GantryError, quote } from '../../lib/errors.ts';

export interface PlotPoint {
  readonly x: number;
  /** In percent. */
  readonly share: number;
  /** During the step that ends at `x`. */
  readonly rate: number;
}

export interface PlotOptions {
  readonly title: string;
  /** What belongs to whom, in words. */
  readonly lines: readonly { readonly name: string; readonly points: readonly PlotPoint[] }[];
  /** With its unit, as the other titles. */
  readonly xTitle: string;
  readonly rateTitle: string;
}

/** Light, and what it becomes where dark is preferred. All but the grid have a contrast of 4.5 to their background. */
const COLOURS = {
  paper: ['#ffffff', '#0d1117'],
  ink: ['#1f2328', '#e6edf3'],
  grid: ['#d8dee4', '#30363d'],
  first: ['#0969da', '#58a6ff'],
  second: ['#bc4c00', '#f0883e'],
} as const;
const SIZE = { width: 760, share: 260, rate: 130 } as const;
/** Without quotation marks: the library that draws a PNG skips quoted names. */
const FONTS = 'system-ui, -apple-system, Segoe UI, Helvetica Neue, Arial, Liberation Sans, DejaVu Sans, Noto Sans, sans-serif';
const PNG_SCALE = 2;

export async function plotSvg(options: PlotOptions): Promise<string> {
  return (await drawn(options)).replace(/(<svg[^>]*>)/u, `$1<style>${darkColours()}</style>`);
}

/** @throws GantryError `usage/option` when this machine cannot make one */
export async function plotPng(options: PlotOptions, path: string): Promise<Uint8Array> {
  const { Resvg } = await import('@resvg/resvg-js').catch((cause: unknown) => {
    throw noPng(path, 'the library that draws it does not run on this machine', cause);
  });
  const probe = new Resvg('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text y="9">M</text></svg>');
  if (probe.getBBox() === undefined) throw noPng(path, 'this machine has no fonts, so there would be no text in it');
  return new Resvg(await drawn(options), { fitTo: { mode: 'zoom', value: PNG_SCALE }, background: COLOURS.paper[0] }).render().asPng();
}

function noPng(path: string, problem: string, cause?: unknown): GantryError {
  const details = { option: '--plot' };
  return new GantryError('usage/option', `Cannot use --plot ${quote(path)}: ${problem}; expected a file that ends with .svg`, details, {
    cause,
  });
}

async function drawn(options: PlotOptions): Promise<string> {
  const vega = await import('vega');
  const view = new vega.View(vega.parse(specOf(options)), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

/** Rules go before the attributes with which the colours are given. */
function darkColours(): string {
  const rules = Object.values(COLOURS).flatMap(([light, dark]) =>
    ['fill', 'stroke'].map((property) => `[${property}="${light}"]{${property}:${dark}}`),
  );
  return `@media (prefers-color-scheme:dark){${rules.join('')}}`;
}

function specOf({ title, lines, xTitle, rateTitle }: PlotOptions): Spec {
  const values = lines.flatMap(({ name, points }) => points.map((point) => ({ ...point, line: name })));
  const [ink] = COLOURS.ink;
  const names = lines.map(({ name }) => name);
  return {
    width: SIZE.width,
    background: COLOURS.paper[0],
    padding: 16,
    autosize: 'pad',
    description: `${title}. ${names.join(' and ')}, over ${xTitle}.`,
    config: {
      axis: {
        domainColor: ink,
        tickColor: ink,
        gridColor: COLOURS.grid[0],
        labelColor: ink,
        labelFont: FONTS,
        labelFontSize: 12,
        titleColor: ink,
        titleFont: FONTS,
        titleFontSize: 12,
        titleFontWeight: 'normal',
      },
      title: { color: ink, font: FONTS },
      legend: { labelColor: ink, labelFont: FONTS, labelFontSize: 13 },
    },
    title: { text: title, anchor: 'start', fontSize: 16, offset: 12 },
    layout: { columns: 1, padding: 24, align: 'all', bounds: 'flush' },
    data: [{ name: 'points', values }],
    scales: [
      { name: 'x', type: 'linear', domain: { data: 'points', field: 'x' }, range: [0, SIZE.width], nice: false, zero: true },
      { name: 'colour', type: 'ordinal', domain: names, range: [COLOURS.first[0], COLOURS.second[0]] },
      {
        name: 'dash',
        type: 'ordinal',
        domain: names,
        range: [
          [1, 0],
          [7, 3],
        ],
      },
    ],
    legends: [
      {
        stroke: 'colour',
        strokeDash: 'dash',
        orient: 'top',
        direction: 'horizontal',
        symbolType: 'stroke',
        symbolSize: 900,
        symbolStrokeWidth: 2.5,
      },
    ],
    marks: [
      panel({ field: 'share', height: SIZE.share, title: 'share of the fleet (%)', domain: [0, 100], interpolate: 'linear' }),
      panel({ field: 'rate', height: SIZE.rate, title: rateTitle, interpolate: 'step-before', xTitle }),
    ],
  };
}

interface PanelOptions {
  readonly field: 'share' | 'rate';
  readonly height: number;
  readonly title: string;
  /** Absent: up to the largest value. */
  readonly domain?: readonly [number, number];
  readonly interpolate: 'linear' | 'step-before';
  /** Absent: the panel below has it. */
  readonly xTitle?: string;
}

function panel({ field, height, title, domain, interpolate, xTitle }: PanelOptions): GroupMark {
  const y = `y_${field}`;
  return {
    type: 'group',
    encode: { update: { width: { value: SIZE.width }, height: { value: height } } },
    // As long as the lines of the grid are.
    signals: [{ name: 'height', value: height }],
    scales: [
      {
        name: y,
        type: 'linear',
        range: [height, 0],
        zero: true,
        nice: domain === undefined,
        domain: domain === undefined ? { data: 'points', field } : [...domain],
      },
    ],
    axes: [
      {
        scale: 'x',
        orient: 'bottom',
        grid: true,
        tickCount: 8,
        format: ',~f',
        ...(xTitle === undefined ? { labels: false } : { title: xTitle }),
      },
      { scale: y, orient: 'left', grid: true, title, tickCount: 4, format: ',~f', minExtent: 56 },
    ],
    marks: [
      {
        type: 'group',
        from: { facet: { name: 'curve', data: 'points', groupby: 'line' } },
        marks: [
          {
            type: 'line',
            from: { data: 'curve' },
            encode: {
              update: {
                x: { scale: 'x', field: 'x' },
                y: { scale: y, field },
                stroke: { scale: 'colour', field: 'line' },
                strokeDash: { scale: 'dash', field: 'line' },
                strokeWidth: { value: 2 },
                interpolate: { value: interpolate },
              },
            },
          },
        ],
      },
    ],
  };
}

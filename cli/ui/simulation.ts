/** Simulated rollouts for people, for programs and for spreadsheets; what was meant always comes first, then what stock hosts do. */
import { hostsAt, endOf, seriesOf, stepFor } from '../../lib/release/rollout-series.ts';
import type { Rollout, Stage } from '../../lib/release/simulate.ts';
import { dateOfInstant, SECOND } from '../../lib/release/wave-time.ts';
import { chartLegend, chartRows, drawChart, type ChartLine, type ChartSigns } from './chart.ts';
import type { PlotOptions } from './plot.ts';
import { formatMoment, formatShare } from './rollout.ts';
import { table } from './table.ts';

export interface Comparison {
  readonly title: string;
  /** What time is counted from, in words. */
  readonly since: string;
  readonly intended: Rollout;
  readonly stock: Rollout;
  /** What one host downloads. */
  readonly downloadBytes?: number;
  readonly failures?: { readonly abortAfter?: number };
}

export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  readonly signs: ChartSigns;
}

/** The unit of the time axis. */
export interface TimeUnit {
  readonly name: 'hours' | 'days';
  readonly seconds: number;
}

export const INTENDED = 'as intended';
export const STOCK = 'stock hosts';

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
const HOUR_STEPS = [1 / 60, 1 / 12, 0.25, 0.5, 1, 2, 3, 6, 12];
const DAY_STEPS = [0.5, 1, 2, 5, 7, 14, 28, 91, 365];
const MAX_COLUMNS = 120;
const MIN_CHART_ROWS = 9;
const MAX_CHART_ROWS = 25;
/** Title, legend, x axis, table, and the prompt that comes next. */
const OTHER_ROWS = 15;
const FAILURE_ROWS = 3;
/** What people and spreadsheets still look at. */
const MAX_STEPS = 1500;

export function timeUnit({ intended, stock }: Comparison): TimeUnit {
  return Math.max(endOf(intended), endOf(stock)) <= 3 * DAY ? { name: 'hours', seconds: HOUR } : { name: 'days', seconds: DAY };
}

export function simulationLines(comparison: Comparison, terminal: Terminal): readonly string[] {
  const { title, since, intended, stock, failures } = comparison;
  const columns = Math.min(terminal.columns, MAX_COLUMNS);
  const unit = timeUnit(comparison);
  const line = (name: string, rollout: Rollout): ChartLine => ({
    name,
    valueAt: (x) => (hostsAt(rollout.updated, rollout, x * unit.seconds) / rollout.hosts) * 100,
  });
  const lines = [line(INTENDED, intended), line(STOCK, stock)] as const;
  const rows = terminal.rows - OTHER_ROWS - (failures === undefined ? 0 : FAILURE_ROWS);
  return [
    `${title}: share of ${intended.hosts.toLocaleString('en-US')} hosts that run it`,
    chartLegend({ lines, signs: terminal.signs }),
    ...drawChart({
      lines,
      xEnd: Math.max(endOf(intended), endOf(stock)) / unit.seconds,
      xSteps: unit.name === 'hours' ? HOUR_STEPS : DAY_STEPS,
      xTitle: `${unit.name} ${since}`,
      columns,
      rows: chartRows(Math.min(MAX_CHART_ROWS, Math.max(MIN_CHART_ROWS, rows))),
      signs: terminal.signs,
    }),
    ...table(figures(comparison), { head: ['', INTENDED, STOCK], right: [0, 1, 2] }),
  ];
}

function figures({ intended, stock, downloadBytes, failures }: Comparison): readonly (readonly string[])[] {
  const row = (name: string, figure: (rollout: Rollout) => string): readonly string[] => [name, figure(intended), figure(stock)];
  const reached = (stage: Stage, percent: number): string => formatAfter(stage.reached.find((one) => one.percent === percent)?.after);
  return [
    ...[1, 10, 50, 90, 100].map((percent) => row(`${percent} % offered`, ({ offered }) => reached(offered, percent))),
    row('100 % updated', ({ updated }) => reached(updated, 100)),
    row('largest jump', ({ jump, hosts }) => `${formatShare(jump.hosts / hosts)} at ${formatAfter(jump.after)}`),
    row('peak download', ({ peak, hosts }) =>
      downloadBytes === undefined
        ? `${formatShare(peak.hosts / hosts)} in ${formatAfter(peak.withinSeconds)}`
        : `${formatBytesPerSecond(peak.bytesPerSecond)} at ${formatAfter(peak.after)}`,
    ),
    ...(failures === undefined ? [] : [row('failed hosts', ({ failed }) => failed.toLocaleString('en-US'))]),
    ...(failures?.abortAfter === undefined
      ? []
      : [
          row('abort is live', ({ abortedAt }) => (abortedAt === undefined ? 'never' : `at ${formatAfter(abortedAt)}`)),
          row('spared', ({ downloaded, hosts }) => formatShare(1 - downloaded.hosts / hosts)),
        ]),
  ];
}

/** `25 min`, `26 h 10 min`, `5 d 2 h` */
export function formatAfter(seconds: number | undefined): string {
  if (seconds === undefined) return 'never';
  const [large, small, size, most] = seconds < 2 * DAY ? (['h', 'min', HOUR, 60] as const) : (['d', 'h', DAY, 24] as const);
  const parts = Math.round((seconds / size) * most);
  const [whole, rest] = [Math.floor(parts / most), parts % most];
  if (whole === 0) return `${rest} ${small}`;
  return rest === 0 ? `${whole} ${large}` : `${whole} ${large} ${rest} ${small}`;
}

const RATES = ['B/s', 'kB/s', 'MB/s', 'GB/s', 'TB/s'];

/** The unit in which a rate is shown, and its bytes per second. */
export function rateUnit(bytesPerSecond: number): { readonly name: string; readonly bytesPerSecond: number } {
  let index = 0;
  while (bytesPerSecond >= 1000 ** (index + 1) && index < RATES.length - 1) index += 1;
  return { name: RATES[index] ?? '', bytesPerSecond: 1000 ** index };
}

function formatBytesPerSecond(rate: number): string {
  const unit = rateUnit(rate);
  const value = rate / unit.bytesPerSecond;
  return `${value.toFixed(value < 9.95 ? 1 : 0)} ${unit.name}`;
}

export function simulationJson({ intended, stock, downloadBytes }: Comparison): object {
  const stepSeconds = stepFor(Math.max(endOf(intended), endOf(stock)), MAX_STEPS);
  const start = momentAfter(intended, 0);
  return {
    start,
    ...(downloadBytes === undefined ? {} : { downloadBytes }),
    intended: rolloutJson(intended, stepSeconds),
    stock: rolloutJson(stock, stepSeconds),
  };
}

function rolloutJson(rollout: Rollout, stepSeconds: number): object {
  const { offered, downloaded, updated, failed, abortedAt, jump, peak } = rollout;
  const when = (after: number): object => ({ afterSeconds: after, at: momentAfter(rollout, after) });
  const stage = ({ hosts, reached }: Stage): object => ({
    hosts,
    reached: reached.map(({ percent, after }) => ({ percent, ...(after === undefined ? {} : when(after)) })),
  });
  const series = seriesOf(rollout, stepSeconds, endOf(rollout));
  return {
    offered: stage(offered),
    downloaded: stage(downloaded),
    updated: stage(updated),
    failed,
    ...(abortedAt === undefined ? {} : { aborted: when(abortedAt) }),
    largestJump: { hosts: jump.hosts, share: jump.hosts / rollout.hosts, withinSeconds: jump.withinSeconds, ...when(jump.after) },
    peakDownload: {
      hosts: peak.hosts,
      bytesPerSecond: Math.round(peak.bytesPerSecond),
      withinSeconds: peak.withinSeconds,
      ...when(peak.after),
    },
    curve: { stepSeconds, offered: series.offered, downloaded: series.downloaded, updated: series.updated },
  };
}

/** One row for each step: hosts that have come that far, and the download rate in the step that ends then. */
export function simulationCsv({ intended, stock, downloadBytes }: Comparison): string {
  const end = Math.max(endOf(intended), endOf(stock));
  const step = stepFor(end, MAX_STEPS);
  const rollouts = [intended, stock].map((rollout) => seriesOf(rollout, step, end));
  const columns = ['offered', 'downloaded', 'updated', 'bytes_per_second'];
  const head = ['time', 'seconds', ...['intended', 'stock'].flatMap((who) => columns.map((column) => `${who}_${column}`))];
  const moments = Array.from({ length: rollouts[0]?.offered.length ?? 0 }, (_, index) => index * step);
  const rows = moments.map((seconds, index) => [
    momentAfter(intended, seconds),
    seconds,
    ...rollouts.flatMap(({ offered, downloaded, updated, downloads }) => [
      offered[index],
      downloaded[index],
      updated[index],
      downloadBytes === undefined ? '' : Math.round(((downloads[index] ?? 0) * downloadBytes) / step),
    ]),
  ]);
  return `${[head, ...rows].map((cells) => cells.join(',')).join('\n')}\n`;
}

export function simulationPlot(comparison: Comparison): PlotOptions {
  const { title, since, intended, stock, downloadBytes } = comparison;
  // A little of what comes then, so that the last jump does not merge with the frame.
  const end = Math.max(endOf(intended), endOf(stock)) * 1.02;
  const step = stepFor(end, MAX_STEPS);
  const time = timeUnit(comparison);
  const series = [intended, stock].map((rollout) => seriesOf(rollout, step, end));
  const most = Math.max(...series.flatMap(({ downloads }) => downloads));
  const rate = downloadBytes === undefined ? undefined : rateUnit((most * downloadBytes) / step);
  const perStep = rate === undefined ? MINUTE / step : (downloadBytes ?? 0) / step / rate.bytesPerSecond;
  return {
    title: `${title}, ${intended.hosts.toLocaleString('en-US')} hosts`,
    xTitle: `${time.name} ${since}`,
    rateTitle: rate === undefined ? 'downloads (hosts/min)' : `download rate (${rate.name})`,
    lines: series.map(({ updated, downloads }, index) => ({
      name: [INTENDED, STOCK][index] ?? '',
      points: updated.map((hosts, point) => ({
        x: (point * step) / time.seconds,
        share: (hosts / intended.hosts) * 100,
        rate: (downloads[point] ?? 0) * perStep,
      })),
    })),
  };
}

function momentAfter({ from }: Rollout, seconds: number): string {
  return formatMoment(dateOfInstant(from + BigInt(Math.round(seconds)) * SECOND));
}

/** What garbage collection would do, and what it did. */
import type { Collection } from '../../lib/publish/gc/collect.ts';
import type { Candidate, Decision } from '../../lib/publish/gc/decide.ts';
import { reasonSentence, type Fate } from '../../lib/publish/gc/explain.ts';
import { tufDate } from '../../lib/tuf/date.ts';
import { count, formatBytes, wrapWords } from './format.ts';
import { shorten } from './progress.ts';
import { table } from './table.ts';

/** More than that nobody reads; `--json` has all. */
const MAX_ROWS = 20;
/** Of a column with a size in front of another one: `  1023.9 KiB  `. */
const SIZE_CELLS = 14;

type Sized = { readonly object: { readonly lengthBytes: number } };

export interface Asked {
  readonly store: string;
  readonly graceMs: number;
  /** As it was typed. */
  readonly grace: string;
  /** What carries it out. */
  readonly command: string;
}

export function describeDecision(decision: Decision, { store, graceMs, grace, command }: Asked): readonly string[] {
  const { mark, remove, abandon } = decision;
  const isIdle = mark.length + remove.length + abandon.length + decision.release.length + decision.forget.length === 0;
  return [
    ...objectLines(remove, `Would remove from ${store}, marked at least ${grace} ago:`),
    ...objectLines(mark, `Would mark in ${store}, and remove ${grace} later if nobody needs them then:`),
    ...sentences(waitingLines(decision, graceMs)),
    ...(abandon.length === 0 ? [] : [`Would end ${count(abandon.length, 'upload')} begun at least ${grace} ago and never finished.`]),
    ...keptLines(decision),
    '',
    isIdle ? 'Nothing to do now.' : `Nothing was changed. Next: ${command}`,
  ];
}

/** @param marked when the marks were made */
export function describeCollection(
  decision: Decision,
  done: Collection,
  { graceMs, command, marked }: Asked & { readonly marked: Date },
): readonly string[] {
  const { removed, spared, abandoned } = done;
  const from = tufDate(new Date(marked.getTime() + graceMs));
  return sentences([
    removed.length === 0 ? 'Removed nothing.' : `Removed ${sizeOf(removed)}.`,
    ...(spared.length === 0 ? [] : [`Left ${sizeOf(spared)}: needed again, or in the hands of another run.`]),
    ...(abandoned.length === 0 ? [] : [`Ended ${count(abandoned.length, 'upload')} that nobody had finished.`]),
    ...(done.marked.length === 0 ? [] : [`Marked ${sizeOf(done.marked)}; what nobody needs then may go from ${from} on.`]),
    ...waitingLines(decision, graceMs),
    ...(done.marked.length + decision.waiting.length === 0 ? [] : ['', `Next, from then on: ${command}`]),
  ]);
}

function waitingLines({ waiting }: Decision, graceMs: number): readonly string[] {
  if (waiting.length === 0) return [];
  const first = waiting.reduce((least, { mark }) => Math.min(least, mark.at.getTime()), Number.POSITIVE_INFINITY);
  return [`${sizeOf(waiting)} marked earlier; the first may go at ${tufDate(new Date(first + graceMs))}.`];
}

export function describeFates(fates: readonly Fate[], text: string): readonly string[] {
  if (fates.length === 0) return [`The store has no object with "${text}" in its path.`];
  const shown = fates.slice(0, MAX_ROWS);
  return [
    ...shown.flatMap(({ path, fate, lengthBytes, why }) => [
      `${fate.padEnd(6)}  ${shortened(path)}, ${formatBytes(lengthBytes)}`,
      `        ${why}`,
    ]),
    ...moreLines(fates.length),
  ];
}

function keptLines({ kept }: Decision): readonly string[] {
  const reasons = [...new Set(kept.map(({ reason }) => reason))];
  const rows = reasons.map((reason) => {
    const of = kept.filter((one) => one.reason === reason);
    return [`  ${reasonSentence(reason)}`, String(of.length), formatBytes(bytesOf(of))];
  });
  return [`Keeps ${sizeOf(kept)}:`, ...table(rows, { head: ['  because', 'objects', 'size'], right: [1, 2] })];
}

function objectLines(candidates: readonly Candidate[], title: string): readonly string[] {
  if (candidates.length === 0) return [];
  const rows = candidates.slice(0, MAX_ROWS).map(({ object }) => [`  ${formatBytes(object.lengthBytes)}`, fitted(object.path)]);
  return [
    ...sentences([title]),
    ...table(rows, { head: ['  size', 'object'], right: [0] }),
    ...moreLines(candidates.length),
    `${sizeOf(candidates)}.`,
    '',
  ];
}

function moreLines(all: number): readonly string[] {
  return all > MAX_ROWS ? [`  … and ${all - MAX_ROWS} more; --json lists all of them`] : [];
}

/** A digest in full is wider than a terminal. */
function shortened(path: string): string {
  return path.replace(/([0-9a-f]{8})[0-9a-f]{56}/u, '$1…');
}

/** In a terminal a row is one line. */
function fitted(path: string): string {
  return process.stdout.isTTY ? shorten(shortened(path), process.stdout.columns - SIZE_CELLS) : shortened(path);
}

function sentences(lines: readonly string[]): readonly string[] {
  return process.stdout.isTTY ? lines.map((line) => wrapWords(line, process.stdout.columns)) : lines;
}

function sizeOf(items: readonly Sized[]): string {
  return `${count(items.length, 'object')}, ${formatBytes(bytesOf(items))}`;
}

function bytesOf(items: readonly Sized[]): number {
  return items.reduce((sum, { object }) => sum + object.lengthBytes, 0);
}

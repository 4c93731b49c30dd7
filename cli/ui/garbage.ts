/** What garbage collection would do, and what it did. */
import type { Collection } from '../../lib/publish/gc/collect.ts';
import type { Candidate, Decision } from '../../lib/publish/gc/decide.ts';
import { reasonSentence, type Fate } from '../../lib/publish/gc/explain.ts';
import { tufDate } from '../../lib/tuf/date.ts';
import { count, formatBytes } from './format.ts';
import { table } from './table.ts';

/** More than that nobody reads; `--json` has all. */
const MAX_ROWS = 20;

type Sized = { readonly object: { readonly lengthBytes: number } };

interface Place {
  readonly store: string;
  readonly graceMs: number;
  /** As it was typed. */
  readonly grace: string;
}

export function describeDecision(decision: Decision, { store, graceMs, grace }: Place): readonly string[] {
  const { mark, remove, waiting, abandon } = decision;
  const from = earliest(
    waiting.map((one) => one.mark.at),
    graceMs,
  );
  const isIdle = mark.length + remove.length + abandon.length + decision.release.length + decision.forget.length === 0;
  return [
    ...objectLines(remove, `Would remove from ${store}, marked at least ${grace} ago:`),
    ...objectLines(mark, `Would mark in ${store}, to be removed ${grace} later when still nobody needs it:`),
    ...(waiting.length === 0 ? [] : [`${sizeOf(waiting)} marked already; the first may be removed at ${from ?? ''}.`]),
    ...(abandon.length === 0 ? [] : [`Would end ${count(abandon.length, 'upload')} that nobody has finished in ${grace}.`]),
    ...keptLines(decision),
    '',
    isIdle ? 'Nothing to do now.' : 'Nothing was changed. Next: gantry gc --yes',
  ];
}

export function describeCollection(
  { waiting }: Decision,
  { marked, removed, spared, abandoned }: Collection,
  graceMs: number,
): readonly string[] {
  const next = marked.length > 0 ? 'later, when still nobody needs them' : undefined;
  const from = earliest(
    waiting.map((one) => one.mark.at),
    graceMs,
  );
  return [
    `Removed ${sizeOf(removed)}.`,
    ...(spared.length === 0 ? [] : [`${sizeOf(spared)} left: somebody needs them again, or another run was quicker.`]),
    ...(abandoned.length === 0 ? [] : [`Ended ${count(abandoned.length, 'upload')} that nobody had finished.`]),
    ...(next === undefined ? [] : [`Marked ${sizeOf(marked)}: to be removed from ${tufDate(new Date(Date.now() + graceMs))} on, ${next}.`]),
    ...(from === undefined ? [] : [`${sizeOf(waiting)} marked earlier; the first may be removed at ${from}.`]),
    ...(marked.length + waiting.length === 0 ? [] : ['', 'Then: gantry gc --yes']),
  ];
}

export function describeFates(fates: readonly Fate[], text: string): readonly string[] {
  if (fates.length === 0) return [`The store has no object with "${text}" in its path.`];
  const shown = fates.slice(0, MAX_ROWS);
  return [
    ...shown.flatMap(({ path, fate, lengthBytes, why }) => [`${fate}  ${shortened(path)}, ${formatBytes(lengthBytes)}`, `      ${why}`]),
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
  const rows = candidates
    .slice(0, MAX_ROWS)
    .map(({ object, why }) => [`  ${shortened(object.path)}`, formatBytes(object.lengthBytes), why]);
  return [
    title,
    ...table(rows, { head: ['  object', 'size', 'why'], right: [1] }),
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

function sizeOf(items: readonly Sized[]): string {
  return `${count(items.length, 'object')}, ${formatBytes(bytesOf(items))}`;
}

function bytesOf(items: readonly Sized[]): number {
  return items.reduce((sum, { object }) => sum + object.lengthBytes, 0);
}

function earliest(marked: readonly Date[], graceMs: number): string | undefined {
  const first = marked.reduce<number | undefined>((least, at) => Math.min(least ?? Number.POSITIVE_INFINITY, at.getTime()), undefined);
  return first === undefined ? undefined : tufDate(new Date(first + graceMs));
}

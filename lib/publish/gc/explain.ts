/** Why an object stays or goes, for whoever asks. */
import type { StorePath } from '../../store/store.ts';
import { tufDate } from '../../tuf/date.ts';
import type { Decision, Kept, KeepReason } from './decide.ts';

export interface Fate {
  readonly path: StorePath;
  readonly lengthBytes: number;
  readonly fate: 'keep' | 'wait' | 'mark' | 'remove';
  /** Half a sentence. */
  readonly why: string;
}

/** What becomes of every object whose path has this text in it. */
export function fatesOf(decision: Decision, text: string, graceMs: number): readonly Fate[] {
  const fate = (kind: Fate['fate'], { object, why }: { readonly object: Kept['object']; readonly why: string }): Fate => ({
    path: object.path,
    lengthBytes: object.lengthBytes,
    fate: kind,
    why,
  });
  return [
    ...decision.kept.map((kept) => fate('keep', { object: kept.object, why: keepSentence(kept) })),
    ...decision.waiting.map((one) =>
      fate('wait', { object: one.object, why: `${one.why}; marked, it may go at ${removableAt(one.mark.at, graceMs)}` }),
    ),
    ...decision.mark.map((one) => fate('mark', one)),
    ...decision.remove.map((one) => fate('remove', one)),
  ].filter(({ path }) => path.includes(text));
}

function removableAt(marked: Date, graceMs: number): string {
  return tufDate(new Date(marked.getTime() + graceMs));
}

const SENTENCES: Readonly<Record<KeepReason, string>> = {
  root: 'hosts need every root',
  timestamp: 'hosts begin with it',
  live: 'live metadata names it',
  recent: 'metadata that was live less than a grace ago names it',
  ahead: 'its number is not below the live one, so it may yet be published',
  young: 'it is younger than a grace: a publication may be under way',
  claimed: 'it was needed less than a grace ago, says its mark',
  'not-ours': 'it belongs to another workspace, or to a repository that is not published yet',
  unknown: 'Gantry gives no such names',
};

/** The reason alone. */
export function reasonSentence(reason: KeepReason): string {
  return SENTENCES[reason];
}

function keepSentence({ reason, by }: Kept): string {
  const sentence = SENTENCES[reason];
  return by.length === 0 ? sentence : `${sentence} (${by.toSorted().join(', ')})`;
}

/**
 * What may go from a store. Pure: from an inventory and the time to decisions with their reasons.
 *
 * Rules, in this order; the first that holds keeps an object:
 * - every root, and every `timestamp.json`;
 * - what live metadata names, and that metadata;
 * - what metadata names that was live less than a grace ago: a host may be in the middle of it. What a running or a paused wave offers
 *   is live, and what it offered until lately is here;
 * - what has no name of ours, and what lies in a folder that is no repository of this workspace, or not published yet;
 * - a file of a role whose number is not below the live one: somebody may be about to publish it. A publication with a lower number
 *   than the live one cannot come any more, so what is below needs no claim (`marks.ts`);
 * - what is younger than a grace: a publication may be under way.
 *
 * What is left is marked, and removed a grace after that (`marks.ts` says why two runs are needed).
 */
import type { StorePath, UnfinishedWrite } from '../../store/store.ts';
import type { DatedObject, Inventory, RepositoryFacts } from './inventory.ts';
import { CLOCK_TOLERANCE_MS, MIN_GRACE_MS, type StoredMark } from './marks.ts';
import type { Needs } from './repository.ts';
import { nameObject, TARGETS_FOLDER, type CandidateKind, type NamedObject } from './names.ts';

export type KeepReason = 'root' | 'timestamp' | 'live' | 'recent' | 'ahead' | 'young' | 'claimed' | 'not-ours' | 'unknown';

export interface Candidate {
  readonly object: DatedObject;
  readonly kind: CandidateKind;
  /** Why nobody needs it: half a sentence. */
  readonly why: string;
  readonly mark?: StoredMark;
}

export interface Kept {
  readonly object: DatedObject;
  readonly reason: KeepReason;
  /** The repositories whose metadata names it. */
  readonly by: readonly string[];
}

export interface Decision {
  /** To be marked now: it has no mark, or one that does not count any more. */
  readonly mark: readonly Candidate[];
  readonly remove: readonly Candidate[];
  /** Marked less than a grace ago, or being removed by another run. */
  readonly waiting: readonly (Candidate & { readonly mark: StoredMark })[];
  readonly kept: readonly Kept[];
  /** Marks of what is needed again, or of what is gone: they become `kept`. */
  readonly release: readonly StoredMark[];
  /** Marks that say nothing any more. */
  readonly forget: readonly StoredMark[];
  /** Large writes that were begun more than a grace ago. */
  readonly abandon: readonly UnfinishedWrite[];
}

export interface Limits {
  readonly now: Date;
  readonly graceMs: number;
}

export function decide(inventory: Inventory, limits: Limits): Decision {
  const decision = {
    mark: [] as Candidate[],
    remove: [] as Candidate[],
    waiting: [] as Decision['waiting'][number][],
    kept: [] as Decision['kept'][number][],
    release: [] as StoredMark[],
    forget: [] as StoredMark[],
    abandon: inventory.unfinished.filter(({ begun }) => ageMs(begun, limits) >= limits.graceMs),
  };
  const reasonOf = keepReasons(inventory, limits);
  for (const [path, object] of inventory.objects) {
    const named = nameObject(path);
    if (named.kind === 'mark') continue;
    const kept = reasonOf(object, named);
    const mark = inventory.marks.get(path);
    if (kept !== undefined) {
      decision.kept.push({ object, ...kept });
      if (mark !== undefined) settle(mark, decision, limits);
      continue;
    }
    // Proof: what is none of these has a reason to stay.
    const kind = named.kind as CandidateKind;
    const candidate = { object, kind, why: whyOf(named, inventory.repositories), ...(mark === undefined ? {} : { mark }) };
    const next = nextOf(object, mark, limits);
    if (next === 'claimed') decision.kept.push({ object, ...because('claimed') });
    else if (next === 'waiting' && mark !== undefined) decision.waiting.push({ ...candidate, mark });
    else if (next === 'remove') decision.remove.push(candidate);
    else decision.mark.push(candidate);
  }
  for (const [path, mark] of inventory.marks) if (!inventory.objects.has(path)) settle(mark, decision, limits);
  return decision;
}

function ageMs(date: Date, { now }: Limits): number {
  return now.getTime() - date.getTime();
}

function keepReasons(
  { repositories }: Inventory,
  limits: Limits,
): (object: DatedObject, named: NamedObject) => Omit<Kept, 'object'> | undefined {
  const live = namersOf(repositories.flatMap((one) => (one.live === undefined ? [] : [{ folder: one.folder, needs: one.live.needs }])));
  const recent = namersOf(repositories.map(({ folder, recent: needs }) => ({ folder, needs })));
  const folders = new Set(repositories.map(({ folder }) => folder));
  const ours = new Map(
    repositories.flatMap(({ folder, isOurs, live: one }) => (isOurs && one !== undefined ? [[folder, one.versions]] : [])),
  );
  return (object, named) => {
    if (named.kind === 'root' || named.kind === 'timestamp') return because(named.kind);
    const [nowBy, latelyBy] = [live.get(object.path), recent.get(object.path)];
    if (nowBy !== undefined) return because('live', nowBy);
    if (latelyBy !== undefined) return because('recent', latelyBy);
    if (named.kind === 'unknown' || named.kind === 'mark') return because('unknown');
    // A store in which nothing of ours is live is none to tidy up.
    if (ours.size === 0) return because('not-ours');
    if ('folder' in named) {
      const versions = ours.get(named.folder);
      if (versions === undefined) return because(folders.has(named.folder) ? 'not-ours' : 'unknown');
      if (named.version >= (versions.get(named.role) ?? 0)) return because('ahead');
    }
    return ageMs(object.modified, limits) < limits.graceMs ? because('young') : undefined;
  };
}

function because(reason: KeepReason, by: readonly string[] = []): Omit<Kept, 'object'> {
  return { reason, by };
}

/** Who names which object. */
function namersOf(named: readonly { readonly folder: string; readonly needs: Needs }[]): ReadonlyMap<string, readonly string[]> {
  const namers = new Map<string, string[]>();
  for (const { folder, needs } of named) {
    for (const path of needs.metadata) add(path, folder);
    for (const name of needs.targets) add(`${TARGETS_FOLDER}${name}`, folder);
  }
  function add(path: string, folder: string): void {
    const known = namers.get(path);
    if (known === undefined) namers.set(path, [folder]);
    else known.push(folder);
  }
  return namers;
}

function nextOf(object: DatedObject, mark: StoredMark | undefined, limits: Limits): 'mark' | 'claimed' | 'waiting' | 'remove' {
  if (mark === undefined) return 'mark';
  const age = ageMs(mark.at, limits);
  if (age < -CLOCK_TOLERANCE_MS) return 'mark';
  switch (mark.state) {
    case 'kept':
      return age < limits.graceMs ? 'claimed' : 'mark';
    case 'removing':
      // Whoever wrote that an hour ago was cut off, and will not remove it any more.
      return age < MIN_GRACE_MS ? 'waiting' : 'mark';
    case 'marked':
      // Another object under the same name has not been waiting.
      if (object.version !== mark.objectVersion || object.modified > mark.at) return 'mark';
      return age < limits.graceMs ? 'waiting' : 'remove';
  }
}

/** The mark of what stays, or of what is gone. */
function settle(mark: StoredMark, decision: { readonly release: StoredMark[]; readonly forget: StoredMark[] }, limits: Limits): void {
  const age = ageMs(mark.at, limits);
  if (mark.state === 'marked') decision.release.push(mark);
  else if (mark.state === 'kept' ? age >= limits.graceMs : age >= MIN_GRACE_MS) decision.forget.push(mark);
}

function whyOf(named: NamedObject, repositories: readonly RepositoryFacts[]): string {
  if (named.kind === 'probe') return 'left by a probe of the store';
  if (!('version' in named)) return 'no metadata names it';
  const version = repositories.find(({ folder }) => folder === named.folder)?.live?.versions.get(named.role);
  return `version ${version} is live`;
}

/** The paths that a decision is about. */
export function pathsToRemove({ remove }: Decision): ReadonlySet<StorePath> {
  return new Set(remove.map(({ object }) => object.path));
}

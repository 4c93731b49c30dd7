/**
 * Carrying out a decision, step by step. It can be killed between any two of them and run again (`marks.ts` has the reasons).
 *
 * Rules:
 * - before anything is removed the whole store is read and decided on once more: what was shown to a person may be hours old;
 * - a few objects at once, and each by itself: its mark becomes `removing` by compare-and-swap, the object goes, the mark goes;
 * - a removal that was not sent within a minute is not sent at all;
 * - an interruption ends between two objects, never within one.
 */
import { randomUUID } from 'node:crypto';
import { GantryError, quote, refuseAborted } from '../../errors.ts';
import { parseStorePath } from '../../store/path.ts';
import type { Store, StorePath, UnfinishedWrite } from '../../store/store.ts';
import { tufDate } from '../../tuf/date.ts';
import { inParallel } from '../../http/in-parallel.ts';
import { decide, pathsToRemove, type Candidate, type Decision } from './decide.ts';
import type { Inventory } from './inventory.ts';
import { CLOCK_TOLERANCE_MS, markPath, writeMark, type StoredMark } from './marks.ts';

const CONCURRENCY = 8;
/** How long after its mark an object may still be removed. */
const REMOVE_WITHIN_MS = 60_000;

export interface Collector {
  readonly store: Store;
  readonly graceMs: number;
  /** The time now, each time it is asked. */
  readonly clock: () => Date;
  /** Reads everything anew. */
  readonly readInventory: (now: Date) => Promise<Inventory>;
  readonly signal?: AbortSignal;
  /** Marks tried so far. */
  readonly onMarked?: (count: number) => void;
  readonly onRemoved?: (candidate: Candidate) => void;
}

export interface Collection {
  readonly marked: readonly Candidate[];
  readonly removed: readonly Candidate[];
  /** Somebody needs them again, or another run was quicker. */
  readonly spared: readonly Candidate[];
  /** Large writes that were never ended, and are gone now. */
  readonly abandoned: readonly UnfinishedWrite[];
}

/** What there is to do; nothing is changed. @throws GantryError `publish/unverified`, `store/…`, `aborted` */
export async function planCollection(collector: Collector): Promise<Decision> {
  const now = collector.clock();
  return decide(await collector.readInventory(now), { now, graceMs: collector.graceMs });
}

/**
 * Marks, and removes what was marked long enough ago.
 *
 * @param planned what a person agreed to: nothing else is removed
 * @throws GantryError `publish/unverified`, `store/clock`, `store/…`, `aborted`
 */
export async function collectGarbage(collector: Collector, planned: Decision): Promise<Collection> {
  const { store, signal } = collector;
  await refuseWrongClock(collector);
  const each = async <T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<readonly R[]> =>
    inParallel(items, CONCURRENCY, async (item) => {
      refuseAborted(signal);
      return work(item);
    });
  let tried = 0;
  const isMarked = await each(planned.mark, async (candidate) => {
    const done = await mark(collector, candidate);
    tried += 1;
    collector.onMarked?.(tried);
    return done;
  });
  await each(planned.release, async ({ path, version }) => writeMark(store, path, { state: 'kept', at: collector.clock() }, { version }));
  await each(planned.forget, async (one) => forget(store, one));
  const { removed, spared } = await removeAll(collector, planned);
  await each(planned.abandon, async (one) => store.unfinished?.remove(one));
  return { marked: planned.mark.filter((_, index) => isMarked[index]), removed, spared, abandoned: planned.abandon };
}

async function mark({ store, clock }: Collector, { object, mark: before }: Candidate): Promise<boolean> {
  const state = { state: 'marked', at: clock(), objectVersion: object.version } as const;
  return writeMark(store, object.path, state, before === undefined ? 'absent' : { version: before.version });
}

async function forget(store: Store, { path, version }: StoredMark): Promise<void> {
  const found = await store.head(markPath(path));
  if (found?.version === version) await store.remove(markPath(path));
}

async function removeAll(
  collector: Collector,
  planned: Decision,
): Promise<{ readonly removed: readonly Candidate[]; readonly spared: readonly Candidate[] }> {
  if (planned.remove.length === 0) return { removed: [], spared: [] };
  const again = await planCollection(collector);
  const agreed = pathsToRemove(planned);
  const doomed = again.remove.filter(({ object }) => agreed.has(object.path));
  const isGone = await inParallel(doomed, CONCURRENCY, async (candidate) => {
    refuseAborted(collector.signal);
    const done = await removeObject(collector, candidate);
    if (done) collector.onRemoved?.(candidate);
    return done;
  });
  const removed = doomed.filter((_, index) => isGone[index]);
  const gone = new Set<StorePath>(removed.map(({ object }) => object.path));
  return { removed, spared: planned.remove.filter(({ object }) => !gone.has(object.path)) };
}

/** False when the mark is not the one that was read before the repositories were. */
async function removeObject({ store, clock }: Collector, { object: { path }, mark: read }: Candidate): Promise<boolean> {
  if (read === undefined) return false;
  const began = clock();
  const { version, objectVersion } = read;
  const swapped = await writeMark(
    store,
    path,
    { state: 'removing', at: began, ...(objectVersion === undefined ? {} : { objectVersion }) },
    { version },
  );
  if (!swapped) return false;
  const elapsedMs = clock().getTime() - began.getTime();
  if (elapsedMs < 0 || elapsedMs > REMOVE_WITHIN_MS) {
    throw new GantryError(
      'store/failed',
      `Cannot remove ${quote(path)}: marking it took until ${tufDate(clock())}, since ${tufDate(began)}; expected that within a minute`,
      { path, call: 'write' },
    );
  }
  await store.remove(path);
  await store.remove(markPath(path));
  return true;
}

/** Ages decide what goes, so the two clocks that they come from must agree. @throws GantryError `store/clock` */
async function refuseWrongClock({ store, clock }: Collector): Promise<void> {
  const path = parseStorePath(`clock-${randomUUID()}`);
  const now = clock();
  await writeMark(store, path, { state: 'kept', at: now }, 'absent');
  const written = await store.head(markPath(path));
  await store.remove(markPath(path));
  const differenceMs = written?.modified === undefined ? 0 : Math.abs(written.modified.getTime() - now.getTime());
  if (differenceMs <= CLOCK_TOLERANCE_MS) return;
  throw new GantryError(
    'store/clock',
    `Cannot tidy up ${quote(store.description)}: its clock and the one of this machine are ${Math.round(differenceMs / 60_000)} minutes apart; expected 15 at most`,
    { path },
  );
}

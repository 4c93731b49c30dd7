/**
 * Marks: how garbage collection and publishers agree on an object, with nothing but conditional writes.
 *
 * The mark of an object lies at `gantry-gc/` and the object's path:
 *
 * ```
 *            gc, not needed                     gc, a grace later, still not needed
 *   none ────────────────────► marked ─────────────────────────────────────────────► removing ──► the object goes, then the mark
 *    ▲                           │ ▲ gc, a grace later, not needed                       │
 *    └─────── gc ◄── kept ◄──────┘ └──── kept                        gc that was cut off ┘──► marked, an hour later
 *                   publisher or gc
 * ```
 *
 * Rules:
 * - a mark is made where there is none and changed by compare-and-swap; no two marks ever have the same bytes (`nonce`), so that a
 *   store whose versions are digests cannot take a later mark for an earlier one;
 * - a mark is removed only by gc, when it is `kept`, or when its object is gone, and only right after it was looked at;
 * - a publisher claims the name of every target that it is about to use, new or not, before it looks whether the object is there
 *   and before it writes it: a look first and a claim after could see an object that is gone by the time its mark has gone, too, and
 *   a removal that is still on its way would meet what was just written;
 * - a claim holds for half an hour. Whoever has not written `timestamp.json` by then claims and looks again (`apply.ts`);
 * - gc removes an object within a minute after it has written `removing`, or not at all.
 *
 * Why no order of steps loses an object X that a live timestamp names. Two things are assumed: clocks are at most 15 minutes apart
 * (gc refuses a store whose clock is further away), and what was asked of a store happens within 15 minutes or never, and not after
 * the store has answered. Marks are dated by the later of the two clocks, and a grace has an hour at least.
 *
 * A publisher P claims X at C and writes its timestamp before C + 45 minutes. X would be lost if a removal took effect after C, so
 * some gc wrote `removing` at R.
 * - R before C. P met `removing`, and refused, unless the mark was gone or an hour old. A mark that is gone went after the removal
 *   was done, and one that is an hour old is of a gc which will not remove any more. Nothing is removed after C.
 * - R after C. At C the mark was missing or `kept`, so it became `marked` at some M after C, and R came a grace later. Before R, and
 *   a grace after M, gc read every repository: by then P's timestamp had been written, and gc saw X named.
 * What a timestamp names without a claim was named by the one before it, which was live until this one replaced it; or it is a file
 * of a role, and of those gc removes only numbers below the live one, which no later publication has.
 *
 * Publishers of other tools make no claims; for them there are only the grace and the second reading right before the removal.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { GantryError, isGantryError, quote } from '../../errors.ts';
import { joinStorePath } from '../../store/path.ts';
import { bytesSource } from '../../store/source.ts';
import type { Expect, Store, StorePath, StoreVersion } from '../../store/store.ts';
import { tufDate } from '../../tuf/date.ts';
import { readObject } from '../read-object.ts';

const MARKS = 'gantry-gc';
export const MARKS_FOLDER: string = `${MARKS}/`;

/** How long a claim holds: half of the smallest grace. */
export const CLAIM_MS: number = 30 * 60_000;
/** The smallest grace. A gc that began to remove something that long ago was cut off. */
export const MIN_GRACE_MS: number = 2 * CLAIM_MS;

/** How far apart two clocks may be. */
export const CLOCK_TOLERANCE_MS: number = 15 * 60_000;

const MARK_MAX_BYTES = 4096;
/** A mark changes hands a few times at most. */
const MAX_TRIES = 8;

export interface Mark {
  readonly state: 'marked' | 'kept' | 'removing';
  readonly at: Date;
  /** Of the object, when it was marked. */
  readonly objectVersion?: string;
  /** Makes every mark another one. */
  readonly nonce: string;
}

/** A mark as the store has it. */
export interface StoredMark extends Mark {
  readonly path: StorePath;
  /** What the mark must still be when it is changed. */
  readonly version: StoreVersion;
}

const schema = z.object({
  state: z.enum(['marked', 'kept', 'removing']),
  at: z.iso.datetime(),
  version: z.string().optional(),
  nonce: z.string(),
});

export function markPath(path: StorePath): StorePath {
  return joinStorePath(MARKS, path);
}

/** The mark of an object, or undefined when it has none. What cannot be read as a mark counts as `kept`, which removes nothing. */
export async function readMark(store: Store, path: StorePath): Promise<StoredMark | undefined> {
  const found = await readObject(store, markPath(path), MARK_MAX_BYTES);
  if (found === undefined) return undefined;
  const written = found.modified?.getTime() ?? 0;
  const parsed = schema.safeParse(jsonOf(found.bytes));
  if (!parsed.success) return { path, state: 'kept', at: new Date(written), nonce: '', version: found.version };
  const { state, at, version, nonce } = parsed.data;
  return {
    path,
    state,
    // The later one: a mark that looks younger than it is removes nothing.
    at: new Date(Math.max(Date.parse(at), written)),
    ...(version === undefined ? {} : { objectVersion: version }),
    nonce,
    version: found.version,
  };
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Makes or changes a mark.
 *
 * @returns false when somebody else changed it first
 * @throws GantryError `store/…`
 */
export async function writeMark(store: Store, path: StorePath, mark: Omit<Mark, 'nonce'>, expect: Expect): Promise<boolean> {
  const { state, at, objectVersion } = mark;
  const nonce = randomUUID();
  const text = JSON.stringify({ state, at: at.toISOString(), ...(objectVersion === undefined ? {} : { version: objectVersion }), nonce });
  const options = { expect, cacheClass: 'revalidate', contentType: 'application/json' } as const;
  try {
    await store.write(markPath(path), bytesSource(Buffer.from(`${text}\n`)), options);
    return true;
  } catch (error) {
    // An answer that was lost is found out by looking (design D6); a repeated try of ours may have met its own first one.
    if (!isGantryError(error, 'store/conflict') && !isGantryError(error, 'store/failed')) throw error;
    const found = await readMark(store, path);
    if (found?.nonce === nonce) return true;
    if (isGantryError(error, 'store/conflict')) return false;
    throw error;
  }
}

/**
 * Says that a publication is about to rely on an object, whether it is there or not.
 *
 * @throws GantryError `publish/being-removed`, `store/…`
 */
export async function claimObject(store: Store, path: StorePath, now: Date): Promise<void> {
  for (let tried = 0; tried < MAX_TRIES; tried += 1) {
    const mark = await readMark(store, path);
    if (mark === undefined || mark.state === 'kept') return;
    if (mark.state === 'removing' && now.getTime() - mark.at.getTime() < MIN_GRACE_MS) throw beingRemoved(mark);
    if (await writeMark(store, path, { ...mark, state: 'kept', at: now }, { version: mark.version })) return;
  }
  throw new GantryError('store/failed', `Cannot publish ${quote(path)}: its mark in ${MARKS_FOLDER} changed ${MAX_TRIES} times`, {
    path,
    call: 'write',
  });
}

function beingRemoved({ path, at }: StoredMark): GantryError {
  const since = tufDate(at);
  return new GantryError(
    'publish/being-removed',
    `Cannot publish ${quote(path)}: gantry gc is removing it since ${since}; expected that to be over`,
    { path, since },
  );
}

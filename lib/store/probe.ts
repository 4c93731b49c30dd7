/**
 * Whether a store keeps the conditions of its writes: several writers at once, of whom exactly one may win.
 *
 * Servers were seen that ignore `If-Match` and answer 200, and others that let two of eight writers win in one round of six; a
 * publication that rests on such a server can be torn or lost (design D6). One round finds the first kind, thirty the second.
 */
import { randomUUID } from 'node:crypto';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { joinStorePath } from './path.ts';
import { bytesSource } from './source.ts';
import type { Expect, Store, StorePath, StoreVersion } from './store.ts';

/** Where its objects lie, for a moment. */
export const PROBE_FOLDER = 'gantry-probe';

const WRITERS = 8;
/** A vendor who documents conditional writes has tested them. */
const ROUNDS = { documented: 3, unknown: 30 };

/**
 * @param store one that keeps its conditions itself is not probed
 * @throws GantryError `store/not-atomic`, and whatever the calls of the store throw
 */
export async function probeConditions(store: Store, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
  if (store.conditions === undefined) return;
  const path = joinStorePath(PROBE_FOLDER, `${randomUUID()}.json`);
  const probe: Probe = { store, path, signal };
  let isRemovable = true;
  let version = await raceFor(probe, 'absent');
  await refuseStale(probe, 'absent');
  for (let round = 1; round <= ROUNDS[store.conditions]; round += 1) {
    const stale = version;
    version = await raceFor(probe, { version });
    if (round === 1) await refuseStale(probe, { version: stale });
    if (isRemovable) isRemovable = await removed(probe);
    // Whoever may not remove races for the same object again.
    if (isRemovable) version = await raceFor(probe, 'absent');
  }
  if (isRemovable) await store.remove(path);
}

interface Probe {
  readonly store: Store;
  readonly path: StorePath;
  readonly signal: AbortSignal | undefined;
}

/** @returns the version that the only winner left */
async function raceFor(probe: Probe, expect: Expect): Promise<StoreVersion> {
  const outcomes = await Promise.allSettled(Array.from({ length: WRITERS }, async () => write(probe, expect)));
  const won = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  const failures = outcomes.flatMap((outcome): readonly unknown[] => (outcome.status === 'rejected' ? [outcome.reason] : []));
  const unexpected = failures.find((error) => !isGantryError(error, 'store/conflict') && !isGantryError(error, 'store/failed'));
  if (unexpected !== undefined) throw unexpected;
  if (won.length > 1) throw notAtomic(probe, `${won.length} of ${WRITERS} writers won with ${conditionOf(expect)} at once; expected one`);
  const unknown = failures.find((error) => isGantryError(error, 'store/failed'));
  const found = await probe.store.head(probe.path, abort(probe));
  // Of the writers whose answers were lost one may have won: its version counts as well as any.
  if (found === undefined) throw unknown ?? notAtomic(probe, `none of ${WRITERS} writers won with ${conditionOf(expect)}; expected one`);
  if (won[0] !== undefined && won[0] !== found.version) {
    throw notAtomic(probe, 'another writer replaced what the winner had written; expected its condition to be refused');
  }
  return found.version;
}

/** The object is there, and is not what this expects. */
async function refuseStale(probe: Probe, expect: Expect): Promise<void> {
  try {
    await write(probe, expect);
  } catch (error) {
    if (isGantryError(error, 'store/conflict')) return;
    throw error;
  }
  throw notAtomic(probe, `it wrote although ${conditionOf(expect)} did not hold; expected a refusal`);
}

async function write({ store, path, signal }: Probe, expect: Expect): Promise<StoreVersion> {
  const bytes = Buffer.from(`${JSON.stringify({ about: 'gantry looks whether conditional writes hold', writer: randomUUID() })}\n`);
  const options = { expect, cacheClass: 'revalidate', contentType: 'application/json' } as const;
  return store.write(path, bytesSource(bytes), { ...options, ...abort({ signal }) });
}

async function removed({ store, path }: Probe): Promise<boolean> {
  try {
    await store.remove(path);
    return true;
  } catch (error) {
    if (isGantryError(error, 'store/denied')) return false;
    throw error;
  }
}

function conditionOf(expect: Expect): string {
  return expect === 'absent' ? '"must not be there"' : '"must be the version that was read"';
}

function abort({ signal }: Pick<Probe, 'signal'>): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

function notAtomic({ store }: Probe, problem: string): GantryError {
  return new GantryError('store/not-atomic', `Cannot publish safely to ${quote(store.description)}: ${problem}`, {
    location: store.description,
  });
}

/**
 * Carrying out a plan, write by write. It can be killed anywhere: until `timestamp.json` is replaced nothing is visible,
 * and running the same plan again finds what is there already.
 */
import { createHash } from 'node:crypto';
import { GantryError, isGantryError, quote, refuseAborted } from '../errors.ts';
import { metadataPath } from '../store/layout.ts';
import { bytesSource } from '../store/source.ts';
import type { ByteSource, Store } from '../store/store.ts';
import { claimObject, CLAIM_MS } from './gc/marks.ts';
import { inParallel } from '../http/in-parallel.ts';
import { readObject } from './read-object.ts';
import { refuseTooLate, type PlannedWrite, type PublicationPlan } from './plan.ts';

/** Enough to keep a fast line busy with small files; a large one has parts of its own in flight. */
const CONCURRENCY = 4;

export interface AppliedWrite {
  readonly write: PlannedWrite;
  /** False when the same bytes were there already. */
  readonly sent: boolean;
}

export interface ApplyOptions {
  readonly signal?: AbortSignal;
  /** The time now, each time it is asked. */
  readonly clock: () => Date;
  /** Target files on their way at the same time. */
  readonly concurrency?: number;
  /** The bytes of a target that the plan does not carry. */
  readonly openTarget: (write: PlannedWrite) => Promise<ByteSource>;
  readonly onProgress?: (write: PlannedWrite, bytes: number) => void;
  readonly onApplied?: (applied: AppliedWrite) => void;
}

/**
 * @throws GantryError `publish/conflict` when somebody else published first or took a version number,
 * `publish/target-differs` when a target file is there with other bytes, `publish/too-late`, `publish/being-removed`, `store/…`,
 * `files/disk-full`
 */
export async function applyPublication(plan: PublicationPlan, store: Store, options: ApplyOptions): Promise<readonly AppliedWrite[]> {
  const applied: AppliedWrite[] = [];
  let claimedAt = options.clock();
  for (const stage of stagesOf(plan)) {
    // A claim holds for a while (gc/marks.ts): after that targets are claimed and looked at again, and sent again where they are gone.
    while (stage[0]?.kind === 'timestamp' && !isWithin(CLAIM_MS, claimedAt, options.clock())) {
      claimedAt = options.clock();
      for (const { write } of applied) if (write.kind === 'target') await applyWrite(write, store, options);
    }
    const done = await inParallel(stage, options.concurrency ?? CONCURRENCY, async (write, signal) => {
      refuseAborted(options.signal);
      if (write.kind === 'timestamp') {
        await refuseNewerRoot(plan, store);
        refuseTooLate(plan, options.clock());
      }
      const one = {
        write,
        sent: await applyWrite(write, store, {
          ...options,
          signal: AbortSignal.any([signal, ...(options.signal === undefined ? [] : [options.signal])]),
        }),
      };
      options.onApplied?.(one);
      return one;
    });
    applied.push(...done);
  }
  return applied;
}

/**
 * A new root leaves `timestamp.json` as it is, so the condition on that does not show it; but it may have dropped the key that
 * signed ours, and then hosts would refuse what they find. Looking right before the write leaves the moment of one request.
 */
async function refuseNewerRoot({ repository, base, writes }: PublicationPlan, store: Store): Promise<void> {
  const version = base.roots + writes.filter(({ kind }) => kind === 'root').length + 1;
  const path = metadataPath(repository.variant, repository.arch, `${version}.root.json`);
  if ((await store.head(path)) === undefined) return;
  const [found, expected] = [`${version}.root.json`, 'none'];
  throw new GantryError(
    'publish/conflict',
    `Cannot publish ${quote(path.replace(/[^/]*$/u, 'timestamp.json'))}: somebody else published a new root (found ${found}; expected ${expected}). ` +
      `What hosts see was not changed`,
    { path, expected, found },
  );
}

/** A clock that was set back says nothing. */
function isWithin(limitMs: number, start: Date, end: Date): boolean {
  const ms = end.getTime() - start.getTime();
  return ms >= 0 && ms <= limitMs;
}

/** Target files do not wait for one another; everything else happens in its order. */
function stagesOf({ writes }: PublicationPlan): readonly (readonly PlannedWrite[])[] {
  const stages: PlannedWrite[][] = [];
  for (const write of writes) {
    const stage = stages.at(-1);
    if (write.kind === 'target' && stage?.[0]?.kind === 'target') stage.push(write);
    else stages.push([write]);
  }
  return stages;
}

async function applyWrite(write: PlannedWrite, store: Store, options: ApplyOptions): Promise<boolean> {
  refuseAborted(options.signal);
  // Before the object is looked at or written: garbage collection must not be removing it (gc/marks.ts).
  if (write.kind === 'target') await claimObject(store, write.path, options.clock());
  // Asking first spares the upload of an image that is there; the conditional write still decides.
  if (write.kind === 'target' && (await isThere(write, store))) return false;
  const source = write.bytes === undefined ? await options.openTarget(write) : bytesSource(write.bytes);
  try {
    await store.write(write.path, source, {
      expect: write.expect,
      cacheClass: write.cacheClass,
      contentType: write.contentType,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      onProgress: (bytes) => options.onProgress?.(write, bytes),
    });
    return true;
  } catch (error) {
    // A lost answer and a conflict with our own earlier try are resolved by looking, never by guessing (design D6).
    const unknown = isGantryError(error, 'store/failed');
    const conflict = isGantryError(error, 'store/conflict');
    if ((unknown || conflict) && (await isThere(write, store))) return unknown;
    throw conflict ? lostTo(write, error) : error;
  }
}

/** Whether the store has these very bytes under that name. @throws GantryError `publish/target-differs` */
export async function isThere(write: PlannedWrite, store: Store): Promise<boolean> {
  if (write.bytes !== undefined) {
    // One byte more than ours is enough to know that it is another file.
    const found = await readObject(store, write.path, write.lengthBytes + 1).catch((error: unknown) => {
      if (isGantryError(error, 'store/too-long')) return undefined;
      throw error;
    });
    return found !== undefined && Buffer.compare(found.bytes, write.bytes) === 0;
  }
  const info = await store.head(write.path);
  if (info === undefined) return false;
  const sha256 = info.sha256 ?? (await digestOf(write, store));
  if (info.lengthBytes === write.lengthBytes && sha256 === write.sha256) return true;
  throw new GantryError(
    'publish/target-differs',
    `Cannot publish ${quote(write.path)}: the store has another file under that name (${info.lengthBytes} bytes, SHA-256 ${sha256}); ` +
      `expected ${write.lengthBytes} bytes, SHA-256 ${write.sha256}`,
    { path: write.path },
  );
}

async function digestOf(write: PlannedWrite, store: Store): Promise<string> {
  const hash = createHash('sha256');
  const { body } = await store.read(write.path);
  for await (const chunk of body) hash.update(chunk);
  return hash.digest('hex');
}

function lostTo(write: PlannedWrite, cause: GantryError<'store/conflict'>): GantryError {
  const { expected, found } = cause.details;
  const happened = write.kind === 'timestamp' ? 'somebody else published first' : 'somebody else has taken this version number';
  return new GantryError(
    'publish/conflict',
    `Cannot publish ${quote(write.path)}: ${happened} (found ${found}; expected ${expected}). The live repository is as they left it`,
    { path: write.path, expected, found },
    { cause },
  );
}

/**
 * Publishers, collectors and a store that take their turns, one call at a time: what the model of garbage collection plays with.
 *
 * Publications are real ones, and so is what gc does; only repositories are simple: a timestamp is the list of the targets that are live.
 */
import assert from 'node:assert/strict';
import { setImmediate as immediate } from 'node:timers/promises';
import { isGantryError } from '../../lib/errors.ts';
import { applyPublication } from '../../lib/publish/apply.ts';
import { collectGarbage, planCollection } from '../../lib/publish/gc/collect.ts';
import type { DatedObject, Inventory } from '../../lib/publish/gc/inventory.ts';
import { MARKS_FOLDER, readMark } from '../../lib/publish/gc/marks.ts';
import { readObject } from '../../lib/publish/read-object.ts';
import type { PlannedWrite, PublicationPlan } from '../../lib/publish/plan.ts';
import { metadataPath, targetPath } from '../../lib/store/layout.ts';
import { parseStorePath } from '../../lib/store/path.ts';
import { bytesSource } from '../../lib/store/source.ts';
import type { ObjectInfo, Store, StorePath } from '../../lib/store/store.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { METAL } from './engineer.ts';
import { createMemoryStore } from './memory-store.ts';

export const MINUTE_MS = 60_000;
const START_MS = Date.parse('2026-06-01T00:00:00Z');
/** How long a call may be on its way. */
const FLIGHT_MS = 14 * MINUTE_MS;
const TIMESTAMP = metadataPath(METAL.variant, METAL.arch, 'timestamp.json');
export const TARGETS: readonly StorePath[] = ['a', 'b', 'c'].map((name) => targetPath(`${sha256Hex(Buffer.from(name))}.${name}`));

class Killed extends Error {}

export const ACTORS = ['publisher 1', 'publisher 2', 'stranger', 'gc 1', 'gc 2', 'time'] as const;
export type Actor = (typeof ACTORS)[number];

/** Who moves, and how often before somebody else does: long turns reach what single steps in a random order rarely do. */
interface Turn {
  readonly actor: Actor;
  readonly steps: number;
}

/** What happened in a world. */
export type Counts = Record<'published' | 'byStranger' | 'removed' | 'reused' | 'refused' | 'killed', number>;

export class Turns {
  readonly #pending: { readonly actor: Actor; readonly go: () => void }[] = [];

  /** Waits until it is this actor's move. */
  async next(actor: Actor): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#pending.push({ actor, go: resolve });
    await promise;
  }

  async run(turns: readonly Turn[], work: Promise<unknown>): Promise<void> {
    const state = { isDone: false };
    const done = work.finally(() => {
      state.isDone = true;
    });
    done.catch(() => undefined);
    const waiting = [...turns];
    while (!state.isDone) {
      const turn = waiting.shift();
      for (let step = 0; step < (turn?.steps ?? 1); step += 1) {
        const index = turn === undefined ? 0 : this.#pending.findIndex(({ actor }) => actor === turn.actor);
        const [move] = index < 0 ? [] : this.#pending.splice(index, 1);
        move?.go();
        // Until everybody waits again.
        await immediate();
        if (move === undefined) break;
      }
    }
    await done;
  }
}

export class World {
  now: number = START_MS;
  readonly store: Store;
  readonly counts: Counts = { published: 0, byStranger: 0, removed: 0, reused: 0, refused: 0, killed: 0 };
  readonly #turns: Turns;
  readonly #inFlight = new Set<{ readonly sentMs: number }>();
  #waiting: { readonly ms: number; readonly resolve: () => void }[] = [];
  #isOver = false;
  #written = 0;
  /** Collectors that have begun their second reading. */
  #removing = 0;

  constructor(turns: Turns) {
    this.#turns = turns;
    this.store = createMemoryStore({ clock: () => new Date(this.now) });
  }

  clock = (): Date => new Date(this.now);

  /** The store as one of many sees it, until it is killed at its n-th call: before it takes effect, or before the answer comes. */
  seenBy(actor: Actor, kill?: { readonly call: number; readonly when: 'before' | 'after' }): Store {
    let calls = 0;
    const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
      const flight = { sentMs: this.now };
      const isLast = kill !== undefined && calls >= kill.call;
      calls += 1;
      this.#inFlight.add(flight);
      try {
        await this.#turns.next(actor);
        if (isLast && kill.when === 'before') throw new Killed();
        const result = await work();
        await this.#check(name);
        if (isLast) throw new Killed();
        return result;
      } finally {
        this.#inFlight.delete(flight);
        await this.#turns.next(actor);
      }
    };
    const { store } = this;
    return {
      description: 'memory',
      read: async (path) => step(`read ${path}`, async () => store.read(path)),
      head: async (path) => step(`head ${path}`, async () => store.head(path)),
      write: async (path, body, options) => step(`write ${path}`, async () => store.write(path, body, options)),
      remove: async (path) => step(`remove ${path}`, async () => store.remove(path)),
      async *list(prefix) {
        yield* await step('list', async () => listOf(store, prefix));
      },
    };
  }

  /** Time passes in steps, as far as what is on its way lets it. */
  async pass(steps: readonly number[]): Promise<void> {
    for (const minutes of steps) {
      await this.#turns.next('time');
      const latest = Math.min(...[...this.#inFlight].map(({ sentMs }) => sentMs + FLIGHT_MS));
      this.now = Math.max(this.now, Math.min(this.now + minutes * MINUTE_MS, latest));
      this.#wake(undefined);
    }
    this.#wake('over');
    this.#isOver = true;
  }

  /** Waits for a moment, or for the end of time. */
  async until(minutes: number): Promise<void> {
    if (this.#isOver) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ ms: START_MS + minutes * MINUTE_MS, resolve });
    await promise;
  }

  #wake(isOver: 'over' | undefined): void {
    const due = this.#waiting.filter(({ ms }) => isOver === 'over' || ms <= this.now);
    this.#waiting = this.#waiting.filter((one) => !due.includes(one));
    for (const { resolve } of due) resolve();
  }

  async live(): Promise<readonly StorePath[]> {
    const object = await readObject(this.store, TIMESTAMP, 1 << 16);
    return object === undefined ? [] : namesIn(object.bytes);
  }

  async #check(after: string): Promise<void> {
    for (const path of await this.live()) assert.ok((await this.store.head(path)) !== undefined, `${path} is gone after: ${after}`);
  }

  async publish(store: Store, names: readonly StorePath[]): Promise<void> {
    const before = await readObject(store, TIMESTAMP, 1 << 16);
    const known = before === undefined ? [] : namesIn(before.bytes);
    this.#written += 1;
    const timestamp = Buffer.from(JSON.stringify({ names, number: this.#written }));
    const writes: PlannedWrite[] = names.filter((name) => !known.includes(name)).map((path) => write('target', path, contentOf(path)));
    writes.push({ ...write('timestamp', TIMESTAMP, timestamp), expect: before === undefined ? 'absent' : { version: before.version } });
    const plan: PublicationPlan = { repository: METAL, base: { roots: 0 }, writes, changed: [], removed: [] };
    try {
      const openTarget = async (): Promise<never> => assert.fail('every write has its bytes');
      const applied = await applyPublication(plan, store, { clock: this.clock, openTarget });
      this.counts.published += 1;
      this.counts.reused += applied.filter(({ sent }) => !sent).length;
    } catch (error) {
      if (isGantryError(error, 'publish/being-removed')) this.counts.refused += 1;
      else if (!isGantryError(error, 'publish/conflict')) throw error;
    }
  }

  async collect(store: Store, graceMs: number): Promise<void> {
    let readings = 0;
    const readInventory = async (): Promise<Inventory> => {
      readings += 1;
      if (readings === 2) this.#removing += 1;
      return inventoryOf(store);
    };
    const collector = { store, graceMs, clock: this.clock, readInventory };
    try {
      const { removed } = await collectGarbage(collector, await planCollection(collector));
      this.counts.removed += removed.length;
    } catch (error) {
      if (error instanceof Killed) this.counts.killed += 1;
      // The pause was too long to go on.
      else if (!isGantryError(error, 'store/failed') && !isGantryError(error, 'store/clock')) throw error;
    } finally {
      if (readings > 1) this.#removing -= 1;
    }
  }

  async publishAsStranger(names: readonly StorePath[]): Promise<void> {
    do await this.#turns.next('stranger');
    while (this.#removing > 0);
    for (const path of names) {
      if ((await this.store.head(path)) === undefined) await put(this.store, path, contentOf(path));
    }
    this.#written += 1;
    await put(this.store, TIMESTAMP, Buffer.from(JSON.stringify({ names, number: this.#written })));
    this.counts.byStranger += 1;
  }
}

async function listOf(store: Store, prefix: string): Promise<readonly ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  for await (const info of store.list(prefix)) found.push(info);
  return found;
}

async function put(store: Store, path: StorePath, bytes: Uint8Array): Promise<void> {
  const before = await store.head(path);
  const expect = before === undefined ? 'absent' : { version: before.version };
  await store.write(path, bytesSource(bytes), { expect, cacheClass: 'immutable', contentType: 'text/plain' });
}

function write(kind: 'target' | 'timestamp', path: StorePath, bytes: Uint8Array): PlannedWrite {
  const measured = { lengthBytes: bytes.length, sha256: sha256Hex(bytes), bytes };
  return { kind, path, ...measured, expect: 'absent', cacheClass: 'immutable', contentType: 'text/plain' };
}

function contentOf(path: StorePath): Uint8Array {
  return Buffer.from(path.slice(-1));
}

function namesIn(bytes: Uint8Array): readonly StorePath[] {
  const { names } = JSON.parse(Buffer.from(bytes).toString()) as { readonly names: readonly string[] };
  return names.map((name) => parseStorePath(name));
}

/** In the order of the real one: listing, marks, repositories. */
async function inventoryOf(store: Store): Promise<Inventory> {
  const objects = new Map<StorePath, DatedObject>();
  for await (const object of store.list('')) objects.set(object.path, { ...object, modified: object.modified ?? new Date(0) });
  const marked = [...objects.keys()].filter((path) => path.startsWith(`${MARKS_FOLDER}targets/`));
  const marks = await Promise.all(marked.map(async (path) => readMark(store, parseStorePath(path.slice(MARKS_FOLDER.length)))));
  const timestamp = await readObject(store, TIMESTAMP, 1 << 16);
  const names = timestamp === undefined ? [] : namesIn(timestamp.bytes);
  const nothing = { metadata: new Set<StorePath>(), targets: new Set<string>(), required: new Map<string, number>() };
  const needs = { ...nothing, targets: new Set(names.map((name) => name.slice('targets/'.length))) };
  return {
    objects,
    marks: new Map(marks.flatMap((mark) => (mark === undefined ? [] : [[mark.path, mark]]))),
    repositories: [
      { folder: `${METAL.variant}/${METAL.arch}`, isOurs: true, live: { needs, versions: new Map<string, number>() }, recent: nothing },
    ],
    unfinished: [],
  };
}

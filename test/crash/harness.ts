/**
 * Kills a publication at every step, one after the other, and looks what became of it.
 *
 * After each kill:
 * - a host that has been reading throughout, and a new one, have seen nothing but complete publications;
 * - each repository is as it was or is the new one, the first before the second, and never goes back;
 * - the same command finishes, sends nothing that was there, and leaves nothing behind;
 * - so does a fresh checkout, which has no `.gantry/`: without an image that was not sent yet it says so, with it it finishes.
 */
import assert from 'node:assert/strict';
import { cp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestContext } from 'node:test';
import { createContext } from '../../cli/context.ts';
import { EXIT } from '../../cli/exit-codes.ts';
import { buildProgram, type Outcome } from '../../cli/program.ts';
import { PROBE_FOLDER } from '../../lib/store/probe.ts';
import type { StorePath } from '../../lib/store/store.ts';
import { gantry } from '../support/cli.ts';
import type { CrashOrder, Mishap } from './hook.ts';
import { startReader, type Sight } from './reader.ts';
import { snapshot, type Scenario } from './scenario.ts';

const HOOK = new URL('hook.ts', import.meta.url).href;
/** What a server was sent, it may still be writing. */
const SETTLE_MS = 50;

/** Who runs the command again. */
export type Rerun = 'same checkout' | 'fresh checkout';

const ALL: readonly Rerun[] = ['same checkout', 'fresh checkout'];

export interface HarnessOptions {
  /** All of them when everything is asked for. */
  readonly reruns: readonly Rerun[];
  /** Killed by default. */
  readonly how?: Mishap;
  /** Absent: at every step; 4: at every fourth, and at all of them when `GANTRY_TEST_CRASH=full` asks for it. */
  readonly every?: number;
}

/** Throws when anything is not as it must be. */
export async function killEverywhere(t: TestContext, scenario: Scenario, options: HarnessOptions): Promise<void> {
  const { how = 'killed' } = options;
  const isFull = process.env['GANTRY_TEST_CRASH'] === 'full';
  const every = isFull ? 1 : (options.every ?? 1);
  const run = new Run(scenario, isFull ? ALL : options.reruns, how);
  const steps = await run.rehearse();
  let killed = 0;
  for (let at = 1; at <= steps.length; at += every) {
    try {
      await run.killAt(at);
    } catch (error) {
      throw new Error(`${how} at step ${at} of ${steps.length}, ${steps[at - 1]}`, { cause: error });
    }
    killed += 1;
  }
  const { finished, reads } = run;
  t.diagnostic(`${how} at ${killed} of ${steps.length} steps, ${finished} reruns finished, ${reads} reads by clients, 0 torn`);
}

/** What hosts see, by repository. */
type Sights = readonly (Sight | undefined)[];

class Run {
  /** Complete reads of all hosts. */
  reads = 0;
  /** Commands that were run again after a kill. */
  finished = 0;
  readonly #scenario: Scenario;
  readonly #reruns: readonly Rerun[];
  readonly #how: Mishap;
  #root: Uint8Array = new Uint8Array();
  #steps: readonly string[] = [];
  #old: Sights = [];
  #new: Sights = [];
  /** What a finished publication has in the store. */
  #all: ReadonlySet<StorePath> = new Set();
  /** Repositories that were the new ones at an earlier step. */
  #liveBefore = 0;
  #hosts = 0;

  constructor(scenario: Scenario, reruns: readonly Rerun[], how: Mishap) {
    this.#how = how;
    this.#scenario = scenario;
    this.#reruns = reruns;
  }

  /** Lets it live once. @returns its steps */
  async rehearse(): Promise<readonly string[]> {
    const { directory, workspace } = this.#scenario;
    const log = join(directory, 'steps');
    this.#root = await readFile(join(workspace, '1.root.json'));
    await this.#restart();
    await this.#watched(async (look) => {
      this.#old = await look();
      const { code, stderr } = await this.#publish({ at: 0, log });
      assert.equal(code, 0, stderr);
      this.#new = await look();
    });
    this.#all = new Set((await this.#objects()).keys());
    this.#old.forEach((sight, index) => assert.notEqual(sight, this.#new[index]));
    const steps = (await readFile(log, 'utf8')).trimEnd().split('\n');
    this.#steps = steps.map((step) => step.replaceAll(`${directory}/`, ''));
    return this.#steps;
  }

  async killAt(at: number): Promise<void> {
    await this.#restart();
    const [first, ...others] = this.#reruns;
    let again: (() => Promise<void>) | undefined;
    await this.#watched(async (look) => {
      const { code, stdout, stderr } = await this.#publish({ at });
      this.#assertEnded(at, code, stdout + stderr);
      if (this.#scenario.place.host !== undefined) await delay(SETTLE_MS);
      this.#liveBefore = this.#liveIn(await look());
      if (others.length > 0) again = await snapshot(this.#scenario, 'killed');
      await this.#rerun(first, look);
    });
    for (const rerun of others) {
      await again?.();
      await this.#watched(async (look) => this.#rerun(rerun, look));
    }
  }

  #assertEnded(at: number, code: number | null, said: string): void {
    if (this.#how === 'killed') return assert.equal(code, null, `it was not killed: ${said}`);
    // Behind its last write it may not need the server any more.
    const isOnItsWay = this.#steps.slice(0, at).some((step) => /^(?:in flight|after) PUT .*\/timestamp\.json/u.test(step));
    assert.ok(code === EXIT.network || (code === EXIT.done && isOnItsWay), `it ended with ${code}: ${said}`);
  }

  async #restart(): Promise<void> {
    const { restart, prepare } = this.#scenario;
    await restart();
    if (prepare !== undefined) await this.#here(prepare);
  }

  /** Hosts read as long as the work lasts; a look of it is their next read. */
  async #watched(work: (look: () => Promise<Sights>) => Promise<void>): Promise<void> {
    const { place, repositories, directory } = this.#scenario;
    this.#hosts += 1;
    const readers = repositories.map(({ variant, arch }) =>
      startReader({
        root: this.#root,
        metadataUrl: new URL(`${variant}/${arch}/`, place.url),
        stateDirectory: join(directory, 'hosts', String(this.#hosts), variant),
      }),
    );
    try {
      await work(async () => Promise.all(readers.map(async (reader) => reader.next())));
    } finally {
      await Promise.all(readers.map(async (reader) => reader.stop()));
      this.reads += readers.reduce((sum, { reads }) => sum + reads, 0);
      const torn = readers.flatMap(({ problems }) => problems);
      assert.deepEqual(torn, [], 'a client has read something torn');
    }
  }

  /** @returns how many repositories are the new ones */
  #liveIn(sights: Sights): number {
    const live = sights.filter((sight, index) => sight === this.#new[index]).length;
    assert.deepEqual(sights, [...this.#new.slice(0, live), ...this.#old.slice(live)], 'neither as it was nor the new one');
    assert.ok(live >= this.#liveBefore, 'it was new at an earlier step');
    return live;
  }

  async #rerun(rerun: Rerun | undefined, look: () => Promise<Sights>): Promise<void> {
    const { place, workspace, args } = this.#scenario;
    const before = await this.#objects();
    const live = this.#liveIn(await look());
    if (rerun === 'fresh checkout') await this.#checkOut(before);
    const { json } = await this.#here(args);
    const sent = sentOf(json);
    assert.equal(sent, this.#missing(before) + this.#replaced(live), 'objects that were sent');
    const after = await this.#objects();
    assert.deepEqual([...after.keys()].toSorted(), [...this.#all].toSorted());
    for (const [path, version] of before) {
      if (!path.endsWith('/timestamp.json')) assert.equal(after.get(path), version, path);
    }
    // Whoever writes tidies up.
    if (sent > 0) assert.deepEqual(await place.leftovers(), []);
    assert.deepEqual(await waitingIn(workspace), []);
    assert.deepEqual(await look(), this.#new);
    this.finished += 1;
  }

  /** As a new CI runner: the store, and what is under version control. Images that were not sent come from wherever they were made. */
  async #checkOut(before: ReadonlyMap<StorePath, string>): Promise<void> {
    const { workspace, args } = this.#scenario;
    const objects = join(workspace, '.gantry', 'objects');
    await rm(join(workspace, '.gantry'), { recursive: true });
    // To find out once more whether conditions hold would take most of the time.
    const proven = join(`${workspace}.start`, '.gantry', 'proven');
    await cp(proven, join(workspace, '.gantry', 'proven'), { recursive: true }).catch(() => undefined);
    const images = [...this.#all].filter((path) => path.startsWith('targets/') && !path.endsWith('.manifest.json'));
    if (images.every((path) => before.has(path))) return;
    await assert.rejects(this.#here(args), { code: 'workspace/object-missing' });
    await cp(join(`${workspace}.start`, '.gantry', 'objects'), objects, { recursive: true });
  }

  #missing(before: ReadonlyMap<StorePath, string>): number {
    return [...this.#all].filter((path) => !before.has(path)).length;
  }

  /** Timestamps that are still to come; a root is published without one. */
  #replaced(live: number): number {
    const isRoot = [...this.#all].some((path) => path.endsWith('/2.root.json'));
    return isRoot ? 0 : this.#scenario.repositories.length - live;
  }

  async #objects(): Promise<ReadonlyMap<StorePath, string>> {
    const found = new Map<StorePath, string>();
    for await (const { path, version } of this.#scenario.place.store.list('')) {
      if (!path.startsWith(`${PROBE_FOLDER}/`)) found.set(path, version);
    }
    return found;
  }

  async #publish(order: Pick<CrashOrder, 'at' | 'log'>): ReturnType<typeof gantry> {
    const { place, workspace, args } = this.#scenario;
    const { folders, host } = place;
    const crash: CrashOrder = { ...order, how: this.#how, folders: [...folders, `${workspace}/`], ...(host === undefined ? {} : { host }) };
    return gantry(args, { cwd: workspace, env: { NODE_OPTIONS: `--import=${HOOK}`, GANTRY_CRASH: JSON.stringify(crash) } });
  }

  /** The same command without a process of its own, whose start takes longer than the rest. */
  async #here(args: readonly string[]): Promise<Outcome> {
    const { workspace, directory } = this.#scenario;
    const own = createContext([...args, '--json']);
    let outcome: Outcome | undefined;
    try {
      const context = { ...own, cwd: workspace, env: { ...process.env, XDG_CONFIG_HOME: join(directory, 'config') } };
      await buildProgram(context, (result) => (outcome = result)).parseAsync(args, { from: 'user' });
    } finally {
      own.end();
    }
    assert.ok(outcome !== undefined);
    return outcome;
  }
}

/** Drafts, and bytes that wait for publication. */
async function waitingIn(workspace: string): Promise<readonly string[]> {
  const names = await readdir(workspace, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(workspace.length + 1));
  return files.filter((name) => name.startsWith('drafts/') || name.startsWith('.gantry/objects/'));
}

function sentOf(json: object): number {
  // What `gantry publish --json` says.
  const { published } = json as { readonly published: readonly { readonly sent: number }[] };
  return published.reduce((sum, { sent }) => sum + sent, 0);
}

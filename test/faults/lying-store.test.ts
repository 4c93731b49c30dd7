/**
 * Two publishers on a store that lies to them: whatever they are told, what hosts get is whole, and nobody's release is lost.
 *
 * `GANTRY_FAULTS_RUNS` says how many sequences are tried; the seed is printed, and `GANTRY_FAULTS_SEED` tries the same ones again.
 */
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isGantryError } from '../../lib/errors.ts';
import { publishRepository } from '../../lib/publish/publish.ts';
import { refreshRepository } from '../../lib/publish/refresh.ts';
import type { Store } from '../../lib/store/store.ts';
import { openWorkspace } from '../../lib/workspace/workspace.ts';
import { METAL, engineerWithRoot, sign, type Engineer } from '../support/engineer.ts';
import { openJudge, type Judge } from '../support/judge.ts';
import { LIES, createLyingWorld, type Lie, type LyingWorld } from '../support/lying-store.ts';
import { useMemoryFolder } from '../support/memory-folder.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { draftSmallRelease } from '../support/small-release.ts';

const RUNS = Number(process.env['GANTRY_FAULTS_RUNS'] ?? '20');
const SEED = Number(process.env['GANTRY_FAULTS_SEED'] ?? Date.now() & 0x7fffffff);
/** Signing and publishing once more than anybody is in the way. */
const MAX_TRIES = 4;

useMemoryFolder();

/** Most calls are answered truthfully: whoever is lied to all the time gets nowhere. */
const lie = fc.oneof({ weight: 20, arbitrary: fc.constant<Lie>('none') }, { weight: 1, arbitrary: fc.constantFrom(...LIES) });
const step = fc.record({
  who: fc.nat({ max: 1 }),
  verb: fc.constantFrom('release', 'refresh', 'again'),
  /** What the calls are answered with; the truth when it is used up. */
  lies: fc.array(lie, { minLength: 60, maxLength: 60 }),
  /** Before which call of this publisher the other one publishes a release; -1: never. */
  interruptAt: fc.integer({ min: -1, max: 40 }),
});
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

interface Scene {
  readonly truth: Store;
  readonly world: LyingWorld;
  readonly engineers: readonly [Engineer, Engineer];
  readonly judge: Judge;
  /** Drafted, so that nothing may make it disappear. */
  readonly wanted: Set<string>;
  counter: number;
}

async function newScene(base: Engineer, directory: string): Promise<Scene> {
  const truth = createMemoryStore();
  const at = async (name: string): Promise<Engineer> => {
    await cp(base.workspace.directory, join(directory, name), { recursive: true });
    return { ...base, store: truth, workspace: await openWorkspace(join(directory, name)) };
  };
  const engineers = [await at('one'), await at('two')] as const;
  const judge = await openJudge(truth, { rootFile: join(directory, 'one', '1.root.json'), directory });
  const scene: Scene = { truth, world: createLyingWorld(truth), engineers, judge, wanted: new Set(), counter: 0 };
  // Told the truth, by a store that remembers what was there before.
  const store = scene.world.storeFor(() => 'none');
  for (const who of [0, 1]) await release(scene, { ...engineers[0], store }, who);
  await judge.look();
  return scene;
}

function nameOf(who: number, counter: number): string {
  return `metal-${who}-${counter}`;
}

async function release(scene: Scene, engineer: Engineer, who: number): Promise<void> {
  scene.counter += 1;
  const added = nameOf(who, scene.counter);
  await draftSmallRelease(engineer, added);
  scene.wanted.add(added);
  await again(engineer);
}

async function again(engineer: Engineer): Promise<void> {
  await sign(engineer);
  await publishRepository(engineer.workspace, engineer.store, METAL, {
    now: engineer.now,
    signAgain: async () => void (await sign(engineer)),
  });
}

async function refresh(engineer: Engineer): Promise<void> {
  await refreshRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, roles: 'all' });
  await again(engineer);
}

/** Runs `work` once, before that call. */
function interrupted(inner: Store, before: () => Promise<void>): Store {
  return {
    ...inner,
    read: async (path, options) => before().then(async () => inner.read(path, options)),
    head: async (path, options) => before().then(async () => inner.head(path, options)),
    write: async (path, body, options) => before().then(async () => inner.write(path, body, options)),
  };
}

async function take(scene: Scene, { who, verb, lies, interruptAt }: Step): Promise<void> {
  const { world, engineers } = scene;
  const queue = [...lies];
  let call = 0;
  const store = interrupted(
    world.storeFor(() => queue.shift() ?? 'none'),
    async () => {
      const isNow = call === interruptAt;
      call += 1;
      // The other one is told the truth, so that it does publish.
      if (isNow) await tolerant(async () => release(scene, { ...otherOf(engineers, who), store: world.storeFor(() => 'none') }, 1 - who));
    },
  );
  const engineer: Engineer = { ...engineerAt(engineers, who), store };
  const before = scene.counter;
  const isDone = await tolerant(async () => {
    if (verb === 'release') await release(scene, engineer, who);
    else if (verb === 'refresh') await refresh(engineer);
    else await again(engineer);
  });
  const live = await scene.judge.look();
  const name = nameOf(who, before + 1);
  if (isDone && verb === 'release' && interruptAt < 0) assert.ok(live.has(name), `${name} was published, so said gantry`);
}

function engineerAt(engineers: Scene['engineers'], who: number): Engineer {
  return who === 0 ? engineers[0] : engineers[1];
}

function otherOf(engineers: Scene['engineers'], who: number): Engineer {
  return engineerAt(engineers, 1 - who);
}

/** An error that has a code is an answer; anything else is a defect. */
async function tolerant(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (!isGantryError(error)) throw error;
    return false;
  }
}

/** Once nobody lies any more, everybody publishes what still waits. */
async function recover({ world, engineers, truth, judge, wanted }: Scene): Promise<void> {
  await world.settle();
  await judge.look();
  for (const engineer of engineers) {
    for (let tried = 1; ; tried += 1) {
      try {
        await again({ ...engineer, store: truth });
        break;
      } catch (error) {
        if (!isGantryError(error) || tried >= MAX_TRIES) throw error;
      }
    }
  }
  const live = await judge.look();
  assert.deepEqual(live, wanted);
}

test('publishRepository() never tears or forks a repository, whatever its store says', async (t) => {
  const base = await engineerWithRoot(t, new Date());
  const told: Partial<Record<Lie, number>> = {};
  const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 8 }), async (steps) => {
    const directory = await mkdtemp(join(base.directory, 'run-'));
    const scene = await newScene(base, directory);
    for (const one of steps) await take(scene, one);
    await recover(scene);
    for (const name of LIES) told[name] = (told[name] ?? 0) + (scene.world.told[name] ?? 0);
    scene.judge.close();
    await rm(directory, { recursive: true });
  });
  t.diagnostic(`seed ${SEED}, ${RUNS} sequences`);
  await fc.assert(property, { seed: SEED, numRuns: RUNS, interruptAfterTimeLimit: 120_000, markInterruptAsFailure: true });
  t.diagnostic(`lies told: ${JSON.stringify(told)}`);
  const total = Object.values(told).reduce((sum, count) => sum + count, 0);
  assert.ok(total >= RUNS, `only ${total} lies were told in ${RUNS} sequences`);
});

for (const lying of ['stale', 'torn'] as const) {
  test(`publishRepository() loses nothing when what it reads of the live state is ${lying}`, async (t) => {
    const base = await engineerWithRoot(t, new Date());
    const scene = await newScene(base, base.directory);
    const [one, two] = scene.engineers;
    await release(scene, { ...two, store: scene.world.storeFor(() => 'none') }, 1);
    // The numbers that are free are those of now; what is live is what was live before.
    const store = scene.world.storeFor((path) => (path.endsWith('/timestamp.json') ? lying : 'none'));
    await assert.rejects(release(scene, { ...one, store }, 0), (error) => {
      assert.ok(isGantryError(error));
      assert.equal(error.code, lying === 'stale' ? 'publish/conflict' : 'store/failed');
      return true;
    });
    assert.ok((scene.world.told[lying] ?? 0) > 0);
    const live = await scene.judge.look();
    assert.ok(live.has(nameOf(1, 3)));
    if (lying === 'torn') scene.wanted.delete(nameOf(0, 4));
    await recover(scene);
    scene.judge.close();
  });
}

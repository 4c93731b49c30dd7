/**
 * Garbage collection and publishers at once, interleaved at every call of the store: nothing that a live timestamp names is ever gone.
 *
 * The publications are real ones (`applyPublication`), and so is what gc decides and does; only repositories are simple: a timestamp is
 * the list of the targets that are live. Every call takes effect at some moment after it was made, at most 15 minutes later; between an
 * answer and the next call any time may pass. Collectors are killed between any two steps, and others go on. A stranger, whose tool
 * makes no claims, publishes now and then, in one step, but not between the second reading of a collector and its removals.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ACTORS, MINUTE_MS, TARGETS, Turns, World, type Counts } from '../../support/gc-world.ts';

const RUNS = Number(process.env['GANTRY_TEST_RUNS'] ?? 250);

/** Coarse, so that many things begin at once. */
const start = fc.nat(12).map((halfHours) => halfHours * 30);
const publications = fc.array(fc.record({ start, names: fc.subarray([...TARGETS], { minLength: 1 }) }), { minLength: 1, maxLength: 3 });
const strangers = fc.array(fc.record({ start, names: fc.subarray([...TARGETS], { minLength: 1 }) }), { maxLength: 3 });
const killed = fc.record({ call: fc.nat(30), when: fc.constantFrom('before' as const, 'after' as const) });
const kill = fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: killed });
const graceHours = fc.constantFrom(1, 1, 2);
const collections = fc.array(fc.record({ start, graceHours, kill }), { minLength: 2, maxLength: 5 });
const passing = fc.array(fc.constantFrom(5, 10, 30, 60), { minLength: 40, maxLength: 80 });

const turns = fc.array(fc.record({ actor: fc.constantFrom(...ACTORS), steps: fc.integer({ min: 1, max: 12 }) }), {
  minLength: 60,
  maxLength: 120,
});

function inOrder<T extends { readonly start: number }>(items: readonly T[]): readonly T[] {
  return items.toSorted((a, b) => a.start - b.start);
}

test('collectGarbage() leaves everything that a live timestamp names when publishers and other collectors are at work', async () => {
  const total: Counts = { published: 0, byStranger: 0, removed: 0, reused: 0, refused: 0, killed: 0 };
  const setting = fc.tuple(turns, fc.tuple(publications, publications), fc.tuple(collections, collections), strangers, passing);
  const property = fc.asyncProperty(setting, async ([moves, publishers, collectors, strange, steps]) => {
    const turning = new Turns();
    const world = new World(turning);
    // What is left of these is garbage, old enough to be collected.
    await world.publish(world.store, TARGETS);
    await world.publish(world.store, TARGETS.slice(0, 1));
    world.now += 240 * MINUTE_MS;
    const actors = [
      ...publishers.map(async (plans, index) => {
        for (const one of inOrder(plans)) {
          await world.until(240 + one.start);
          await world.publish(world.seenBy(index === 0 ? 'publisher 1' : 'publisher 2'), one.names);
        }
      }),
      ...collectors.map(async (runs, index) => {
        for (const one of inOrder(runs)) {
          await world.until(240 + one.start);
          await world.collect(world.seenBy(index === 0 ? 'gc 1' : 'gc 2', one.kill), one.graceHours * 60 * MINUTE_MS);
        }
      }),
      (async () => {
        for (const one of inOrder(strange)) {
          await world.until(240 + one.start);
          await world.publishAsStranger(one.names);
        }
      })(),
      world.pass(steps),
    ];
    await turning.run(moves, Promise.all(actors));
    for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += world.counts[name];
  });
  await fc.assert(property, { numRuns: RUNS });
  console.log(`gc model: ${RUNS} runs, ${JSON.stringify(total)}`);
  assert.ok(
    total.removed > RUNS / 20 && total.byStranger > 0 && total.reused > 0 && total.refused > 0 && total.killed > 0,
    'the model must reach what it is about',
  );
});

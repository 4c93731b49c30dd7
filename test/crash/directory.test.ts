/** What else is published to a folder, killed at every step. */
import { test } from 'node:test';
import { killEverywhere } from './harness.ts';
import { directoryPlace } from './place.ts';
import { aPlan, aRoot, twoRepositories } from './scenario.ts';

test('gantry publish of a root to a folder can be killed anywhere and run again', async (t) => {
  await killEverywhere(t, await aRoot(t, directoryPlace), { reruns: ['same checkout', 'fresh checkout'] });
});

test('gantry publish of two repositories to a folder can be killed anywhere and run again', async (t) => {
  await killEverywhere(t, await twoRepositories(t, directoryPlace), { reruns: ['same checkout'] });
});

test('gantry publish PLAN to a folder can be killed anywhere and run again', async (t) => {
  await killEverywhere(t, await aPlan(t, directoryPlace), { reruns: ['same checkout'] });
});

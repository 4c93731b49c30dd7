/** A release to a folder: the longest publication, killed at every step. */
import { test } from 'node:test';
import { killEverywhere } from './harness.ts';
import { directoryPlace } from './place.ts';
import { aRelease } from './scenario.ts';

test('gantry publish of a release to a folder can be killed anywhere and run again', async (t) => {
  await killEverywhere(t, await aRelease(t, directoryPlace), { reruns: ['same checkout'] });
});

/** What `gantry release` and `gantry wave` say of an edit before anything is signed, and what they refuse. */
import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { ADD } from '../support/cli.ts';
import { copyOf, publish, rolloutTemplate, type Desk } from '../support/desk.ts';

let template = '';
const cleanups: (() => Promise<void>)[] = [];

before(async () => {
  template = await rolloutTemplate({ after: (work) => cleanups.push(work) });
});

after(async () => {
  for (const cleanup of cleanups) await cleanup();
});

const underWay = async (t: TestContext): Promise<Desk> => copyOf(template, t);
const IMAGES = ADD.slice(3);

test('gantry release recall names every release whose hosts go back, and wave refuses to steer a recalled one', async (t) => {
  const desk = await underWay(t);
  await desk.run('release', 'add', '1.3.0', ...IMAGES);
  await publish(desk);
  const { stderr } = await desk.run('release', 'recall', '1.3.0', '--to', '1.1.0');
  assert.match(
    stderr,
    /^metal\/x86_64 1\.3\.0: once this is published, nobody is offered it \(100 % of the fleet is now\), nor 1\.2\.0, and hosts that run it, or 1\.2\.0, go back to 1\.1\.0 at their next check\.$/mu,
  );
  const steering = [['pause'], ['resume'], ['accelerate'], ['set', '--immediately']] as const;
  for (const [verb, ...options] of steering)
    await desk.refused(3, /1\.3\.0 of metal\/x86_64: it was recalled, and nobody is offered it/u, 'wave', verb, '1.3.0', ...options);
});

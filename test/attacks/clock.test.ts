/** Clock moved back: an attacker who can set a host's clock makes expired metadata look fresh again. */
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { simulatedHost, type SimulatedHost } from '../support/simulated-host.ts';
import { createWorld, type World } from '../support/tuf-world.ts';

const DAY_MS = 86_400_000;
const EXPIRES = new Date('2030-06-01T00:00:00Z');
const day =
  (days: number): (() => Date) =>
  () =>
    new Date(EXPIRES.getTime() + days * DAY_MS);

/** The host has refreshed a day after the first publication was no longer valid, with a second one. */
async function hostThatKnowsTheTime(t: TestContext): Promise<{ readonly world: World; readonly host: SimulatedHost }> {
  const world = await createWorld();
  world.role('timestamp').expires = EXPIRES;
  await world.publish();
  const host = await simulatedHost(t, world);
  await host.refreshed({ now: day(-2) });
  world.role('timestamp').expires = new Date(EXPIRES.getTime() + 2 * DAY_MS);
  await world.publish();
  await host.refreshed({ now: day(1) });
  return { world, host };
}

test('clock moved back: metadata that has expired stays expired', async (t) => {
  const { world, host } = await hostThatKnowsTheTime(t);
  world.role('timestamp').expires = EXPIRES;
  await world.publish();
  const client = await host.open({ now: day(-3) });
  await assert.rejects(client.refresh(), { code: 'client/expired', details: { role: 'timestamp' } });
  assert.match(
    client.notices.join('\n'),
    /^This machine's clock says 2030-05-29T00:00:00Z, but metadata was trusted at 2030-06-02T00:00:00Z already/mu,
  );
  assert.equal((await host.trusted())['timestamp'], 3);
});

test('clock moved back: metadata that is still valid is accepted, and it is said', async (t) => {
  const { world, host } = await hostThatKnowsTheTime(t);
  await world.publish();
  const client = await host.refreshed({ now: day(-3) });
  assert.match(client.notices.join('\n'), /that time is used$/u);
  assert.equal((await host.trusted())['timestamp'], 4);
  assert.deepEqual((await host.refreshed({ now: day(1) })).notices, []);
});

test('clock moved back: the time is remembered within a process too, where nothing new was written', async (t) => {
  const { host } = await hostThatKnowsTheTime(t);
  let today = 1.01;
  const client = await host.open({ now: () => day(today)() });
  await client.refresh();
  today = -3;
  await client.refresh();
  assert.match(client.notices.join('\n'), /metadata was trusted at 2030-06-02T00:14:24Z already/u);
});

test('clock moved ahead: a refresh that is refused does not move the time', async (t) => {
  const { host } = await hostThatKnowsTheTime(t);
  await assert.rejects((await host.open({ now: day(3650) })).refresh(), { code: 'client/expired' });
  assert.deepEqual((await host.refreshed({ now: day(1) })).notices, []);
});

for (const [what, text] of [
  ['lies in the far future', '{"trustedAt":"2999-01-01T00:00:00Z"}'],
  ['is no time', '{"trustedAt":"soon"}'],
  ['is torn', '{"trusted'],
] as const) {
  test(`poisoned state: a trusted time that ${what} is discarded, and does not lock the host out`, async (t) => {
    const { host } = await hostThatKnowsTheTime(t);
    const path = join(host.stateDirectory, 'trusted-time.json');
    await writeFile(path, text);
    const client = await host.refreshed({ now: day(1) });
    assert.match(client.notices.join('\n'), /^Discarded the stored trusted-time\.json: /u);
    assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), { trustedAt: day(1)().toISOString() });
  });
}

test('poisoned state: a trusted time without metadata that was valid then is discarded', async (t) => {
  const { host } = await hostThatKnowsTheTime(t);
  await rm(join(host.stateDirectory, 'timestamp.json'));
  const client = await host.refreshed({ now: day(1) });
  assert.match(client.notices.join('\n'), /nothing that is trusted was valid then/u);
});

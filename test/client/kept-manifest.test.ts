/** The manifest between two checks: what a host asks for when nothing is new. */
import assert from 'node:assert/strict';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { RepositoryClient } from '../../lib/client/index.ts';
import { hostScene, type HostScene } from '../support/host.ts';
import { simulatedHost } from '../support/simulated-host.ts';
import { createSimulator } from '../support/simulator.ts';

async function check(scene: HostScene): Promise<{ readonly client: RepositoryClient; readonly found: readonly string[] }> {
  const client = await scene.open();
  await client.refresh();
  const updates = await client.availableUpdates({ variant: 'metal', arch: 'x86_64', version: '0.1.0', seed: 7 });
  return { client, found: updates.map(({ version }) => version) };
}

function keptAt(scene: HostScene): string {
  return join(scene.stateDirectory, 'manifest.json');
}

test('a check that finds nothing new makes two requests, and has less than 10 KB to read', async (t: TestContext) => {
  const scene = await hostScene(t);
  const first = await check(scene);
  const second = await check(scene);
  assert.deepEqual(second.found, first.found);
  assert.equal(second.client.traffic.requests, 2);
  assert.ok(second.client.traffic.bytesReceived < 10_000);
  assert.equal((await stat(keptAt(scene))).mode & 0o777, 0o600);
});

test('manifest() fetches it again when the kept one was changed, and says nothing of it', async (t: TestContext) => {
  const scene = await hostScene(t);
  const { found } = await check(scene);
  const bytes = await readFile(keptAt(scene));
  for (const damage of [bytes.subarray(1), Buffer.concat([bytes, Buffer.alloc(1)]), Buffer.from(bytes).fill(0x20, 10, 12)]) {
    await writeFile(keptAt(scene), damage);
    const again = await check(scene);
    assert.deepEqual([again.found, again.client.traffic.requests, again.client.notices], [found, 3, []]);
    assert.deepEqual(await readFile(keptAt(scene)), bytes);
  }
});

test('manifest() costs a request and nothing else when it cannot be kept', async (t: TestContext) => {
  const scene = await hostScene(t);
  await mkdir(keptAt(scene), { recursive: true });
  const { client, found } = await check(scene);
  assert.equal(found.length, 1);
  assert.match(client.notices.join(), /^The manifest is fetched again the next time: Cannot /u);
});

test('availableUpdates() goes by the clock that the client was given', async (t: TestContext) => {
  const simulator = await createSimulator();
  const images = { boot: 'b', root: 'r', hash: 'h' };
  const waves = { 512: '2050-01-01T00:00:00Z' };
  const update = { variant: 'metal', arch: 'x86_64', version: '1.0.0', max_version: '1.0.0', waves, images };
  simulator.targets.set('manifest.json', { bytes: Buffer.from(JSON.stringify({ updates: [update], migrations: {} })) });
  await simulator.publish();
  const host = await simulatedHost(t, simulator);
  const offered = async (year: number): Promise<number> => {
    const client = await host.refreshed({ now: () => new Date(Date.UTC(year, 6)) });
    return (await client.availableUpdates({ variant: 'metal', arch: 'x86_64', version: '0.1.0', seed: 2000 })).length;
  };
  assert.deepEqual([await offered(2049), await offered(2051)], [0, 1]);
});

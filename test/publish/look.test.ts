/** After publishing: what a host sees, through the public URL or in the store. */
import assert from 'node:assert/strict';
import { readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { lookAsHost, refuseWrongUrl, type LookOptions } from '../../lib/publish/look.ts';
import { readLive } from '../../lib/publish/live.ts';
import type { PublicationPlan } from '../../lib/publish/plan.ts';
import type { Workspace } from '../../lib/workspace/workspace.ts';
import { METAL, addVersion, engineerWithRelease, engineerWithRoot, publish, sign, type Engineer } from '../support/engineer.ts';
import { startHostileServer, type HostileServer } from '../support/hostile-server.ts';

const OPTIONS: LookOptions = { depth: 'changed', signal: new AbortController().signal, patienceMs: 0 };

interface Scene {
  readonly engineer: Engineer;
  readonly plan: PublicationPlan;
  readonly server: HostileServer;
  /** With the server's URL in `gantry.toml`. */
  readonly workspace: Workspace;
}

/** Two releases; the second one has just been published. */
async function scene(t: TestContext): Promise<Scene> {
  const engineer = await engineerWithRelease(t, '1.0.0', new Date());
  await addVersion(engineer, '1.1.0');
  await sign(engineer);
  const { plan } = await publish(engineer);
  const server = await startHostileServer(t, engineer.storeDirectory);
  const workspace = { ...engineer.workspace, config: { ...engineer.workspace.config, url: server.url.href } };
  return { engineer, plan, server, workspace };
}

async function imageFile({ storeDirectory }: Engineer, version: string): Promise<string> {
  const names = await readdir(join(storeDirectory, 'targets'));
  return join(storeDirectory, 'targets', names.find((name) => name.includes(`-${version}-`) && name.endsWith('root.ext4.zst')) ?? '');
}

async function spoil(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  await writeFile(file, bytes);
}

test('lookAsHost() fetches what was published, through the public URL or from the store', async (t) => {
  const { engineer, plan, workspace, server } = await scene(t);
  for (const [where, url] of [
    [workspace, new URL('metal/x86_64/', server.url).href],
    [engineer.workspace, `${engineer.store.description}/metal/x86_64`],
  ] as const) {
    const look = await lookAsHost(where, engineer.store, { plan, timestamp: 2 }, OPTIONS);
    assert.deepEqual([look.url, look.timestamp, look.targets], [url, 2, 7]);
    assert.ok(look.bytes > 2 << 20);
    assert.equal((await lookAsHost(where, engineer.store, { plan, timestamp: 2 }, { ...OPTIONS, depth: 'metadata' })).targets, 1);
    assert.equal((await lookAsHost(where, engineer.store, { plan, timestamp: 2 }, { ...OPTIONS, depth: 'all' })).targets, 13);
  }
});

test('lookAsHost() finds a spoilt file as deep as it looks', async (t) => {
  const { engineer, plan, workspace } = await scene(t);
  const look = async (depth: LookOptions['depth']): Promise<unknown> =>
    lookAsHost(workspace, engineer.store, { plan, timestamp: 2 }, { ...OPTIONS, depth });
  const refusal = {
    code: 'publish/not-visible',
    message: /^metal\/x86_64 is published \(timestamp 2\), but a host that looks at http:\S+ cannot use it: Cannot /u,
  };
  await spoil(await imageFile(engineer, '1.0.0'));
  await look('changed');
  await assert.rejects(look('all'), refusal);
  await spoil(await imageFile(engineer, '1.1.0'));
  await look('metadata');
  await assert.rejects(look('changed'), refusal);
  const inStore = lookAsHost(engineer.workspace, engineer.store, { plan, timestamp: 2 }, OPTIONS);
  await assert.rejects(inStore, { code: 'publish/not-visible' });
});

test('lookAsHost() waits for caches, and gives up when they do not let go', async (t) => {
  const { engineer, plan, workspace } = await scene(t);
  const waits: number[] = [];
  const options = { ...OPTIONS, patienceMs: 1500, onWait: (seconds: number) => void waits.push(seconds) };
  const late = lookAsHost(workspace, engineer.store, { plan, timestamp: 3 }, options);
  await assert.rejects(late, { code: 'publish/not-visible', message: /timestamp\.json has version 2 after \d s; expected 3$/u });
  assert.deepEqual(waits, [2]);
  const timestamp = join(engineer.storeDirectory, 'metal', 'x86_64', 'timestamp.json');
  await rename(timestamp, `${timestamp}.later`);
  const soon = lookAsHost(workspace, engineer.store, { plan, timestamp: 2 }, { ...options, patienceMs: 20_000 });
  setTimeout(() => void rename(`${timestamp}.later`, timestamp), 500);
  assert.ok((await soon).waitedMs >= 500);
});

test('lookAsHost() stops when it is told to', async (t) => {
  const { engineer, plan, workspace } = await scene(t);
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 200);
  const waiting = lookAsHost(workspace, engineer.store, { plan, timestamp: 9 }, { ...OPTIONS, signal: stop.signal, patienceMs: 60_000 });
  await assert.rejects(waiting, { code: 'aborted' });
});

test('refuseWrongUrl() lets a URL pass that shows the store, also while it lags behind', async (t) => {
  const { engineer, workspace } = await scene(t);
  const live = await readLive(workspace, engineer.store, METAL);
  await refuseWrongUrl(workspace, live, OPTIONS.signal);
  const timestamp = join(engineer.storeDirectory, 'metal', 'x86_64', 'timestamp.json');
  const before = await readFile(timestamp);
  await addVersion(engineer, '1.2.0');
  await sign(engineer);
  await publish(engineer);
  const ahead = await readLive(workspace, engineer.store, METAL);
  await writeFile(timestamp, before);
  await refuseWrongUrl(workspace, ahead, OPTIONS.signal);
});

test('refuseWrongUrl() refuses a URL that points elsewhere', async (t) => {
  const { engineer, workspace } = await scene(t);
  const live = await readLive(workspace, engineer.store, METAL);
  const other = await scene(t);
  const at = (url: string): Workspace => ({ ...workspace, config: { ...workspace.config, url } });
  const refused = async (where: Workspace, state: typeof live, message: RegExp): Promise<void> =>
    assert.rejects(refuseWrongUrl(where, state, OPTIONS.signal), { code: 'publish/wrong-url', message });
  await refused(
    at(other.server.url.href),
    live,
    /timestamp\.json is not signed by a key of this repository; expected what is in the store/u,
  );
  await refused(at(new URL('metal/', workspace.config.url).href), live, /is missing there, and the store has it/u);
  const fresh = await engineerWithRoot(t, new Date());
  const none = await readLive(fresh.workspace, fresh.store, METAL);
  await refused(workspace, none, /answers already, and the store has no publication yet; expected a 404/u);
  await refuseWrongUrl(at(new URL('nothing/', workspace.config.url).href), none, OPTIONS.signal);
  await addVersion(engineer, '1.2.0');
  await sign(engineer);
  await publish(engineer);
  await refused(workspace, live, /has version 3, and the store has 2; expected what is in the store/u);
  await writeFile(join(engineer.storeDirectory, 'metal', 'x86_64', 'timestamp.json'), '<html>');
  await refused(workspace, live, /is no timestamp role/u);
  await assert.rejects(refuseWrongUrl(at('http://127.0.0.1:9/'), live, OPTIONS.signal), { code: 'http/unreachable' });
});

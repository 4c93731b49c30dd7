/** A repository at several places: failing over, going on, and who is not asked again. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RepositoryClient } from '../../lib/client/index.ts';
import { flipBit, send, type HostileServer, type Lie } from '../support/hostile-server.ts';
import { drain } from '../support/host.ts';
import { mirrorScene } from '../support/mirror-scene.ts';
import { createRepository, METADATA, type Simulator } from '../support/simulator.ts';

const RAW = createHash('shake256', { outputLength: (3 << 20) + 4321 })
  .update('gantry')
  .digest();
const FRAMED = 'my-os-1.0.0-root.img.zst';
const LZ4 = 'my-os-1.0.0-root.img.lz4';
const PLAIN = 'notes.bin';

async function repository(): Promise<Simulator> {
  const simulator = await createRepository();
  await simulator.addImage(FRAMED, RAW, 'zstd-frames');
  await simulator.addImage(LZ4, RAW, 'lz4');
  simulator.targets.set(PLAIN, { bytes: RAW });
  await simulator.publish();
  return simulator;
}

/** Answers nothing but this. */
function alwaysWith(server: HostileServer, lie: Lie): void {
  server.lies.set('', lie);
}

const down = (server: HostileServer): void => alwaysWith(server, (response) => response.destroy());
const plainBytes = async (client: RepositoryClient): Promise<Uint8Array> => drain(client.verifiedStream(await client.target(PLAIN)));

for (const [what, lie] of [
  ['breaks every connection', (response) => response.destroy()],
  ['answers 503', send(Buffer.alloc(0), 503)],
  ['answers 401', send(Buffer.alloc(0), 401)],
  ['redirects elsewhere', (response) => response.writeHead(302, { Location: 'http://login.example/' }).end()],
  ['stalls', (response) => response.writeHead(200, { 'Content-Length': 100 }).write('x')],
  ['encodes what it sends', (response) => response.writeHead(200, { 'Content-Encoding': 'gzip' }).end()],
] as readonly (readonly [string, Lie])[]) {
  test(`the second mirror serves everything when the first one ${what}, and the first is asked no more than it must`, async (t) => {
    const { servers, open } = await mirrorScene(t, await repository());
    alwaysWith(servers[0], lie);
    const client = await open();
    await client.refresh();
    assert.deepEqual(Buffer.from(await plainBytes(client)), RAW);
    // The end of the root chain is asked of everybody.
    assert.ok(servers[0].requests.length <= 2, servers[0].requests.join());
    assert.ok(client.notices.every((notice) => !notice.includes('not asked again')));
  });
}

test('nothing is asked of the second mirror when the first one has everything, but for the end of the root chain', async (t) => {
  const { servers, open } = await mirrorScene(t, await repository());
  const client = await open();
  await client.refresh();
  await plainBytes(client);
  assert.deepEqual(servers[1].requests, [`${METADATA}2.root.json`]);
});

for (const [what, answers, end] of [
  ['404 and 404', [404, 404], 'missing'],
  ['403 and 403', [403, 403], 'missing'],
  ['404 and 403', [404, 403], 'missing'],
  ['404 and nobody', [404, 0], 'missing'],
  ['nobody and 404', [0, 404], 'missing'],
  ['404 and 503', [404, 503], 'missing'],
  ['403 and nobody', [403, 0], 'http/interrupted'],
  ['nobody and 403', [0, 403], 'http/interrupted'],
  ['403 and 503', [403, 503], 'http/status'],
  ['403 and 410', [403, 410], 'http/missing'],
  ['nobody and nobody', [0, 0], 'http/interrupted'],
] as const) {
  test(`the root chain ${end === 'missing' ? 'ends' : 'does not end'} when the mirrors answer ${what}`, async (t) => {
    const { servers, open } = await mirrorScene(t, await repository());
    for (const [index, status] of answers.entries()) {
      servers[index]?.lies.set('2.root.json', status === 0 ? (response) => response.destroy() : send(Buffer.alloc(0), status));
    }
    const client = await open();
    if (end === 'missing') {
      await client.refresh();
      assert.equal(client.roles().root.version, 1);
      const isUnsure = new Set<number>(answers).has(0) || new Set<number>(answers).has(503) || !new Set<number>(answers).has(404);
      assert.equal(client.notices.length > 0, isUnsure, client.notices.join());
    } else {
      await assert.rejects(client.refresh(), { code: end });
    }
  });
}

test('a new root is found when only one of the mirrors has it yet', async (t) => {
  const simulator = await repository();
  const { servers, open } = await mirrorScene(t, simulator);
  await simulator.publishRoot();
  servers[0].lies.set('2.root.json', send(Buffer.alloc(0), 404));
  const client = await open();
  await client.refresh();
  assert.equal(client.roles().root.version, 2);
});

test('a mirror that sends what was not signed is dropped and named, and the update goes on without it', async (t) => {
  const { servers, open } = await mirrorScene(t, await repository());
  servers[0].lies.set(
    'timestamp.json',
    flipBit((length) => length - 40),
  );
  const client = await open();
  await client.refresh();
  assert.deepEqual(Buffer.from(await plainBytes(client)), RAW);
  const url = new URL(METADATA, servers[0].url).href;
  assert.equal(client.notices.length, 1);
  assert.ok(client.notices[0]?.startsWith(`The mirror ${url} is not asked again: Cannot `), client.notices.join());
  const asked = servers[0].requests.length;
  servers[0].lies.clear();
  await client.refresh();
  assert.equal(servers[0].requests.length, asked);
});

test('what is wrong at every mirror is refused, and the last mirror stays', async (t) => {
  const { servers, open } = await mirrorScene(t, await repository());
  for (const server of servers) {
    server.lies.set(
      'timestamp.json',
      flipBit((length) => length - 40),
    );
  }
  const client = await open();
  await assert.rejects(client.refresh(), { code: 'client/untrusted' });
  for (const server of servers) server.lies.clear();
  await client.refresh();
});

test('a mirror that is behind is passed over and may come back; alone, it is a rollback', async (t) => {
  const simulator = await repository();
  const { servers, open } = await mirrorScene(t, simulator);
  const old = Buffer.from(simulator.metadata('timestamp.json'));
  simulator.targets.set('more', { bytes: Buffer.from('more') });
  await simulator.publish();
  await (await open()).refresh();
  servers[0].lies.set('timestamp.json', send(old));
  const client = await open();
  await client.refresh();
  assert.equal(client.roles().timestamp.version, simulator.versions.timestamp);
  assert.ok(client.notices.every((notice) => !notice.includes('not asked again')));
  servers[1].lies.set('timestamp.json', send(old));
  await assert.rejects(client.refresh(), { code: 'client/rollback' });
  servers[0].lies.clear();
  await client.refresh();
});

for (const [what, lie] of [
  ['another bit', flipBit((length) => length >> 1)],
  ['more bytes', (response, file = Buffer.alloc(0)) => response.end(Buffer.concat([file, file]))],
  ['fewer bytes', (response, file = Buffer.alloc(0)) => response.writeHead(200, { 'Content-Length': 10 }).end(file.subarray(0, 10))],
] as readonly (readonly [string, Lie])[]) {
  for (const name of [PLAIN, LZ4]) {
    test(`a mirror that sends ${name} with ${what} is dropped and named, and nothing of it is handed out or written`, async (t) => {
      const simulator = await repository();
      const { host, servers, open } = await mirrorScene(t, simulator);
      servers[0].lies.set(simulator.targetFile(name), lie);
      const expected = Buffer.from(simulator.targets.get(name)?.bytes ?? assert.fail());
      for (const fetch of [
        async (client: RepositoryClient) => drain(client.verifiedStream(await client.target(name))),
        async (client: RepositoryClient) => {
          await client.download(await client.target(name), join(host.directory, 'out'));
          return readFile(join(host.directory, 'out'));
        },
        async (client: RepositoryClient) => {
          await client.check([await client.target(name)]);
          return expected;
        },
      ]) {
        const client = await open();
        await client.refresh();
        assert.deepEqual(Buffer.from(await fetch(client)), expected);
        assert.equal(client.notices.length, 1, client.notices.join());
        assert.ok(client.notices[0]?.includes(`${servers[0].url.href}metal/x86_64/ is not asked again: Cannot `), client.notices.join());
        const alone = await open({ mirrors: [] });
        await alone.refresh();
        await assert.rejects(fetch(alone), { name: 'GantryError' });
      }
    });
  }
}

test('a mirror that sends a wrong frame is dropped, and a check goes on without it', async (t) => {
  const simulator = await repository();
  const { servers, open } = await mirrorScene(t, simulator);
  servers[0].lies.set(
    simulator.targetFile(FRAMED),
    flipBit((length) => length >> 1),
  );
  const client = await open();
  await client.refresh();
  await client.check([await client.target(FRAMED)]);
  assert.match(client.notices.join(), /is not asked again: Cannot accept .+ the SHA-256 of frame/u);
});

test('a target that only one mirror has is found there, and missing is what every mirror says', async (t) => {
  const simulator = await repository();
  const { servers, open } = await mirrorScene(t, simulator);
  const file = simulator.targetFile(PLAIN);
  servers[0].lies.set(file, send(Buffer.alloc(0), 404));
  const client = await open();
  await client.refresh();
  assert.deepEqual(Buffer.from(await plainBytes(client)), RAW);
  assert.deepEqual(client.notices, []);
  servers[1].lies.set(file, send(Buffer.alloc(0), 404));
  await assert.rejects(plainBytes(client), { code: 'http/missing' });
  servers[1].lies.clear();
  down(servers[1]);
  await assert.rejects(plainBytes(client), { code: 'http/interrupted' });
});

test('a mirror that wants to be left alone is not asked before its time', async (t) => {
  const { servers, open } = await mirrorScene(t, await repository());
  alwaysWith(servers[0], (response) => response.writeHead(429, { 'Retry-After': '3600' }).end());
  const client = await open({ patienceMs: 5000 });
  await client.refresh();
  await plainBytes(client);
  await client.refresh();
  assert.equal(servers[0].requests.length, 1);
});

test('the mirror that can be asked again soonest is waited for', async (t) => {
  const { servers, open } = await mirrorScene(t, await repository());
  alwaysWith(servers[0], (response) => response.writeHead(503, { 'Retry-After': '3600' }).end());
  alwaysWith(servers[1], (response) => {
    servers[1].lies.clear();
    response.writeHead(503, { 'Retry-After': '1' }).end();
  });
  const waits: number[] = [];
  const client = await open({ patienceMs: 5000, onRetry: (_, waitMs) => waits.push(waitMs) });
  await client.refresh();
  assert.equal(waits.length, 1);
  assert.ok((waits[0] ?? 0) >= 1000);
  assert.equal(servers[0].requests.length, 1);
});

test('a mirror that stays away is told of once', async (t) => {
  const { servers, open } = await mirrorScene(t, await repository());
  down(servers[0]);
  const client = await open();
  for (let round = 0; round < 3; round += 1) await client.refresh();
  assert.deepEqual(client.notices, [
    `No mirror that answers has 2.root.json, and one could not be asked: Cannot fetch ${servers[0].url.href}metal/x86_64/2.root.json: the connection broke off after 0 bytes`,
  ]);
});

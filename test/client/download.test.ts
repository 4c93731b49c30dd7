/** Downloads to files and slots: what they promise when all goes well, and when it does not. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RepositoryClient } from '../../lib/client/index.ts';
import { assertSameBytes } from '../support/bytes.ts';
import { bytesOf, downloadScene, FOREIGN, FRAMED, LZ4, MIB, PLAIN, RAW, type DownloadScene } from '../support/download-scene.ts';
import { flipBit } from '../support/hostile-server.ts';
import { mirrorScene } from '../support/mirror-scene.ts';
import { rangeServer } from '../support/range-server.ts';
import { createRepository } from '../support/simulator.ts';

const IMAGES = [FRAMED, LZ4, FOREIGN];

test('download() writes the image in every format, and tells what it did', async (t) => {
  const { host, simulator, restarted } = await downloadScene(t);
  const client = await restarted();
  for (const name of IMAGES) {
    const file = join(host.directory, name);
    const target = await client.target(name);
    assert.deepEqual(await client.download(target, file, { form: 'image' }), {
      writtenBytes: RAW.length,
      receivedBytes: target.lengthBytes,
      keptBytes: 0,
    });
    assertSameBytes(await readFile(file), RAW, name);
    assert.equal((await stat(file)).mode & 0o777, 0o644);
    assert.deepEqual((await client.download(target, file)).writtenBytes, target.lengthBytes);
    assertSameBytes(await readFile(file), bytesOf(simulator, name), name);
  }
  const empty = join(host.directory, 'empty');
  await client.download(await client.target('empty'), empty);
  assert.equal((await readFile(empty)).length, 0);
  assert.deepEqual((await readdir(host.directory)).toSorted(), ['empty', ...IMAGES, 'state'].toSorted());
});

test('download() drops the mirror that alters a frame, and fetches that frame alone from another', async (t) => {
  for (const form of ['published', 'image'] as const) {
    const scene = await downloadScene(t);
    const name = scene.simulator.targetFile(FRAMED);
    const honest = rangeServer();
    scene.servers[0].lies.set(
      name,
      flipBit(() => 3 * MIB + 5000),
    );
    scene.servers[1].lies.set(name, honest.lie);
    const client = await scene.open();
    await client.refresh();
    const target = await client.target(FRAMED);
    const file = join(scene.directory, 'out');
    const { receivedBytes } = await client.download(target, file, { form });
    assertSameBytes(await readFile(file), form === 'image' ? RAW : bytesOf(scene.simulator, FRAMED));
    assert.match(client.notices.join('\n'), /is not asked again: .*SHA-256 of frame 3/u);
    // The altered frame, and what came behind it on the same connection.
    assert.ok((honest.asked[0]?.from ?? 0) > 3 * MIB, JSON.stringify(honest.asked));
    assert.ok(receivedBytes < target.lengthBytes + 1.3 * MIB, String(receivedBytes));
    assertSameBytes(await collectFrom(scene, client), bytesOf(scene.simulator, FRAMED));
  }
});

async function collectFrom(scene: DownloadScene, client: RepositoryClient): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of client.verifiedStream(await client.target(FRAMED))) chunks.push(chunk);
  assert.ok(scene.servers.length > 1);
  return Buffer.concat(chunks);
}

test('download() refuses a frame table that is altered or not there, before it asks for the image', async (t) => {
  const scene = await downloadScene(t);
  const table = scene.simulator.targetFile(`${FRAMED}.frames`);
  const file = join(scene.directory, 'out');
  const client = await scene.restarted();
  const target = await client.target(FRAMED);
  scene.servers[0].lies.set(
    table,
    flipBit(() => 70),
  );
  await assert.rejects(client.download(target, file, { form: 'image' }), { code: 'client/target-altered' });
  scene.servers[0].lies.set(table, (response) => response.writeHead(404).end());
  await assert.rejects(client.download(target, file, { form: 'image' }), { code: 'http/missing' });
  assert.ok(!scene.servers[0].requests.includes(scene.simulator.targetFile(FRAMED)));
  assert.deepEqual(await readdir(scene.directory), ['state']);
});

test('download() writes a slot in place, never beyond the image, and goes on in it', async (t) => {
  for (const name of [FRAMED, LZ4, PLAIN]) {
    const scene = await downloadScene(t);
    const slot = join(scene.directory, 'out');
    const tail = Buffer.alloc(10_000, 9);
    await writeFile(slot, Buffer.concat([Buffer.alloc(RAW.length, 5), tail]));
    const { ino } = await stat(slot);
    const options = { form: 'image', write: 'in-place' } as const;
    scene.servers[0].lies.set(scene.simulator.targetFile(name), rangeServer({ cutAt: 4 * MIB + 5000 }).lie);
    const first = await scene.restarted();
    await assert.rejects(first.download(await first.target(name), slot, options), { code: 'http/interrupted' });
    const honest = rangeServer();
    scene.servers[0].lies.set(scene.simulator.targetFile(name), honest.lie);
    const client = await scene.restarted();
    const report = await client.download(await client.target(name), slot, options);
    assert.equal(report.writtenBytes, RAW.length);
    assertSameBytes(await readFile(slot), Buffer.concat([RAW, tail]), name);
    assert.equal((await stat(slot)).ino, ino);
    assert.ok((honest.asked[0]?.from ?? 0) > 3 * MIB, `${name}: ${JSON.stringify(honest.asked)}`);
    assert.deepEqual((await readdir(scene.directory)).toSorted(), ['out', 'state']);
    assert.deepEqual(
      (await readdir(scene.host.stateDirectory)).filter((entry) => entry.startsWith('download')),
      [],
    );
  }
});

test('download() refuses a slot that is too small or no place for bytes, before it asks for the image', async (t) => {
  const scene = await downloadScene(t);
  const client = await scene.restarted();
  const slot = join(scene.directory, 'slot');
  await writeFile(slot, Buffer.alloc(RAW.length - 1, 5));
  for (const name of [FRAMED, PLAIN]) {
    const download = client.download(await client.target(name), slot, { form: 'image', write: 'in-place' });
    await assert.rejects(download, { code: 'files/not-writable', message: /expected room for all/u });
    assert.ok(!scene.servers[0].requests.includes(scene.simulator.targetFile(name)));
  }
  assertSameBytes(await readFile(slot), Buffer.alloc(RAW.length - 1, 5));
  const target = await client.target(PLAIN);
  await assert.rejects(client.download(target, join(scene.directory, 'none'), { write: 'in-place' }), { code: 'files/missing' });
  const folder = join(scene.directory, 'folder');
  await mkdir(folder);
  for (const write of ['in-place', 'replace'] as const) {
    await assert.rejects(client.download(target, folder, { write }), { code: 'files/not-writable' });
    await assert.rejects(client.download(target, '/dev/null', { write }), { code: 'files/not-writable' });
  }
});

test('two downloads to one file wait for each other', async (t) => {
  const scene = await downloadScene(t);
  const file = join(scene.directory, 'out');
  const clients = await Promise.all([scene.restarted(), scene.restarted(), scene.restarted()]);
  await Promise.all(clients.map(async (client) => client.download(await client.target(FRAMED), file, { form: 'image' })));
  assertSameBytes(await readFile(file), RAW);
  assert.deepEqual((await readdir(scene.directory)).toSorted(), ['out', 'state']);
});

test('download() takes a part to other connections when one is slower than the disk', async (t) => {
  const simulator = await createRepository();
  const raw = createHash('shake256', { outputLength: 96 * MIB })
    .update('long')
    .digest();
  await simulator.addImage(FRAMED, raw, 'zstd-frames');
  await simulator.publish();
  const scene = await mirrorScene(t, simulator);
  const slow = rangeServer({ bytesPerMs: 40_000 });
  scene.servers[0].lies.set(simulator.targetFile(FRAMED), slow.lie);
  const client = await scene.host.refreshed();
  const file = join(scene.host.directory, 'out');
  const target = await client.target(FRAMED);
  const { receivedBytes } = await client.download(target, file);
  assertSameBytes(await readFile(file), Buffer.from(simulator.targets.get(FRAMED)?.bytes ?? []));
  assert.ok(slow.asked.length > 1, 'nobody helped');
  // Where one stops and the other begins, a little may be on its way already.
  assert.ok(receivedBytes < target.lengthBytes + 8 * MIB, String(receivedBytes));
});

test('download() does without help where a server knows no ranges', async (t) => {
  const simulator = await createRepository();
  const raw = createHash('shake256', { outputLength: 64 * MIB })
    .update('long')
    .digest();
  await simulator.addImage(FRAMED, raw, 'zstd-frames');
  await simulator.publish();
  const scene = await mirrorScene(t, simulator);
  let answers = 0;
  const dripping = rangeServer({ bytesPerMs: 40_000 });
  scene.servers[0].lies.set(simulator.targetFile(FRAMED), (response, file, request) => {
    answers += 1;
    delete request.headers.range;
    dripping.lie(response, file, request);
  });
  const client = await scene.host.refreshed();
  const target = await client.target(FRAMED);
  const { receivedBytes } = await client.download(target, join(scene.host.directory, 'out'), { form: 'image' });
  assert.equal(receivedBytes, target.lengthBytes);
  assert.ok(answers <= 2, String(answers));
});

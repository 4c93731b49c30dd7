/** Verified bytes, in every form in which a target is published. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Readable, Writable } from 'node:stream';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { stallAfter } from '../support/hostile-server.ts';
import { drain, stateFiles } from '../support/host.ts';
import { createRepository, type Simulator } from '../support/simulator.ts';
import { simulatedHost } from '../support/simulated-host.ts';
import { withFullDisk } from '../support/full-disk.ts';

const KEPT = ['root.json', 'snapshot.json', 'targets.json', 'timestamp.json'];
/** Three frames, and a little; the same in every run. */
const RAW = createHash('shake256', { outputLength: (3 << 20) + 4321 })
  .update('gantry')
  .digest();
const FRAMED = 'my-os-1.0.0-root.img.zst';
const LZ4 = 'my-os-1.0.0-root.img.lz4';
const FOREIGN = 'theirs.img.zst';
const PLAIN = 'docs/sub-1/notes+1.txt';
/** As long as a name can be for its digest and a dot to fit before it. */
const LONG = `${'n'.repeat(186)}.img`;

async function imageRepository(): Promise<Simulator> {
  const simulator = await createRepository();
  await simulator.addImage(FRAMED, RAW, 'zstd-frames');
  await simulator.addImage(LZ4, RAW, 'lz4');
  simulator.targets.set(FOREIGN, { bytes: zstdCompressSync(RAW, {}) });
  simulator.targets.set(PLAIN, { bytes: Buffer.from('read me') });
  simulator.targets.set(LONG, { bytes: Buffer.from('long name') });
  simulator.targets.set('empty', { bytes: new Uint8Array() });
  await simulator.publish();
  return simulator;
}

test('verifiedStream() and download() give the published bytes, whatever the format', async (t) => {
  const simulator = await imageRepository();
  const host = await simulatedHost(t, simulator);
  const client = await host.refreshed();
  assert.deepEqual(
    client
      .targets()
      .map(({ path }) => path.memberName())
      .toSorted(),
    [...simulator.targets.keys()].toSorted(),
  );
  for (const [name, { bytes }] of simulator.targets) {
    const target = await client.target(name);
    const progress: number[] = [];
    assert.deepEqual(await drain(client.verifiedStream(target, { onProgress: (count) => progress.push(count) })), Buffer.from(bytes), name);
    assert.equal(progress.at(-1) ?? 0, bytes.length);
    const file = join(host.directory, 'downloaded');
    await client.download(target, file);
    assert.deepEqual(await readFile(file), Buffer.from(bytes), name);
  }
  assert.deepEqual(await stateFiles(host.stateDirectory), KEPT);
  assert.deepEqual((await readdir(host.directory)).toSorted(), ['downloaded', 'state']);
});

test('verifiedImageStream() gives the raw image when it is published in frames, as lz4, or as anybody’s zstd', async (t) => {
  const host = await simulatedHost(t, await imageRepository());
  const client = await host.refreshed();
  for (const name of [FRAMED, LZ4, FOREIGN])
    assert.deepEqual(await drain(client.verifiedImageStream(await client.target(name))), RAW, name);
  assert.equal((await drain(client.verifiedImageStream(await client.target(PLAIN)))).toString(), 'read me');
  const chunks: Buffer[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _, done) {
      chunks.push(chunk);
      done();
    },
  });
  await pipeline(client.verifiedImageStream(await client.target(FRAMED)), sink);
  assert.deepEqual(Buffer.concat(chunks), RAW);
  assert.deepEqual(await drain(Readable.fromWeb(client.verifiedImageStream(await client.target(FRAMED)))), RAW);
  assert.deepEqual(await stateFiles(host.stateDirectory), KEPT);
});

test('check() counts the bytes of all, and spools what it decompresses only', async (t) => {
  await withFullDisk(t, async (folder) => {
    const host = await simulatedHost(t, await imageRepository());
    const client = await host.refreshed({ stateDirectory: folder });
    const targets = await Promise.all([FRAMED, PLAIN].map(async (name) => client.target(name)));
    const totalBytes = targets.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    const progress: number[] = [];
    assert.equal(await client.check(targets, { onProgress: (bytes) => progress.push(bytes) }), totalBytes);
    assert.deepEqual([progress.at(-1), progress.toSorted((a, b) => a - b)], [totalBytes, progress]);
    await assert.rejects(client.check([await client.target(LZ4)]), { code: 'files/disk-full' });
  });
});

test('target() throws client/target-unknown when the metadata does not name it, whatever the server has', async (t) => {
  const host = await simulatedHost(t, await imageRepository());
  const client = await host.refreshed();
  for (const path of ['other.img', '../metal/x86_64/timestamp.json', 'constructor', '__proto__']) {
    await assert.rejects(client.target(path), { code: 'client/target-unknown', details: { path } });
  }
});

for (const name of [FRAMED, LZ4, PLAIN]) {
  test(`a reader that stops early leaves neither a connection nor a file when it reads ${name}`, async (t) => {
    const simulator = await imageRepository();
    const host = await simulatedHost(t, simulator);
    const client = await host.refreshed();
    for (const read of ['verifiedStream', 'verifiedImageStream'] as const) {
      for await (const chunk of client[read](await client.target(name))) {
        assert.ok(chunk.length > 0);
        break;
      }
      assert.deepEqual(await stateFiles(host.stateDirectory), KEPT);
    }
    client.close();
    await host.server.deserted();
  });

  test(`an abort in the middle leaves neither a connection nor a file when it reads ${name}`, async (t) => {
    const simulator = await imageRepository();
    const host = await simulatedHost(t, simulator);
    const client = await host.refreshed();
    host.server.lies.set(simulator.targetFile(name), stallAfter(3));
    const file = join(host.directory, 'image');
    for (const read of [
      async (signal: AbortSignal, onProgress: () => void) =>
        drain(client.verifiedStream(await client.target(name), { signal, onProgress })),
      async (signal: AbortSignal, onProgress: () => void) =>
        drain(client.verifiedImageStream(await client.target(name), { signal, onProgress })),
      async (signal: AbortSignal, onProgress: () => void) => client.download(await client.target(name), file, { signal, onProgress }),
    ]) {
      const controller = new AbortController();
      await assert.rejects(
        read(controller.signal, () => controller.abort()),
        { name: 'GantryError', code: 'aborted' },
      );
      assert.deepEqual(await stateFiles(host.stateDirectory), KEPT);
    }
    assert.deepEqual(await readdir(host.directory), ['state']);
    client.close();
    await host.server.deserted();
  });
}

test('a signed frame that does not decompress is refused and nothing else fails behind it', async (t) => {
  const simulator = await imageRepository();
  const { custom } = simulator.targets.get(FRAMED) ?? {};
  const table = Buffer.from(simulator.targets.get(`${FRAMED}.frames`)?.bytes ?? []);
  const bytes = Buffer.from(simulator.targets.get(FRAMED)?.bytes ?? []);
  // The publisher's own mistake: the first frame is signed as it is, and is no zstd.
  const length = table.readUInt32BE(60);
  bytes.fill(7, 0, length);
  createHash('sha256').update(bytes.subarray(0, length)).digest().copy(table, 64);
  assert.ok(custom !== undefined);
  simulator.targets.set(FRAMED, { bytes, custom });
  simulator.targets.set(`${FRAMED}.frames`, { bytes: table });
  await simulator.publish();
  const host = await simulatedHost(t, simulator);
  const client = await host.refreshed();
  const unhandled: unknown[] = [];
  const remember = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', remember);
  t.after(() => process.off('unhandledRejection', remember));
  // The server waits before the second frame, so that the first one fails while nobody looks.
  host.server.lies.set(simulator.targetFile(FRAMED), (response, file = Buffer.alloc(0)) => {
    response.writeHead(200, { 'Content-Length': file.length });
    response.write(file.subarray(0, length));
    setTimeout(() => response.end(file.subarray(length)), 100);
  });
  await assert.rejects(drain(client.verifiedImageStream(await client.target(FRAMED))), { code: 'image/bad-frame', details: { frame: 0 } });
  assert.deepEqual(unhandled, []);
});

test('an image that is not published as it is described is refused at its end', async (t) => {
  const simulator = await imageRepository();
  for (const [raw, what] of [
    [{ length: RAW.length, sha256: 'a'.repeat(64) }, /raw SHA-256/u],
    [{ length: RAW.length + 1, sha256: createHash('sha256').update(RAW).digest('hex') }, /raw length/u],
  ] as const) {
    for (const name of [LZ4, FRAMED]) {
      const { bytes = new Uint8Array() } = simulator.targets.get(name) ?? {};
      const gantry = name === LZ4 ? { format: 'lz4', raw } : { format: 'zstd-frames', frames: `${FRAMED}.frames`, raw };
      simulator.targets.set(name, { bytes, custom: { gantry } });
    }
    await simulator.publish();
    const host = await simulatedHost(t, simulator);
    const client = await host.refreshed();
    for (const name of [LZ4, FRAMED]) {
      await assert.rejects(
        drain(client.verifiedImageStream(await client.target(name))),
        { code: 'client/target-altered', message: what },
        name,
      );
      await assert.rejects(client.check([await client.target(name)]), { code: 'client/target-altered', message: what }, name);
    }
  }
});

test('a stream that is spooled throws files/disk-full and leaves nothing when the disk is full', async (t) => {
  await withFullDisk(t, async (folder) => {
    const host = await simulatedHost(t, await imageRepository());
    const client = await host.refreshed({ stateDirectory: folder });
    await assert.rejects(drain(client.verifiedStream(await client.target(LZ4))), { code: 'files/disk-full' });
    assert.deepEqual(await stateFiles(folder), KEPT);
    await assert.rejects(client.download(await client.target(LZ4), join(folder, 'image')), { code: 'files/disk-full' });
    assert.deepEqual(await stateFiles(folder), KEPT);
    client.close();
  });
});

/** Streams of targets that break off and go on, at the same server or another. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { RepositoryClient } from '../../lib/client/index.ts';
import { cutAfter, type HostileServer, type Lie } from '../support/hostile-server.ts';
import { drain } from '../support/host.ts';
import { mirrorScene } from '../support/mirror-scene.ts';
import { createRepository, type Simulator } from '../support/simulator.ts';

const RAW = createHash('shake256', { outputLength: (3 << 20) + 4321 })
  .update('gantry')
  .digest();
const FRAMED = 'my-os-1.0.0-root.img.zst';
const PLAIN = 'notes.bin';

async function repository(): Promise<Simulator> {
  const simulator = await createRepository();
  await simulator.addImage(FRAMED, RAW, 'zstd-frames');

  simulator.targets.set(PLAIN, { bytes: RAW });
  await simulator.publish();
  return simulator;
}

const targetsOf = (server: HostileServer): readonly string[] => server.requests.filter((path) => path.startsWith('targets/'));
const plainBytes = async (client: RepositoryClient): Promise<Uint8Array> => drain(client.verifiedStream(await client.target(PLAIN)));

test('a stream that breaks off goes on at the other mirror, where it was', async (t) => {
  const simulator = await repository();
  const { servers, open } = await mirrorScene(t, simulator);
  const file = simulator.targetFile(PLAIN);
  servers[0].lies.set(file, cutAfter(1 << 20));
  const resumed: { readonly from: number; readonly to: number; readonly ifRange: string | undefined }[] = [];
  servers[1].lies.set(file, (response, bytes = Buffer.alloc(0), request) => {
    const [, from = 0, to = 0] = (/^bytes=(\d+)-(\d+)$/u.exec(request.headers.range ?? '') ?? []).map(Number);
    resumed.push({ from, to, ifRange: request.headers['if-range'] as string | undefined });
    response.writeHead(206, { 'Content-Range': `bytes ${from}-${bytes.length - 1}/${bytes.length}`, ETag: '"its own"' });
    response.end(bytes.subarray(from));
  });
  const client = await open({ patienceMs: 5000 });
  await client.refresh();
  const before = client.traffic.bytesReceived;
  assert.deepEqual(Buffer.from(await plainBytes(client)), RAW);
  const [only = assert.fail()] = resumed;
  assert.deepEqual([resumed.length, only.to, only.ifRange], [1, RAW.length - 1, undefined]);
  // What was still on its way when the connection broke may be lost.
  assert.ok(only.from > 1 << 18 && only.from <= 1 << 20, String(only.from));
  assert.equal(client.traffic.bytesReceived - before, RAW.length);
  assert.equal(targetsOf(servers[0]).length, 1);
});

/** Cuts every answer after so many bytes; ranges are honoured. */
function stingy(length: number, etag: (request: number) => string): Lie {
  let requests = 0;
  return (response, file = Buffer.alloc(0), request) => {
    requests += 1;
    const from = Number(/^bytes=(\d+)-/u.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(from === 0 ? 200 : 206, {
      'Content-Length': file.length - from,
      'Content-Range': `bytes ${from}-${file.length - 1}/${file.length}`,
      ETag: etag(requests),
    });
    const part = file.subarray(from, from + length);
    if (from + length >= file.length) response.end(part);
    else response.write(part, () => response.destroy());
  };
}

test('a stream goes on as often as it must while bytes come, from one server alone, and fetches none twice', async (t) => {
  const simulator = await repository();
  const { servers, open } = await mirrorScene(t, simulator);
  servers[0].lies.set(
    simulator.targetFile(PLAIN),
    stingy(200_000, () => '"same"'),
  );
  const client = await open({ mirrors: [], patienceMs: 1000 });
  await client.refresh();
  const before = client.traffic.bytesReceived;
  assert.deepEqual(Buffer.from(await plainBytes(client)), RAW);
  assert.equal(client.traffic.bytesReceived - before, RAW.length);
  assert.ok(targetsOf(servers[0]).length >= Math.ceil(RAW.length / 200_000));
});

test('a file that changes on its server while it is fetched is begun anew once, and frames need no ETag', async (t) => {
  const simulator = await repository();
  const { servers, open } = await mirrorScene(t, simulator);
  const options = { mirrors: [], patienceMs: 2000 };
  const once = stingy(1 << 20, (request) => (request === 1 ? '"old"' : '"new"'));
  servers[0].lies.set(simulator.targetFile(PLAIN), once);
  const client = await open(options);
  await client.refresh();
  assert.deepEqual(Buffer.from(await plainBytes(client)), RAW);
  servers[0].lies.set(
    simulator.targetFile(PLAIN),
    stingy(1 << 20, (request) => `"${request}"`),
  );
  await assert.rejects(plainBytes(client), { code: 'http/changed' });
  servers[0].lies.set(
    simulator.targetFile(FRAMED),
    stingy(1 << 20, (request) => `"${request}"`),
  );
  assert.deepEqual(Buffer.from(await drain(client.verifiedImageStream(await client.target(FRAMED)))), RAW);
});

/**
 * A download that is cut off anywhere, and gone on with by another client.
 *
 * Every end of a frame and 1,000 random bytes in CI (or with GANTRY_CUTS), fewer elsewhere; a failure names its byte.
 */
import assert from 'node:assert/strict';
import { createHash, randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { DownloadOptions, RepositoryClient } from '../../lib/client/index.ts';
import { decodeFrameTable } from '../../lib/image/frame-table.ts';
import { assertSameBytes } from '../support/bytes.ts';
import { memoryTransport, type MemoryTransport } from '../support/memory-transport.ts';
import { createRepository, type Simulator } from '../support/simulator.ts';
import { simulatedHost } from '../support/simulated-host.ts';

const CUTS = Number(process.env['GANTRY_CUTS'] ?? (process.env['CI'] === 'true' ? 1000 : 60));
const PLAIN_CUTS = Math.ceil(CUTS / 4);
const FRAMES = 5;
const FRAMED = 'os-root.img.zst';
const PLAIN = 'plain.bin';
/** Most that an interruption may cost. */
const UNFRAMED_LOSS_BYTES = 1 << 20;

/** Every frame is 1 MiB of raw data, and compresses to about 30 KB, so that a thousand downloads take seconds. */
function sparseImage(): Buffer {
  const raw = Buffer.alloc((FRAMES << 20) - 4321);
  for (let frame = 0; frame < FRAMES; frame += 1) {
    createHash('shake256', { outputLength: 30_000 })
      .update(`frame ${frame}`)
      .digest()
      .copy(raw, (frame << 20) + 100);
  }
  return raw;
}

interface Scene {
  readonly simulator: Simulator;
  readonly directory: string;
  readonly transport: MemoryTransport;
  /** Another client, as after a restart. */
  readonly open: () => Promise<RepositoryClient>;
}

const RAW = sparseImage();
const LONG = createHash('shake256', { outputLength: 3 << 20 })
  .update('plain')
  .digest();

async function scene(t: TestContext): Promise<Scene> {
  const simulator = await createRepository();
  await simulator.addImage(FRAMED, RAW, 'zstd-frames');
  simulator.targets.set(PLAIN, { bytes: LONG });
  await simulator.publish();
  const host = await simulatedHost(t, simulator);
  const transport = memoryTransport(host.server.url, simulator.files);
  return { simulator, directory: host.directory, transport, open: async () => host.refreshed({ transport }) };
}

function bytesOf({ targets }: Simulator, name: string): Buffer {
  return Buffer.from(targets.get(name)?.bytes ?? assert.fail(name));
}

/** Cuts one download there, and goes on with it. @returns published bytes that came twice */
async function cutAndResume(
  { transport, directory, open }: Scene,
  { name, cut, expected, form }: { name: string; cut: number; expected: Buffer; form: NonNullable<DownloadOptions['form']> },
): Promise<number> {
  const file = join(directory, 'out');
  await rm(file, { force: true });
  transport.onChunk = () => assert.ok(!existsSync(file), 'a file had its name before it was complete');
  const received: number[] = [];
  transport.cuts.set(name, cut);
  const first = await open();
  const target = await first.target(name);
  const onProgress = (bytes: number): unknown => received.push(bytes);
  await assert.rejects(first.download(target, file, { form, onProgress }), { code: 'http/interrupted' });
  assert.ok(!existsSync(file));
  const before = received.at(-1) ?? 0;
  transport.cuts.clear();
  const client = await open();
  const report = await client.download(await client.target(name), file, { form });
  assertSameBytes(await readFile(file), expected);
  assert.deepEqual((await readdir(directory)).toSorted(), ['out', 'state']);
  assert.deepEqual(client.notices, []);
  assert.equal(report.keptBytes + report.receivedBytes, target.lengthBytes);
  return before + report.receivedBytes - target.lengthBytes;
}

test(`download() of frames goes on where it was cut, at every end of a frame and at ${CUTS} bytes, and fetches at most one frame twice`, async (t) => {
  const all = await scene(t);
  const bytes = bytesOf(all.simulator, FRAMED);
  const { frames } = decodeFrameTable(bytesOf(all.simulator, `${FRAMED}.frames`));
  const ends = frames.flatMap(({ offset }) => [offset, offset + 1]);
  const random = Array.from({ length: CUTS }, () => randomInt(bytes.length));
  for (const [index, cut] of [...ends, ...random].entries()) {
    const form = index % 2 === 0 ? 'image' : 'published';
    const broken = frames.find(({ offset, lengthBytes }) => cut < offset + lengthBytes) ?? assert.fail(`no frame holds byte ${cut}`);
    const twice = await cutAndResume(all, { name: FRAMED, cut, expected: form === 'image' ? RAW : bytes, form });
    assert.equal(twice, cut - broken.offset, `cut at ${cut}`);
  }
});

test(`download() of anything else goes on where it was cut, at ${PLAIN_CUTS} bytes, and fetches less than 1 MiB twice`, async (t) => {
  const all = await scene(t);
  for (const cut of [1, LONG.length - 1, ...Array.from({ length: PLAIN_CUTS }, () => randomInt(LONG.length))]) {
    const twice = await cutAndResume(all, { name: PLAIN, cut, expected: LONG, form: 'published' });
    assert.ok(twice >= 0 && twice < UNFRAMED_LOSS_BYTES, `cut at ${cut}: ${twice} bytes came twice`);
    if (cut >= UNFRAMED_LOSS_BYTES) assert.equal(twice, 0, `cut at ${cut}`);
  }
});

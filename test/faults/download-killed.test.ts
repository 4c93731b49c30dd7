/**
 * Downloads by processes that are killed again and again: at moments spread over the whole of it, until it is complete.
 *
 * Rounds as GANTRY_KILL_ROUNDS says: 4 for each kind, 12 in CI.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { assertSameBytes } from '../support/bytes.ts';
import { METADATA, createRepository } from '../support/simulator.ts';
import { simulatedHost, type SimulatedHost } from '../support/simulated-host.ts';
import { rangeServer } from '../support/range-server.ts';

const ROUNDS = Number(process.env['GANTRY_KILL_ROUNDS'] ?? (process.env['CI'] === 'true' ? 12 : 4));
const CHILD = join(import.meta.dirname, '..', 'support', 'download-child.ts');
const MIB = 1 << 20;
const FRAMED = 'os-root.img.zst';
const PLAIN = 'plain.bin';
const RAW = createHash('shake256', { outputLength: ROUNDS * 2 * MIB })
  .update('killed')
  .digest();
/** The frame that was coming, and what lies between the server's side and ours. */
const LOSS_BYTES = MIB + (1 << 18);

const NAMED_WITHIN_MS = 20_000;

interface Kind {
  readonly target: string;
  readonly form: 'published' | 'image';
  readonly write: 'replace' | 'in-place';
}

const KINDS: readonly Kind[] = [
  { target: FRAMED, form: 'image', write: 'replace' },
  { target: FRAMED, form: 'published', write: 'replace' },
  { target: FRAMED, form: 'image', write: 'in-place' },
  { target: PLAIN, form: 'published', write: 'replace' },
];

for (const kind of KINDS) {
  test(`a download of ${kind.target} (${kind.form}, ${kind.write}) goes on after ${ROUNDS} kills, and loses a frame at most with each`, async (t) => {
    await killAndResume(t, kind);
  });
}

/** Until a journal names so much of the published file: a busy machine takes its time. */
async function named(folders: readonly string[], bytes: number): Promise<void> {
  for (const deadline = performance.now() + NAMED_WITHIN_MS; performance.now() < deadline; await sleep(5)) {
    const names = (await Promise.all(folders.map(async (folder) => (await readdir(folder)).map((name) => join(folder, name))))).flat();
    const journal = names.find((name) => name.endsWith('journal'));
    const text = journal === undefined ? '' : await readFile(journal, 'utf8').catch(() => '');
    const indexes = new Set([...text.matchAll(/^frame (\d+)$/gmu)].map(([, index]) => Number(index)));
    // From the beginning on: threads may name a later frame before an earlier one.
    let frames = 0;
    while (indexes.has(frames)) frames += 1;
    const written = [...text.matchAll(/^(?:written|synced) (\d+)$/gmu)].map(([, count]) => Number(count));
    if (Math.max(frames * MIB, ...written) >= bytes) return;
  }
  assert.fail(`the journal does not name ${bytes} bytes after ${NAMED_WITHIN_MS} ms`);
}

interface KillScene {
  readonly host: SimulatedHost;
  readonly file: string;
  readonly published: Buffer;
  readonly expected: Buffer;
  /** Where the server has it. */
  readonly path: string;
  /** For the child. */
  readonly options: string;
}

async function killScene(t: TestContext, kind: Kind): Promise<KillScene> {
  const simulator = await createRepository();
  await simulator.addImage(FRAMED, RAW, 'zstd-frames');
  simulator.targets.set(PLAIN, { bytes: RAW });
  await simulator.publish();
  const host = await simulatedHost(t, simulator);
  const root = join(host.directory, '1.root.json');
  const file = join(host.directory, 'out');
  await writeFile(root, simulator.metadata('1.root.json'));
  if (kind.write === 'in-place') await writeFile(file, Buffer.alloc(RAW.length, 5));
  const metadataUrl = new URL(METADATA, host.server.url).href;
  const options = JSON.stringify({ root, metadataUrl, stateDirectory: host.stateDirectory, file, ...kind });
  const published = Buffer.from(simulator.targets.get(kind.target)?.bytes ?? []);
  const expected = kind.form === 'image' ? RAW : published;
  return { host, file, published, expected, path: simulator.targetFile(kind.target), options };
}

async function finished({
  host,
  file,
  expected,
  options,
}: KillScene): Promise<{ readonly keptBytes: number; readonly notices: readonly string[] }> {
  host.server.lies.clear();
  const { stdout } = await promisify(execFile)(process.execPath, [CHILD, options]);
  assertSameBytes(await readFile(file), expected);
  assert.deepEqual((await readdir(host.directory)).toSorted(), ['1.root.json', 'out', 'state']);
  return JSON.parse(stdout);
}

async function killAndResume(t: TestContext, kind: Kind): Promise<void> {
  const scene = await killScene(t, kind);
  const { host, file, published, path, options } = scene;
  const isInPlace = kind.write === 'in-place';
  for (let round = 1; round <= ROUNDS; round += 1) {
    const killAt = Math.floor((published.length * round) / (ROUNDS + 1));
    // Slower than any disk, so that nothing waits for the disk; another process gets the rest.
    const server = rangeServer({ bytesPerMs: 20_000, pauseAt: killAt });
    host.server.lies.set(path, server.lie);
    const child = spawn(process.execPath, [CHILD, options], { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (text) => (errors += String(text)));
    const ended = once(child, 'exit');
    await Promise.race([server.paused, ended]);
    assert.equal(child.exitCode, null, errors);
    await named([host.directory, host.stateDirectory], killAt - LOSS_BYTES);
    child.kill('SIGKILL');
    await ended;
    assert.ok(isInPlace || !existsSync(file), 'a file had its name before it was complete');
    // The first of these kills comes before anything else was kept.
    const asked = server.asked[0] ?? assert.fail('nothing was asked for');
    const before = Math.floor((published.length * (round - 1)) / (ROUNDS + 1));
    assert.ok(asked.from >= before - LOSS_BYTES, `round ${round} began at ${asked.from}, although ${before} bytes had been sent`);
  }
  const { keptBytes, notices } = await finished(scene);
  assert.ok(keptBytes >= Math.floor((published.length * ROUNDS) / (ROUNDS + 1)) - LOSS_BYTES);
  assert.deepEqual(notices, []);
}

test('a download that is killed at any moment, as fast as it goes, is right in the end', async (t) => {
  for (const kind of KINDS) {
    const scene = await killScene(t, kind);
    const { host, file, expected, path, options } = scene;
    for (let round = 0; round < Math.ceil(ROUNDS / 2); round += 1) {
      const server = rangeServer();
      host.server.lies.set(path, server.lie);
      const child = spawn(process.execPath, [CHILD, options], { stdio: 'ignore' });
      const ended = once(child, 'exit');
      while (server.asked.length === 0 && child.exitCode === null) await sleep(1);
      await sleep(randomInt(60));
      child.kill('SIGKILL');
      await ended;
      if (kind.write === 'replace' && existsSync(file)) assertSameBytes(await readFile(file), expected);
    }
    await finished(scene);
  }
});

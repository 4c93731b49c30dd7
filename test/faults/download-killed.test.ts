/**
 * Downloads by processes that are killed again and again: at moments spread over the whole of it, until it is complete.
 *
 * Rounds as GANTRY_KILL_ROUNDS says: 6 for each kind, 20 in CI.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { METADATA, createRepository } from '../support/simulator.ts';
import { simulatedHost } from '../support/simulated-host.ts';
import { rangeServer } from '../support/range-server.ts';

const ROUNDS = Number(process.env['GANTRY_KILL_ROUNDS'] ?? (process.env['CI'] === 'true' ? 20 : 6));
const CHILD = join(import.meta.dirname, '..', 'support', 'download-child.ts');
const MIB = 1 << 20;
const FRAMED = 'os-root.img.zst';
const PLAIN = 'plain.bin';
const RAW = createHash('shake256', { outputLength: ROUNDS * 2 * MIB })
  .update('killed')
  .digest();
/** The frame that was coming, and what lies between the server's side and ours. */
const LOSS_BYTES = MIB + (1 << 18);

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

async function killAndResume(t: TestContext, kind: Kind): Promise<void> {
  const simulator = await createRepository();
  await simulator.addImage(FRAMED, RAW, 'zstd-frames');
  simulator.targets.set(PLAIN, { bytes: RAW });
  await simulator.publish();
  const host = await simulatedHost(t, simulator);
  const root = join(host.directory, '1.root.json');
  const file = join(host.directory, 'out');
  const isInPlace = kind.write === 'in-place';
  await writeFile(root, simulator.metadata('1.root.json'));
  if (isInPlace) await writeFile(file, Buffer.alloc(RAW.length, 5));
  const metadataUrl = new URL(METADATA, host.server.url).href;
  const options = JSON.stringify({ root, metadataUrl, stateDirectory: host.stateDirectory, file, ...kind });
  const published = Buffer.from(simulator.targets.get(kind.target)?.bytes ?? []);
  for (let round = 1; round <= ROUNDS; round += 1) {
    const killAt = Math.floor((published.length * round) / (ROUNDS + 1));
    // Slower than any disk, so that nothing waits for the disk; another process gets the rest.
    const server = rangeServer({ bytesPerMs: 20_000, pauseAt: killAt });
    host.server.lies.set(simulator.targetFile(kind.target), server.lie);
    const child = spawn(process.execPath, [CHILD, options], { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (text) => (errors += String(text)));
    const ended = once(child, 'exit');
    await Promise.race([server.paused, ended]);
    assert.equal(child.exitCode, null, errors);
    child.kill('SIGKILL');
    await ended;
    assert.ok(isInPlace || !existsSync(file), 'a file had its name before it was complete');
    // The first of these kills comes before anything else was kept.
    const asked = server.asked[0] ?? assert.fail('nothing was asked for');
    const before = Math.floor((published.length * (round - 1)) / (ROUNDS + 1));
    assert.ok(asked.from >= before - LOSS_BYTES, `round ${round} began at ${asked.from}, although ${before} bytes had been sent`);
  }
  host.server.lies.clear();
  const { stdout } = await promisify(execFile)(process.execPath, [CHILD, options]);
  const { keptBytes, notices } = JSON.parse(stdout);
  assert.ok(keptBytes >= Math.floor((published.length * ROUNDS) / (ROUNDS + 1)) - LOSS_BYTES);
  assert.deepEqual(notices, []);
  assert.deepEqual(await readFile(file), kind.form === 'image' ? RAW : published);
  assert.deepEqual((await readdir(host.directory)).toSorted(), ['1.root.json', 'out', 'state']);
}

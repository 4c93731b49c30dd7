/** Attacks on target files: every way in which bytes can be wrong, and for every way in which they are read. */
import assert from 'node:assert/strict';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { test } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import type { RepositoryClient, VerifiedTarget } from '../../lib/client/index.ts';
import { cutAfter, endless, flipBit, redirectTo, send, stallAfter, type Lie } from '../support/hostile-server.ts';
import { drain, hostScene, imageTarget, stateFiles } from '../support/host.ts';

/** What was verified before the image was asked for. */
const KEPT = ['manifest.json', 'root.json', 'snapshot.json', 'targets.json', 'timestamp.json'];

/** By what the server does: the codes that may come of it. */
const LIES: Readonly<Record<string, { readonly lie: (honest: Buffer) => Lie; readonly codes: readonly string[] }>> = {
  'flips a bit in the first frame': { lie: () => flipBit(() => 100), codes: ['client/target-altered'] },
  'flips a bit in the last byte': { lie: () => flipBit((length) => length - 1), codes: ['client/target-altered'] },
  'cuts the connection': { lie: (honest) => cutAfter(Math.floor(honest.length / 2)), codes: ['http/interrupted'] },
  stalls: { lie: (honest) => stallAfter(Math.floor(honest.length / 2)), codes: ['http/stalled'] },
  'sends less': { lie: (honest) => send(honest.subarray(0, -1)), codes: ['http/too-short'] },
  'sends more': { lie: (honest) => send(Buffer.concat([honest, Buffer.from('x')])), codes: ['http/too-long'] },
  'never ends': { lie: () => endless(), codes: ['http/too-long', 'client/target-altered'] },
  'sends an error page with 200': { lie: () => send(Buffer.from('<html>')), codes: ['http/too-short'] },
  'redirects elsewhere': { lie: () => redirectTo('https://evil.example/'), codes: ['http/redirected'] },
  'has lost the file': { lie: () => send(Buffer.from('gone'), 404), codes: ['http/missing'] },
  'sends another file of the same length': { lie: (honest) => send(Buffer.alloc(honest.length, 7)), codes: ['client/target-altered'] },
};

type Reader = (client: RepositoryClient, target: VerifiedTarget, file: string) => Promise<unknown>;

const READERS: Readonly<Record<string, Reader>> = {
  download: async (client, target, file) => client.download(target, file),
  verifiedStream: async (client, target) => drain(client.verifiedStream(target)),
  verifiedImageStream: async (client, target) => drain(client.verifiedImageStream(target)),
  check: async (client, target) => client.check([target]),
};

for (const [what, { lie, codes }] of Object.entries(LIES)) {
  test(`a server that ${what} is refused, whoever reads, and nothing stays`, async (t) => {
    const scene = await hostScene(t);
    const client = await scene.open();
    await client.refresh();
    const target = await imageTarget(client, 'root');
    const published = join('targets', target.path.publishedName(target.digest.hex));
    const honest = await readFile(scene.stored(published));
    const file = join(scene.engineer.directory, 'image.zst');
    await writeFile(file, 'what was there before');
    scene.server.lies.set(published, lie(honest));
    for (const [name, read] of Object.entries(READERS)) {
      await assert.rejects(read(client, target, file), (error) => {
        assert.ok(isGantryError(error), `${name}: ${String(error)}`);
        assert.ok(codes.includes(error.code), `${name}: ${error.code} ${error.message}`);
        return true;
      });
    }
    assert.equal(await readFile(file, 'utf8'), 'what was there before');
    assert.deepEqual(
      (await readdir(scene.engineer.directory)).filter((name) => name.includes('.tmp')),
      [],
    );
    assert.deepEqual(await stateFiles(scene.stateDirectory), KEPT);
    scene.server.lies.clear();
    await client.download(target, file);
    assert.deepEqual(await readFile(file), honest);
  });
}

test('verifiedImageStream() hands out nothing of a frame that was altered', async (t) => {
  const scene = await hostScene(t);
  const client = await scene.open();
  await client.refresh();
  const target = await imageTarget(client, 'root');
  const raw = await readFile(join(scene.engineer.directory, 'root.img'));
  // Random bytes do not compress, so the third frame starts a little behind 2 MiB.
  scene.server.lies.set(
    target.path.publishedName(target.digest.hex),
    flipBit((length) => length - 100),
  );
  let received = 0;
  await assert.rejects(
    async () => {
      for await (const chunk of client.verifiedImageStream(target)) {
        assert.deepEqual(chunk, raw.subarray(received, received + chunk.length));
        received += chunk.length;
      }
    },
    { code: 'client/target-altered' },
  );
  assert.ok(received <= 2 << 20);
});

test('a frame table that is not the signed one is refused before any frame is asked for', async (t) => {
  const scene = await hostScene(t);
  const client = await scene.open();
  await client.refresh();
  const target = await imageTarget(client, 'boot');
  scene.server.lies.set(
    '.frames',
    flipBit(() => 70),
  );
  await assert.rejects(drain(client.verifiedImageStream(target)), { code: 'client/target-altered' });
  await assert.rejects(drain(client.verifiedStream(target)), { code: 'client/target-altered' });
  assert.ok(!scene.server.requests.some((path) => path.endsWith('boot.ext4.zst')));
});

test('a reader that stops early closes the connection and leaves nothing behind', async (t) => {
  const scene = await hostScene(t);
  const client = await scene.open();
  await client.refresh();
  const target = await imageTarget(client, 'root');
  scene.server.lies.set(target.path.publishedName(target.digest.hex), stallAfter((1 << 20) + 4096));
  for await (const _ of client.verifiedStream(target)) break;
  // The server learns of it a moment later.
  while (scene.server.cutByClient() === 0) await setImmediate();
  assert.deepEqual(await stateFiles(scene.stateDirectory), KEPT);
});

test('an AbortSignal ends a download at once and leaves nothing behind', async (t) => {
  const scene = await hostScene(t);
  const client = await scene.open({ idleTimeoutMs: 60_000 });
  await client.refresh();
  const target = await imageTarget(client, 'root');
  scene.server.lies.set(target.path.publishedName(target.digest.hex), stallAfter(1000));
  const controller = new AbortController();
  const file = join(scene.engineer.directory, 'image.zst');
  const download = client.download(target, file, { signal: controller.signal, onProgress: () => controller.abort() });
  await assert.rejects(download, { code: 'aborted' });
  assert.deepEqual(
    (await readdir(scene.engineer.directory)).filter((name) => name.includes('image.zst')),
    [],
  );
});

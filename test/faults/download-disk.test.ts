/** Downloads to disks that are full, or that nobody may write. */
import assert from 'node:assert/strict';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertSameBytes } from '../support/bytes.ts';
import { downloadScene, FRAMED, LZ4, MIB, PLAIN, RAW } from '../support/download-scene.ts';
import { withReadOnlyDisk, withSmallDisk } from '../support/full-disk.ts';

test('download() stops at a full disk, gives back its room, leaves the old file, and succeeds when there is room', async (t) => {
  const scene = await downloadScene(t);
  const folder = join(scene.directory, 'disk');
  await withSmallDisk(t, { folder, sizeBytes: RAW.length + 2 * MIB }, async () => {
    const file = join(folder, 'out');
    const ballast = join(folder, 'ballast');
    await writeFile(file, 'what was there before');
    await writeFile(ballast, Buffer.alloc(4 * MIB));
    const client = await scene.restarted();
    for (const [name, form] of [
      [FRAMED, 'image'],
      [FRAMED, 'published'],
      [PLAIN, 'published'],
      [LZ4, 'image'],
    ] as const) {
      await assert.rejects(client.download(await client.target(name), file, { form }), { code: 'files/disk-full' }, name);
      assert.equal(await readFile(file, 'utf8'), 'what was there before');
      assert.deepEqual((await readdir(folder)).toSorted(), ['ballast', 'out']);
    }
    await rm(ballast);
    await client.download(await client.target(FRAMED), file, { form: 'image' });
    assertSameBytes(await readFile(file), RAW);
  });
});

test('download() writes nothing where nobody may write, and asks for no image', async (t) => {
  const scene = await downloadScene(t);
  const client = await scene.restarted();
  const target = await client.target(FRAMED);
  await withReadOnlyDisk(t, async (folder) => {
    await assert.rejects(client.download(target, join(folder, 'out')), { code: 'files/not-writable' });
    assert.deepEqual(await readdir(folder), []);
  });
  await assert.rejects(client.download(target, join(scene.directory, 'nowhere', 'out')), { code: 'files/missing' });
  assert.deepEqual(await readdir(scene.directory), ['state']);
  assert.ok(!scene.servers[0].requests.includes(scene.simulator.targetFile(FRAMED)));
});

/** What `inspectImage` promises beside what `gantry image info` shows. */
import assert from 'node:assert/strict';
import { appendFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { inspectImage } from '../../lib/workspace/image-info.ts';
import { imageBytes } from '../support/bytes.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { encodeDisk } from '../support/gpt.ts';

const MIB = 1 << 20;

for (const [what, change] of [
  ['grows', async (path: string) => appendFile(path, 'x')],
  ['is cut', async (path: string) => truncate(path, 2 * MIB)],
] as const) {
  test(`inspectImage() says files/changed of an image that ${what} while it is read`, async (t) => {
    const path = join(await temporaryDirectory(t), 'image');
    for (const bytes of [imageBytes(4 * MIB), zstdCompressSync(imageBytes(9 * MIB)), encodeDisk({ sectors: 8192 })]) {
      await writeFile(path, bytes);
      let changing: Promise<void> | undefined;
      const onProgress = (): void => void (changing ??= change(path));
      await assert.rejects(inspectImage(path, { level: 1, onProgress }), { code: 'files/changed', details: { path } });
      await changing;
    }
  });
}

test('inspectImage() tells its progress to the end: once through a raw image, twice through a compressed one', async (t) => {
  const path = join(await temporaryDirectory(t), 'image');
  for (const [bytes, times] of [
    [imageBytes(3 * MIB), 1],
    [zstdCompressSync(imageBytes(3 * MIB)), 2],
  ] as const) {
    await writeFile(path, bytes);
    const told: number[] = [];
    await inspectImage(path, {
      level: 1,
      onProgress({ bytes: done, totalBytes }) {
        assert.equal(totalBytes, times * bytes.length);
        told.push(done);
      },
    });
    assert.equal(told.at(-1), times * bytes.length);
    assert.deepEqual(
      told,
      told.toSorted((a, b) => a - b),
    );
  }
});

test('inspectImage() stops with the code `aborted` when the signal fires', async (t) => {
  const path = join(await temporaryDirectory(t), 'image');
  await writeFile(path, imageBytes(4 * MIB));
  const controller = new AbortController();
  const work = inspectImage(path, { level: 1, signal: controller.signal, onProgress: () => controller.abort() });
  await assert.rejects(work, { code: 'aborted' });
});

test('inspectImage() knows a disk under compression, and no partitions of it', async (t) => {
  const path = join(await temporaryDirectory(t), 'image');
  await writeFile(path, zstdCompressSync(encodeDisk({ entries: [{ first: 40, last: 50 }] })));
  const { holds, findings } = await inspectImage(path, { level: 1 });
  assert.deepEqual([holds, findings], [{ kind: 'disk', findings: [] }, []]);
});

/** What we make of real file systems, read by the tools of the field and by the decoder of stock hosts; and what those make, read by ours. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { cp, mkdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { decodeFrameTable, encodeFrameTable, FRAME_RAW_BYTES, type Frame, type FrameTable } from '../../lib/image/frame-table.ts';
import { compressLz4, decompressLz4 } from '../../lib/image/lz4.ts';
import { measuring } from '../../lib/image/measure.ts';
import { compressFrames, decompressZstd } from '../../lib/image/zstd.ts';
import { imageBytes } from '../support/bytes.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { lz4Decoder, skipReason } from '../support/peers.ts';
import { requireTool } from '../support/tools.ts';

const runFile = promisify(execFile);
const MIB = 1 << 20;
const skipDecoder = await skipReason('lz4');

async function run(command: string, ...args: readonly string[]): Promise<string> {
  return (await runFile(command, args, { maxBuffer: 16 * MIB })).stdout;
}

interface Maker {
  readonly tool: string;
  readonly args: (content: string, image: string) => readonly string[];
}

const FILE_SYSTEMS: Readonly<Record<string, Maker>> = {
  ext4: { tool: 'mke2fs', args: (content, image) => ['-q', '-t', 'ext4', '-d', content, image, '64M'] },
  squashfs: { tool: 'mksquashfs', args: (content, image) => [content, image, '-quiet', '-no-progress'] },
  erofs: { tool: 'mkfs.erofs', args: (content, image) => ['--quiet', '-zlz4hc', image, content] },
};

/** Code, text, noise, and a hole: what a root has. */
async function makeImage(directory: string, { tool, args }: Maker): Promise<string> {
  const content = join(directory, 'content');
  await mkdir(content);
  await cp(join(import.meta.dirname, '..', '..', 'node_modules', 'typescript', 'lib'), join(content, 'lib'), { recursive: true });
  await writeFile(join(content, 'noise'), randomBytes(3 * MIB + 77));
  await writeFile(join(content, 'hole'), '');
  await truncate(join(content, 'hole'), 9 * MIB);
  const image = join(directory, 'image');
  await run(tool, ...args(content, image));
  return image;
}

const made = new Map<Maker, Promise<string>>();
const cleanups: (() => Promise<void>)[] = [];
after(async () => {
  for (const cleanup of cleanups) await cleanup();
});

/** Each is made once. */
async function imageOf(maker: Maker): Promise<string> {
  const making = made.get(maker) ?? temporaryDirectory({ after: (work) => cleanups.push(work) }).then(async (one) => makeImage(one, maker));
  made.set(maker, making);
  return making;
}

const read = (path: string): AsyncIterable<Uint8Array> => createReadStream(path, { highWaterMark: MIB });

async function writeFrames(image: string, to: string): Promise<FrameTable> {
  const frames: Frame[] = [];
  const raw = measuring(read(image));
  await writeFile(to, compressFrames(raw.stream, { level: 3, onFrame: (frame) => frames.push(frame) }));
  return decodeFrameTable(encodeFrameTable({ raw: raw.result(), frames }));
}

async function assertSame(path: string, image: string): Promise<void> {
  await run('cmp', path, image);
}

for (const [name, maker] of Object.entries(FILE_SYSTEMS)) {
  const withImage = (title: string, tools: readonly string[], check: (image: string, out: string) => Promise<void>): void => {
    test(`${name}: ${title}`, async (t) => {
      for (const tool of [maker.tool, ...tools]) if (!requireTool(t, tool)) return;
      await check(await imageOf(maker), join(await temporaryDirectory(t), 'out'));
    });
  };

  withImage('zstd tests, lists and decompresses our frames', ['zstd'], async (image, out) => {
    const { frames } = await writeFrames(image, `${out}.zst`);
    await run('zstd', '-tq', `${out}.zst`);
    const listed = await run('zstd', '-lv', `${out}.zst`);
    assert.match(listed, new RegExp(String.raw`# Zstandard Frames: ${frames.length}\n`, 'u'));
    assert.match(listed, new RegExp(String.raw`Decompressed Size: .*\(${(await stat(image)).size} B\)`, 'u'));
    await run('zstd', '-dqf', `${out}.zst`, '-o', `${out}.raw`);
    await assertSame(`${out}.raw`, image);
  });

  withImage(
    'what the frame table points at is a frame, which zstd decompresses to its piece of the image',
    ['zstd', 'dd'],
    async (image, out) => {
      const { frames } = await writeFrames(image, `${out}.zst`);
      assert.ok(frames.length >= 4);
      for (const index of [0, 1, Math.floor(frames.length / 2), frames.length - 1]) {
        const { offset, lengthBytes, rawLengthBytes } = frames[index] ?? assert.fail('it is there');
        const cut = ['bs=1M', 'iflag=skip_bytes,count_bytes', 'status=none'];
        await run('dd', `if=${out}.zst`, `of=${out}.frame`, `skip=${offset}`, `count=${lengthBytes}`, ...cut);
        await run('dd', `if=${image}`, `of=${out}.piece`, `skip=${index * FRAME_RAW_BYTES}`, `count=${rawLengthBytes}`, ...cut);
        await run('zstd', '-dqf', `${out}.frame`, '-o', `${out}.raw`);
        await assertSame(`${out}.raw`, `${out}.piece`);
      }
      const last = frames.at(-1);
      assert.equal((last?.offset ?? 0) + (last?.lengthBytes ?? 0), (await stat(`${out}.zst`)).size);
    },
  );

  withImage('decompressZstd() reads what zstd makes of it', ['zstd'], async (image, out) => {
    for (const options of [['-1', '--no-check'], ['-3', '-T2'], ['-10', '--long=27'], ['--adapt']]) {
      await run('zstd', '-qf', ...options, image, '-o', `${out}.zst`);
      await writeFile(`${out}.raw`, decompressZstd(read(`${out}.zst`), { maxBytes: (await stat(image)).size }));
      await assertSame(`${out}.raw`, image);
    }
  });

  withImage('lz4 tests and decompresses ours, and ours reads what lz4 makes of it', ['lz4'], async (image, out) => {
    const { size } = await stat(image);
    await writeFile(`${out}.lz4`, compressLz4(read(image), { contentSizeBytes: size }));
    await run('lz4', '-tq', `${out}.lz4`);
    await run('lz4', '-dqf', `${out}.lz4`, `${out}.raw`);
    await assertSame(`${out}.raw`, image);
    for (const options of [['-1'], ['-9', '-B4', '-BD', '-BX'], ['-12', '-B7', '--content-size']]) {
      await run('lz4', '-qf', ...options, image, `${out}.lz4`);
      await writeFile(`${out}.raw`, decompressLz4(read(`${out}.lz4`), { maxBytes: size }));
      await assertSame(`${out}.raw`, image);
    }
  });

  test(`${name}: the decoder of stock hosts reads our lz4`, { skip: skipDecoder }, async (t) => {
    if (!requireTool(t, maker.tool)) return;
    const [image, out] = [await imageOf(maker), join(await temporaryDirectory(t), 'out')];
    await writeFile(`${out}.lz4`, compressLz4(read(image), { contentSizeBytes: (await stat(image)).size }));
    await run(await lz4Decoder(), `${out}.lz4`, `${out}.raw`);
    await assertSame(`${out}.raw`, image);
  });
}

test(
  'the decoder of stock hosts reads zeros, noise and last blocks of any length, and refuses what is cut',
  { skip: skipDecoder },
  async (t) => {
    const decoder = await lz4Decoder();
    const path = join(await temporaryDirectory(t), 'image');
    const images = [1, MIB - 1, MIB, MIB + 1, 3 * MIB + 65_536].flatMap((length) => [
      Buffer.alloc(length),
      randomBytes(length),
      imageBytes(length),
    ]);
    for (const image of images) {
      await writeFile(path, image);
      await writeFile(`${path}.lz4`, compressLz4(read(path), { contentSizeBytes: image.length }));
      await run(decoder, `${path}.lz4`, `${path}.raw`);
      assert.ok(image.equals(await readFile(`${path}.raw`)), `${image.length} bytes`);
    }
    await truncate(`${path}.lz4`, (await stat(`${path}.lz4`)).size - 1);
    await assert.rejects(run(decoder, `${path}.lz4`, `${path}.raw`), { code: 1 });
  },
);

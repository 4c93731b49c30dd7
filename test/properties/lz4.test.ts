/** LZ4 frames of every make: those of the `lz4` tool with any of its options, those built here block by block, and those that lie. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { isGantryError } from '../../lib/errors.ts';
import { decompressLz4 } from '../../lib/image/lz4.ts';
import { checksum32 } from '../../lib/image/xxh32.ts';
import { collect, drain, imageBytes, inChunks } from '../support/bytes.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { requireTool } from '../support/tools.ts';

const run = promisify(execFile);
const MIB = 1 << 20;
const EMPTY = Buffer.alloc(0);

const level = fc.oneof(
  fc.integer({ min: 1, max: 12 }).map((number) => `-${number}`),
  fc.integer({ min: 1, max: 9 }).map((number) => `--fast=${number}`),
);
/** Independent or linked blocks of each size, with each checksum or without, with the content size or without. */
const options = fc
  .tuple(
    level,
    fc.constantFrom('-B4', '-B5', '-B6', '-B7', '-B100', '-B65537'),
    fc.subarray(['-BD', '-BX', '--no-frame-crc', '--content-size', '--favor-decSpeed']),
  )
  .map(([one, size, others]) => [one, size, ...others]);
/** The ends of blocks and windows are where a decoder goes wrong. */
const lengthBytes = fc.oneof(
  fc.integer({ min: 0, max: 300_000 }),
  fc.tuple(fc.constantFrom(1 << 16, 1 << 18, MIB, 4 * MIB), fc.integer({ min: -2, max: 2 })).map(([size, more]) => size + more),
);

test('decompressLz4() reads whatever lz4 writes, with any of its options', async (t) => {
  if (!requireTool(t, 'lz4')) return;
  const path = join(await temporaryDirectory(t), 'image');
  const frame = fc.tuple(options, lengthBytes, fc.string());
  await fc.assert(
    fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 2 }), fc.integer({ min: 999, max: 99_999 }), async (frames, chunkBytes) => {
      const raw: Buffer[] = [];
      const file: Buffer[] = [];
      for (const [args, length, seed] of frames) {
        raw.push(imageBytes(length, seed));
        await writeFile(path, imageBytes(length, seed));
        const written = await run('lz4', ['-q', '-f', ...args, path, `${path}.lz4`]).catch((error: Error) => error);
        // lz4 1.9.4 cannot do some lengths just below a block's: its own buffer is too small.
        fc.pre(!(written instanceof Error && written.message.includes('dstMaxSize_tooSmall')));
        if (written instanceof Error) throw written;
        file.push(await readFile(`${path}.lz4`));
      }
      const found = await collect(decompressLz4(inChunks(Buffer.concat(file), chunkBytes), { maxBytes: 8 * MIB + 4 }));
      assert.ok(Buffer.concat(raw).equals(found));
    }),
    { numRuns: 40 },
  );
});

test('decompressLz4() refuses what lz4 -l writes, and what needs a dictionary, in words', async (t) => {
  if (!requireTool(t, 'lz4')) return;
  const path = join(await temporaryDirectory(t), 'image');
  await writeFile(path, imageBytes(70_000));
  const decompressed = async (...args: readonly string[]): Promise<Buffer> => {
    await run('lz4', ['-q', '-f', ...args, path, `${path}.lz4`]);
    return collect(decompressLz4(inChunks(await readFile(`${path}.lz4`), 1000), { maxBytes: MIB }));
  };
  await assert.rejects(decompressed('-l'), { code: 'image/bad-lz4', message: /legacy format/u });
  // The tool names no dictionary in the frame: what looks back into it is found damaged.
  await assert.rejects(decompressed('-D', path), { code: 'image/bad-lz4' });
});

/** Literals, then a match; the last one of a block has no match. */
interface Sequence {
  readonly literals: Uint8Array;
  readonly distance: number;
  readonly matchBytes: number;
}
interface Block {
  readonly sequences: readonly Sequence[];
  readonly last: Uint8Array;
  readonly stored: boolean;
}
interface Frame {
  readonly linked: boolean;
  readonly blockChecksum: boolean;
  readonly contentChecksum: boolean;
  readonly contentSize: boolean;
  readonly blocks: readonly Block[];
}

const literals = fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 250, maxLength: 300 }));
/** Seven of them at most fit into a block of 64 KiB. */
const sequence: fc.Arbitrary<Sequence> = fc.record({
  literals,
  distance: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 65_535 })),
  matchBytes: fc.oneof(fc.integer({ min: 4, max: 30 }), fc.integer({ min: 260, max: 600 }), fc.constant(9000)),
});
const anyFrame: fc.Arbitrary<Frame> = fc.record({
  linked: fc.boolean(),
  blockChecksum: fc.boolean(),
  contentChecksum: fc.boolean(),
  contentSize: fc.boolean(),
  blocks: fc.array(fc.record({ sequences: fc.array(sequence, { maxLength: 7 }), last: literals, stored: fc.boolean() }), { maxLength: 12 }),
});

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** A token's half, and the bytes in which a length of 15 or more goes on. */
function lengthBytesOf(length: number): readonly [half: number, more: Buffer] {
  if (length < 15) return [length, EMPTY];
  return [15, Buffer.concat([Buffer.alloc(Math.floor((length - 15) / 255), 255), Buffer.of((length - 15) % 255)])];
}

function encodeSequence({ literals: bytes, distance, matchBytes }: Sequence): Buffer {
  const [high, more] = lengthBytesOf(bytes.length);
  const [low, moreMatch] = lengthBytesOf(matchBytes - 4);
  return Buffer.concat([Buffer.of((high << 4) | low), more, bytes, Buffer.of(distance & 255, distance >> 8), moreMatch]);
}

/** The simplest decoder there is: byte by byte, with everything in one array. */
function apply(out: number[], { literals: bytes, distance, matchBytes }: Sequence): void {
  out.push(...bytes);
  for (let left = matchBytes; left > 0; left -= 1) out.push(out.at(-distance) ?? 0);
}

/** A frame, and what it must decompress to; a distance that looks back too far is cut to what there is. */
async function encodeFrame({ linked, blockChecksum, contentChecksum, contentSize, blocks }: Frame): Promise<readonly [Buffer, Buffer]> {
  const out: number[] = [];
  const parts: Buffer[] = [];
  for (const { sequences, last, stored } of blocks) {
    const start = out.length;
    const coded: Buffer[] = [];
    for (const one of sequences) {
      const reach = (linked ? out.length : out.length - start) + one.literals.length;
      const distance = Math.min(one.distance, reach);
      if (distance === 0) continue;
      coded.push(encodeSequence({ ...one, distance }));
      apply(out, { ...one, distance });
    }
    const [high, more] = lengthBytesOf(last.length);
    out.push(...last);
    const bytes = stored ? Buffer.from(out.slice(start)) : Buffer.concat([...coded, Buffer.of(high << 4), more, last]);
    parts.push(uint32(bytes.length + (stored ? 0x8000_0000 : 0)), bytes);
    if (blockChecksum) parts.push(uint32(await checksum32(bytes)));
  }
  const raw = Buffer.from(out);
  const size = Buffer.alloc(contentSize ? 8 : 0);
  if (contentSize) size.writeBigUInt64LE(BigInt(raw.length));
  const flags = 0x40 | (linked ? 0 : 0x20) | (blockChecksum ? 0x10 : 0) | (contentSize ? 8 : 0) | (contentChecksum ? 4 : 0);
  const descriptor = Buffer.concat([Buffer.of(flags, 0x40), size]);
  const header = [uint32(0x184d2204), descriptor, Buffer.of(((await checksum32(descriptor)) >>> 8) & 255)];
  return [Buffer.concat([...header, ...parts, uint32(0), ...(contentChecksum ? [uint32(await checksum32(raw))] : [])]), raw];
}

test('decompressLz4() gives what a frame means, however its blocks are made', async () => {
  await fc.assert(
    fc.asyncProperty(anyFrame, fc.integer({ min: 1, max: 5000 }), async (frame, chunkBytes) => {
      const [file, raw] = await encodeFrame(frame);
      assert.ok(raw.equals(await collect(decompressLz4(inChunks(file, chunkBytes), { maxBytes: raw.length }))));
    }),
    { numRuns: 300 },
  );
});

test('decompressLz4() gives bytes or image/bad-lz4 in little time, wherever a frame without checksums lies', async () => {
  const lies = fc.array(fc.tuple(fc.nat(), fc.constantFrom(0, 1, 15, 16, 127, 128, 240, 255)), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(anyFrame, lies, async (frame, changes) => {
      const [file] = await encodeFrame({ ...frame, blockChecksum: false, contentChecksum: false, contentSize: false });
      // Behind the header, whose checksum would catch it.
      for (const [at, value] of changes) file.writeUInt8(value, 7 + (at % (file.length - 7)));
      // Of the processor: whoever else is busy on the machine does not count.
      const before = process.cpuUsage();
      const found = await drain(decompressLz4(inChunks(file, 5000), { maxBytes: 12 << 16 }));
      const { error } = found;
      assert.ok(error === undefined || isGantryError(error, 'image/bad-lz4') || isGantryError(error, 'image/too-long'), String(error));
      assert.ok(found.lengthBytes <= 12 << 16);
      assert.ok(process.cpuUsage(before).user < 2e6);
    }),
    { numRuns: 500 },
  );
});

test('decompressLz4() refuses lengths and distances that lie outside of a block', async () => {
  const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
  const header = Buffer.concat([hex('04224d18 6040'), Buffer.of(((await checksum32(hex('6040'))) >>> 8) & 255)]);
  const decode = async (block: string): Promise<string> => {
    const file = Buffer.concat([header, uint32(hex(block).length), hex(block), uint32(0)]);
    return (await collect(decompressLz4(inChunks(file, 10_000), { maxBytes: MIB }))).toString('latin1');
  };
  assert.equal(await decode('30 616263'), 'abc');
  // A match of distance 1 repeats a byte; of distance 3, three; a far one is copied.
  assert.equal(await decode('10 61 0100 10 62'), 'aaaaab');
  assert.equal(await decode('32 616263 0300 10 64'), 'abcabcabcd');
  assert.equal(await decode('80 6162636465666768 0800 10 7a'), 'abcdefghabcdz');
  for (const [what, block] of [
    ['literals that are missing', '30 6162'],
    ['a length that is missing', 'f0'],
    ['a length that does not end', 'f0 ffffff'],
    ['half an offset', '10 61 01'],
    ['an offset of 0', '10 61 0000 10 62'],
    ['an offset before the start', '10 61 0200 10 62'],
    ['a match that is not followed by literals', '10 61 0100'],
    ['a match length that is missing', '1f 61 0100'],
    ['more than 64 KiB', `1f 61 0100 ${'ff'.repeat(257)}00 10 62`],
  ] as const) {
    await assert.rejects(decode(block), { code: 'image/bad-lz4', message: /damaged/u }, what);
  }
});

test('decompressLz4() lets linked blocks look back into those before, and independent ones not', async () => {
  const first: Block = { sequences: [], last: Buffer.from('wxyz'), stored: true };
  const second: Block = { sequences: [{ literals: EMPTY, distance: 4, matchBytes: 4 }], last: Buffer.from('!'), stored: false };
  const frame = { linked: true, blockChecksum: false, contentChecksum: false, contentSize: false, blocks: [first, second] };
  const [linked] = await encodeFrame(frame);
  const decode = async (file: Buffer): Promise<string> => (await collect(decompressLz4(inChunks(file, 10), { maxBytes: 99 }))).toString();
  assert.equal(await decode(linked), 'wxyzwxyz!');
  const [header] = await encodeFrame({ ...frame, linked: false, blocks: [] });
  await assert.rejects(decode(Buffer.concat([header.subarray(0, 7), linked.subarray(7)])), { code: 'image/bad-lz4', message: /damaged/u });
});

/**
 * Bytes of a target that are handed out only when they are authenticated (design D7).
 *
 * Rules:
 * - a framed image is checked frame by frame against its signed frame table, before anything is decompressed;
 * - anything else is spooled to a private file, checked as a whole, and only then handed out;
 * - the whole file's length and digest are compared in every case; a stream that ends normally was right to its last byte.
 */
import { createHash } from 'node:crypto';
import { inParallel } from '../http/in-parallel.ts';
import { decompressLz4 } from '../image/lz4.ts';
import { measuring } from '../image/measure.ts';
import { decompressOwnFrame, decompressZstd } from '../image/zstd.ts';
import { readImageCustom, type ImageCustom } from '../release/custom.ts';
import { fetchFrames, readFrameTable, type FramedCustom, type VerifiedFrame } from './frames.ts';
import { digestName, receive, refuseAltered, untilHonest, type Chunks, type StreamOptions, type TargetSource } from './receive.ts';
import { openSpool, type Spool } from './spool.ts';
import type { VerifiedTarget } from './target.ts';

/** Frames in flight between the network and the reader. */
const FRAMES_AHEAD = 3;
/** What an image without a signed raw length may decompress to. */
const UNSIGNED_RAW_MAX_BYTES = 64 * 2 ** 30;

/** The published bytes, authenticated. */
export async function* verifiedStream(source: TargetSource, target: VerifiedTarget, options: StreamOptions): Chunks {
  const custom = readImageCustom(target.custom);
  if (custom?.format === 'zstd-frames') {
    for await (const { bytes } of verifiedFrames(source, target, custom, options)) yield bytes;
  } else {
    yield* spooled(source, target, options);
  }
}

/** The raw image: authenticated, decompressed, and compared with the signed raw length and digest. */
export async function* verifiedImageStream(source: TargetSource, target: VerifiedTarget, options: StreamOptions): Chunks {
  const custom = readImageCustom(target.custom);
  const raw = custom?.format === 'zstd-frames' ? decompressedFrames(source, target, custom, options) : undefined;
  yield* comparedImage(target, raw ?? decompressed(target, spooled(source, target, options)));
}

/** The same bytes, compared with what is signed of the raw image at their end. */
export async function* comparedImage(target: VerifiedTarget, chunks: AsyncIterable<Uint8Array>): Chunks {
  const custom = readImageCustom(target.custom);
  const raw = measuring(chunks);
  yield* raw.stream;
  if (custom === undefined) return;
  const { lengthBytes, sha256 } = raw.result();
  refuseAltered(target, String(lengthBytes), String(custom.raw.lengthBytes), 'its raw length');
  refuseAltered(target, sha256, custom.raw.sha256, 'its raw SHA-256');
}

/** The image in published bytes that were authenticated before. */
export function decompressed(target: VerifiedTarget, content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const custom = readImageCustom(target.custom);
  const decompress = decompressorOf(target, custom);
  return decompress === undefined ? content : decompress(content, { maxBytes: custom?.raw.lengthBytes ?? UNSIGNED_RAW_MAX_BYTES });
}

/** Repositories of other tools say nothing of the format but its suffix. */
export function decompressorOf(target: VerifiedTarget, custom: ImageCustom | undefined): typeof decompressLz4 | undefined {
  const name = target.path.memberName();
  if (custom?.format === 'lz4' || name.endsWith('.lz4')) return decompressLz4;
  return name.endsWith('.zst') ? decompressZstd : undefined;
}

/** Small targets wait for the network most of the time; large ones have their own parts on the way. */
const CHECKED_TOGETHER = 4;

/** Several targets, a few at once. @returns how many bytes these were */
export async function checkTargets(source: TargetSource, targets: readonly VerifiedTarget[], options: StreamOptions): Promise<number> {
  let checkedBytes = 0;
  await inParallel(targets, CHECKED_TOGETHER, async (target, stopped) => {
    let own = 0;
    const reach = (bytes: number): void => {
      checkedBytes += bytes - own;
      own = bytes;
    };
    await checkTarget(source, target, {
      ...options,
      signal: options.signal === undefined ? stopped : AbortSignal.any([options.signal, stopped]),
      onProgress: (bytes) => {
        reach(bytes);
        options.onProgress?.(checkedBytes);
      },
    });
    reach(target.lengthBytes);
  });
  return checkedBytes;
}

/** A target's bytes, and the image in them, compared with everything that is signed; nothing is handed out, or kept. */
async function checkTarget(source: TargetSource, target: VerifiedTarget, options: StreamOptions): Promise<void> {
  const custom = readImageCustom(target.custom);
  // What is not decompressed need not be kept until it is known to be right.
  const isPlain = custom === undefined && decompressorOf(target, custom) === undefined;
  await untilHonest(source, async () => {
    for await (const _ of isPlain ? receive(source, target, options) : verifiedImageStream(source, target, options));
  });
}

async function* verifiedFrames(
  source: TargetSource,
  target: VerifiedTarget,
  custom: FramedCustom,
  options: StreamOptions,
): AsyncGenerator<VerifiedFrame, void, undefined> {
  const { signal, onProgress } = options;
  const { frames } = await readFrameTable(source, target, custom, options);
  const digest = createHash(target.digest.algorithm);
  let received = 0;
  const onReceived = (bytes: number): void => {
    received += bytes;
    onProgress?.(received);
  };
  const run = { next: 0, end: frames.length };
  for await (const frame of fetchFrames(source, target, frames, run, { onReceived, ...(signal === undefined ? {} : { signal }) })) {
    digest.update(frame.bytes);
    // A table may have other signers than the image: the last frame is handed out when the whole is what the image's own role says.
    if (frame.index === frames.length - 1) {
      refuseAltered(target, digest.digest('hex'), target.digest.hex, `its ${digestName(target)}`);
    }
    yield frame;
  }
}

async function* decompressedFrames(source: TargetSource, target: VerifiedTarget, custom: FramedCustom, options: StreamOptions): Chunks {
  const ahead: Promise<Uint8Array>[] = [];
  try {
    for await (const { bytes, frame, index } of verifiedFrames(source, target, custom, options)) {
      const raw = decompressOwnFrame(bytes, frame, index);
      // It may fail while we wait for the network; whoever awaits it below still gets the error.
      raw.catch(() => undefined);
      ahead.push(raw);
      if (ahead.length < FRAMES_AHEAD) continue;
      const first = await ahead.shift();
      if (first !== undefined) yield first;
    }
    for (const raw of ahead.splice(0)) yield await raw;
  } finally {
    await Promise.allSettled(ahead);
  }
}

/** Received whole and checked before the first byte is handed out. */
async function* spooled(source: TargetSource, target: VerifiedTarget, options: StreamOptions): Chunks {
  const spool = await untilHonest(source, async () => receivedSpool(source, target, options));
  try {
    yield* spool.read();
  } finally {
    await spool.close();
  }
}

async function receivedSpool(source: TargetSource, target: VerifiedTarget, options: StreamOptions): Promise<Spool> {
  const spool = await openSpool(source.stateDirectory);
  try {
    for await (const chunk of receive(source, target, options)) await spool.write(chunk);
    return spool;
  } catch (error) {
    await spool.close();
    throw error;
  }
}

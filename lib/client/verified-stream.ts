/**
 * Bytes of a target that are handed out only when they are authenticated (design D7).
 *
 * Rules:
 * - a framed image is checked frame by frame against its signed frame table, before anything is decompressed;
 * - anything else is spooled to a private file, checked as a whole, and only then handed out;
 * - the whole file's length and digest are compared in every case; a stream that ends normally was right to its last byte.
 */
import { createHash, hash } from 'node:crypto';
import { GantryError, isGantryError } from '../errors.ts';
import { createAtomicWriter } from '../files/atomic.ts';
import { ByteReader } from '../image/byte-reader.ts';
import { decodeFrameTable, FRAME_TABLE_MAX_BYTES, type Frame, type FrameTable } from '../image/frame-table.ts';
import { decompressLz4 } from '../image/lz4.ts';
import { measuring } from '../image/measure.ts';
import { decompressFrame, decompressZstd } from '../image/zstd.ts';
import { readImageCustom, type ImageCustom } from '../release/custom.ts';
import type { Mirrors, TargetRequest, TargetStream } from './mirrors.ts';
import { openSpool, type Spool } from './spool.ts';
import type { VerifiedTarget } from './target.ts';

export interface StreamOptions {
  readonly signal?: AbortSignal;
  /** Published bytes received so far. */
  readonly onProgress?: (bytes: number) => void;
}

/** What the streams need of the client. */
export interface TargetSource {
  readonly mirrors: Mirrors;
  /** @throws GantryError `client/target-unknown` */
  target(path: string, options: { readonly signal?: AbortSignal }): Promise<VerifiedTarget>;
  /** For spooled files; on the disk of the state, not in memory. */
  readonly stateDirectory: string;
}

type Chunks = AsyncGenerator<Uint8Array, void, undefined>;

/** Frames in flight between the network and the reader. */
const FRAMES_AHEAD = 3;
/** What an image without a signed raw length may decompress to. */
const UNSIGNED_RAW_MAX_BYTES = 64 * 2 ** 30;

/** Where a target lies below the folder of targets, as it stands in a URL. */
function publishedPath({ path, digest }: VerifiedTarget): string {
  return path.publishedName(digest.hex).split('/').map(encodeURIComponent).join('/');
}

function streamOf(source: TargetSource, target: VerifiedTarget, { signal }: StreamOptions, etags: TargetRequest['etags']): TargetStream {
  const request = { totalBytes: target.lengthBytes, etags: etags ?? 'compared', ...(signal === undefined ? {} : { signal }) };
  return source.mirrors.streamTarget(publishedPath(target), request);
}

/** As it comes over the wire, counted and hashed to its end; not authenticated before that. */
async function* receive(
  source: TargetSource,
  target: VerifiedTarget,
  { onProgress, ...options }: StreamOptions,
  stream: TargetStream = streamOf(source, target, options, 'compared'),
): Chunks {
  const { algorithm, hex } = target.digest;
  const digest = createHash(algorithm);
  let received = 0;
  for await (const chunk of stream.chunks) {
    digest.update(chunk);
    received += chunk.length;
    onProgress?.(received);
    yield chunk;
  }
  blaming(source, stream, () => refuseAltered(target, digest.digest('hex'), hex, `its ${nameOf(algorithm)}`));
}

function nameOf(algorithm: VerifiedTarget['digest']['algorithm']): string {
  return algorithm === 'sha256' ? 'SHA-256' : 'SHA-512';
}

/** A mirror that sent what was not signed is not asked again. */
function blaming(source: TargetSource, stream: TargetStream, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (isGantryError(error)) source.mirrors.blame(stream, error.message);
    throw error;
  }
}

/**
 * Begins anew for as long as that may help: when a mirror was dropped and others are left, and once when the file changed on its server.
 *
 * @param attempt hands nothing out before it has succeeded
 */
async function untilHonest<T>(source: TargetSource, attempt: () => Promise<T>): Promise<T> {
  let hasChanged = false;
  for (;;) {
    const before = source.mirrors.count;
    try {
      return await attempt();
    } catch (error) {
      const isChange: boolean = isGantryError(error, 'http/changed') && !hasChanged;
      const wasDropped: boolean = isGantryError(error, 'client/target-altered') && source.mirrors.count < before;
      if (!isChange && !wasDropped) throw error;
      hasChanged ||= isChange;
    }
  }
}

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
  const raw = measuring(rawChunks(source, target, custom, options));
  yield* raw.stream;
  if (custom === undefined) return;
  const { lengthBytes, sha256 } = raw.result();
  refuseAltered(target, String(lengthBytes), String(custom.raw.lengthBytes), 'its raw length');
  refuseAltered(target, sha256, custom.raw.sha256, 'its raw SHA-256');
}

/** A target's bytes, and the image in them, compared with everything that is signed; nothing is handed out, or kept. */
export async function checkTarget(source: TargetSource, target: VerifiedTarget, options: StreamOptions): Promise<void> {
  const custom = readImageCustom(target.custom);
  // What is not decompressed need not be kept until it is known to be right.
  const isPlain = custom === undefined && decompressorOf(target, custom) === undefined;
  await untilHonest(source, async () => {
    for await (const _ of isPlain ? receive(source, target, options) : verifiedImageStream(source, target, options));
  });
}

function rawChunks(source: TargetSource, target: VerifiedTarget, custom: ImageCustom | undefined, options: StreamOptions): Chunks {
  if (custom?.format === 'zstd-frames') return decompressedFrames(source, target, custom, options);
  const content = spooled(source, target, options);
  const decompress = decompressorOf(target, custom);
  return decompress === undefined ? content : decompress(content, { maxBytes: custom?.raw.lengthBytes ?? UNSIGNED_RAW_MAX_BYTES });
}

/** Repositories of other tools say nothing of the format but its suffix. */
function decompressorOf(target: VerifiedTarget, custom: ImageCustom | undefined): typeof decompressLz4 | undefined {
  const name = target.path.memberName();
  if (custom?.format === 'lz4' || name.endsWith('.lz4')) return decompressLz4;
  return name.endsWith('.zst') ? decompressZstd : undefined;
}

interface VerifiedFrame {
  readonly bytes: Uint8Array;
  readonly frame: Frame;
  readonly index: number;
}

async function* verifiedFrames(
  source: TargetSource,
  target: VerifiedTarget,
  custom: ImageCustom & { readonly format: 'zstd-frames' },
  options: StreamOptions,
): AsyncGenerator<VerifiedFrame, void, undefined> {
  const { frames } = await readFrameTable(source, target, custom, options);
  // Every frame is verified by itself, whoever sent it.
  const stream = streamOf(source, target, options, 'ignored');
  const reader = new ByteReader(receive(source, target, options, stream));
  try {
    for (const [index, frame] of frames.entries()) {
      const bytes = await reader.take(frame.lengthBytes);
      blaming(source, stream, () => refuseAltered(target, hash('sha256', bytes, 'hex'), frame.sha256, `the SHA-256 of frame ${index}`));
      // Before the last frame is handed out, the stream is drained: only then has its own digest been compared.
      if (index === frames.length - 1 && !(await reader.atEnd())) refuseAltered(target, 'more bytes', 'its end', 'after the last frame');
      yield { bytes, frame, index };
    }
  } finally {
    await reader.close();
  }
}

async function* decompressedFrames(
  source: TargetSource,
  target: VerifiedTarget,
  custom: ImageCustom & { readonly format: 'zstd-frames' },
  options: StreamOptions,
): Chunks {
  const ahead: Promise<Uint8Array>[] = [];
  try {
    for await (const { bytes, frame, index } of verifiedFrames(source, target, custom, options)) {
      const raw = decompressFrame(bytes, frame, index);
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

/** The frame table is a target of its own; it must describe exactly this image. */
async function readFrameTable(
  source: TargetSource,
  target: VerifiedTarget,
  custom: ImageCustom & { readonly format: 'zstd-frames' },
  options: StreamOptions,
): Promise<FrameTable> {
  const tableTarget = await source.target(custom.frames, options);
  if (tableTarget.lengthBytes > FRAME_TABLE_MAX_BYTES) {
    refuseAltered(tableTarget, `${tableTarget.lengthBytes} bytes`, `at most ${FRAME_TABLE_MAX_BYTES}`, 'its length');
  }
  const table = decodeFrameTable(await fetchVerified(source, tableTarget, options));
  const total = table.frames.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  refuseAltered(target, String(total), String(target.lengthBytes), 'the sum of its frames');
  refuseAltered(target, table.raw.sha256, custom.raw.sha256, 'the raw SHA-256 in its frame table');
  return table;
}

/** A small target as bytes, authenticated. */
export async function fetchVerified(
  source: TargetSource,
  target: VerifiedTarget,
  options: Pick<StreamOptions, 'signal'>,
): Promise<Uint8Array> {
  return untilHonest(source, async () => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of receive(source, target, options)) chunks.push(chunk);
    return Buffer.concat(chunks);
  });
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

/** A file that appears under `path` only when all of it was right. */
export async function writeReceived(source: TargetSource, target: VerifiedTarget, path: string, options: StreamOptions): Promise<void> {
  await untilHonest(source, async () => {
    const writer = await createAtomicWriter(path, { overwrite: 'replace' });
    try {
      for await (const chunk of receive(source, target, options)) await writer.write(chunk);
      await writer.commit();
    } catch (error) {
      await writer.discard();
      throw error;
    }
  });
}

function refuseAltered(target: VerifiedTarget, found: string, expected: string, what: string): void {
  if (found === expected) return;
  const path = target.path.memberName();
  throw new GantryError('client/target-altered', `Cannot accept ${path}: ${what} is ${found}; the signed metadata says ${expected}`, {
    path,
    expected,
    found,
  });
}

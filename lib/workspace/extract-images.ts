/**
 * Images out of a disk image, as files.
 *
 * Rules:
 * - the files appear when all of them are complete and synced, and the disk image was the same all the while; otherwise there is none;
 * - runs of zeros become holes.
 */
import { createHash } from 'node:crypto';
import { rm, rmdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GantryError, quote, refuseAborted } from '../errors.ts';
import { createAtomicWriter, makeFolders, type AtomicWriter } from '../files/atomic.ts';
import { openStableFile } from '../files/read.ts';
import type { SetRole } from '../image/partition-roles.ts';
import type { DiskSet } from './disk-image.ts';

export interface ExtractOptions {
  /** Where each image goes; the folder is made. */
  readonly paths: Readonly<Record<SetRole, string>>;
  readonly overwrite: 'replace' | 'refuse';
  readonly signal?: AbortSignal;
  /** Told the bytes of all images that were read so far. */
  readonly onProgress?: (bytes: number) => void;
}

export interface ExtractedImage {
  readonly image: SetRole;
  readonly path: string;
  readonly lengthBytes: number;
  /** 64 lowercase hexadecimal digits. */
  readonly sha256: string;
}

const IMAGES: readonly SetRole[] = ['boot', 'root', 'hash'];
/** Smaller runs of zeros are written: a hole costs a file system some bookkeeping. */
const HOLE_BYTES = 1 << 16;
const HOLE: Buffer = Buffer.alloc(HOLE_BYTES);

/** @throws GantryError `files/exists` unless they may be replaced */
export async function refuseExisting({ paths, overwrite }: Pick<ExtractOptions, 'paths' | 'overwrite'>): Promise<void> {
  if (overwrite === 'replace') return;
  for (const path of Object.values(paths)) {
    if ((await stat(path).catch(() => undefined)) === undefined) continue;
    throw new GantryError('files/exists', `Cannot write ${quote(path)}: it is there already; expected another directory, or --force`, {
      path,
    });
  }
}

/** @throws GantryError `files/exists`, `files/not-writable`, `files/disk-full`, `files/changed`, `aborted` */
export async function extractImages({ images }: DiskSet, options: ExtractOptions): Promise<readonly ExtractedImage[]> {
  await refuseExisting(options);
  const folder = dirname(options.paths.boot);
  const isNew = (await stat(folder).catch(() => undefined)) === undefined;
  await makeFolders(folder);
  const writers: AtomicWriter[] = [];
  const committed: string[] = [];
  try {
    const extracted: ExtractedImage[] = [];
    let before = 0;
    for (const image of IMAGES) {
      const { source } = images[image];
      const writer = await createAtomicWriter(options.paths[image], { overwrite: options.overwrite });
      writers.push(writer);
      const base = before;
      const sha256 = await copyImage(source, writer, (bytes) => {
        refuseAborted(options.signal);
        options.onProgress?.(base + bytes);
      });
      before += source.lengthBytes;
      extracted.push({ image, path: options.paths[image], lengthBytes: source.lengthBytes, sha256 });
    }
    for (const [index, writer] of writers.entries()) {
      await writer.commit();
      committed.push(extracted[index]?.path ?? '');
    }
    return extracted;
  } catch (error) {
    await Promise.all(writers.map(async (writer) => writer.discard()));
    if (options.overwrite === 'refuse') await Promise.all(committed.map(async (path) => rm(path, { force: true })));
    if (isNew) await rmdir(folder).catch(() => undefined);
    throw error;
  }
}

async function copyImage(
  source: DiskSet['images']['boot']['source'],
  writer: AtomicWriter,
  onBytes: (bytes: number) => void,
): Promise<string> {
  const file = await openStableFile(source);
  try {
    const digest = createHash('sha256');
    let position = 0;
    for await (const chunk of file.read('shared')) {
      digest.update(chunk);
      await writeWithHoles(writer, chunk, { position, isLast: position + chunk.length === file.lengthBytes });
      position += chunk.length;
      onBytes(position);
    }
    await file.assertUnchanged();
    return digest.digest('hex');
  } finally {
    await file.close();
  }
}

/** The last bytes are always written: they give the file its length. */
async function writeWithHoles(
  writer: AtomicWriter,
  chunk: Uint8Array,
  { position, isLast }: { readonly position: number; readonly isLast: boolean },
): Promise<void> {
  let from = 0;
  for (let at = 0; at < chunk.length; at += HOLE_BYTES) {
    const end = Math.min(at + HOLE_BYTES, chunk.length);
    const isEnd = isLast && end === chunk.length;
    if (isEnd || !HOLE.subarray(0, end - at).equals(chunk.subarray(at, end))) continue;
    if (at > from) await writer.write(chunk.subarray(from, at), position + from);
    from = end;
  }
  if (from < chunk.length) await writer.write(chunk.subarray(from), position + from);
}

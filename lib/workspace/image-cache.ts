/**
 * Compressed images that were made before, so that they are not made again: `.gantry/cache/START-SHA256-FORM/`.
 *
 * START are digits of the digest of the raw image's first mebibyte, which shows cheaply whether an image may be here; SHA256 is the raw
 * image's; FORM says what was made of it, by which version of what. A folder holds `object`, for framed images `frames`, and `entry`,
 * which says what they are and ends with its own digest.
 *
 * Rules:
 * - an entry appears whole, by renaming its folder; files in it never change, and share their bytes with the workspace's objects;
 * - what is taken out is compared with its digests first; an entry that is damaged is thrown away, and its image made anew;
 * - several processes may use it at once: each takes a name of its own for what it reads before it looks at it;
 * - what was used longest ago goes when all of it is more than the limit;
 * - a cache that cannot be written costs time, and never a release.
 */
import { hash, randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { GantryError, isGantryError, type ErrorCode } from '../errors.ts';
import { syncFolder, writeNewFile } from '../files/atomic.ts';
import { linkOrCopy } from '../files/link.ts';
import { openStableFile, readWholeFile } from '../files/read.ts';
import { decodeFrameTable, FRAME_TABLE_MAX_BYTES } from '../image/frame-table.ts';
import { measure } from '../image/measure.ts';
import { isMadeOf } from '../image/zstd.ts';
import { parseSha256Hex } from '../tuf/hash.ts';
import type { Sha256Hex } from '../tuf/types.ts';
import { ensureObjects, objectPath, type ObjectRef } from './objects.ts';
import { privatePath, type Workspace } from './workspace.ts';

/** 4 GiB, unless `gantry.toml` says otherwise. */
export const CACHE_DEFAULT_MAX_BYTES: number = 4 * 2 ** 30;
const ENTRY_MAX_BYTES = 4096;
const START_DIGITS = 16;
const NAME = new RegExp(`^[0-9a-f]{${START_DIGITS}}-([0-9a-f]{64})-([a-z0-9.-]{1,60})$`, 'u');
const NOT_ITS_FAULT: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['files/disk-full', 'files/not-writable', 'image/worker-died']);
/** Folders that a process died over are removed after this time. */
const LEFT_BEHIND_MS = 3_600_000;

/** An image in one published form. */
export interface CachedImage {
  readonly raw: ObjectRef;
  readonly object: ObjectRef;
  /** The frame table. */
  readonly frames?: ObjectRef;
  /** What was found out about the raw image when the form was made. */
  readonly verity?: VerityMark;
}

/** The root hash that a raw image of so many blocks has with a salt: both hexadecimal digits. */
export interface VerityMark {
  readonly rootHash: string;
  readonly salt: string;
  readonly dataBlocks: number;
}

export interface CacheEntry {
  readonly name: string;
  readonly rawSha256: Sha256Hex;
  readonly form: string;
  readonly bytes: number;
  readonly usedAt: Date;
}

const ref = z.strictObject({
  sha256: z.string().transform((text) => parseSha256Hex(text)),
  lengthBytes: z.int().nonnegative(),
});
const mark = z.strictObject({
  rootHash: z.string().regex(/^[0-9a-f]{64}$/u),
  salt: z.string().regex(/^(?:[0-9a-f]{2}){0,256}$/u),
  dataBlocks: z.int().positive(),
});
const schema = z.strictObject({ raw: ref, object: ref, frames: ref.optional(), verity: mark.optional() });

/** The part of an entry's name that the first mebibyte decides. */
export function startOf(firstBytes: Uint8Array): string {
  return hash('sha256', firstBytes, 'hex').slice(0, START_DIGITS);
}

/** Names of entries that may be an image with this start in this form. */
export async function candidatesFor(workspace: Workspace, start: string, form: string): Promise<readonly string[]> {
  const names = await namesIn(workspace);
  return names.filter((name) => name.startsWith(`${start}-`) && NAME.exec(name)?.[2] === form);
}

/** The name of the entry of this image in this form. */
export function entryName(start: string, rawSha256: string, form: string): string {
  return `${start}-${rawSha256}-${form}`;
}

/** What was taken out, compared with its digests, and is not among the objects yet. */
export interface TakenImage {
  readonly image: CachedImage;
  /** Puts it among the objects. */
  accept(): Promise<void>;
  discard(): Promise<void>;
}

/**
 * Takes an entry out. Nothing when there is none, or when it was damaged: then it is there no longer.
 *
 * @throws GantryError `aborted`
 */
export async function takeOut(workspace: Workspace, name: string, signal?: AbortSignal): Promise<TakenImage | undefined> {
  const folder = cachePath(workspace, name);
  await ensureObjects(workspace);
  const held: string[] = [];
  const hold = async (file: string): Promise<string> => {
    const path = objectPath(workspace, `incoming-${randomUUID()}`);
    await linkOrCopy(join(folder, file), path);
    held.push(path);
    return path;
  };
  const discard = async (): Promise<void> => {
    await Promise.all(held.map(async (path) => rm(path, { force: true })));
  };
  try {
    const image = await readEntry(folder, name);
    const object = await hold('object');
    const frames = image.frames === undefined ? undefined : await hold('frames');
    if (!(await isWhole(image, object, frames, signal))) throw damaged(name);
    const accept = async (): Promise<void> => {
      await rename(object, objectPath(workspace, image.object.sha256));
      if (frames !== undefined && image.frames !== undefined) await rename(frames, objectPath(workspace, image.frames.sha256));
      // Renaming one name of a file to another of its names does nothing.
      await discard();
      await syncFolder(objectPath(workspace, '.'));
      const now = new Date();
      await utimes(folder, now, now).catch(() => undefined);
    };
    return { image, accept, discard };
  } catch (error) {
    await discard();
    if (isGantryError(error, 'aborted')) throw error;
    // What says nothing of the entry does not cost it its place.
    if (!(isGantryError(error) && NOT_ITS_FAULT.has(error.code))) await remove(workspace, name);
    return undefined;
  }
}

/** @throws GantryError, or an error of the parser, for whatever was not written by `keep` */
async function readEntry(folder: string, name: string): Promise<CachedImage> {
  const bytes = await readWholeFile(join(folder, 'entry'), { maxBytes: ENTRY_MAX_BYTES });
  const [text = '', digest] = Buffer.from(bytes).toString('utf8').split('\n');
  if (digest !== hash('sha256', text)) throw damaged(name);
  const { raw, object, frames, verity } = schema.parse(JSON.parse(text));
  if (raw.sha256 !== NAME.exec(name)?.[1]) throw damaged(name);
  return { raw, object, ...(frames === undefined ? {} : { frames }), ...(verity === undefined ? {} : { verity }) };
}

async function isWhole(image: CachedImage, object: string, frames: string | undefined, signal: AbortSignal | undefined): Promise<boolean> {
  const file = await openStableFile(object);
  try {
    if (file.lengthBytes !== image.object.lengthBytes) return false;
    if (frames === undefined) return (await measure(file.read('shared'))).sha256 === image.object.sha256;
    const bytes = await readWholeFile(frames, { maxBytes: FRAME_TABLE_MAX_BYTES });
    if (hash('sha256', bytes) !== image.frames?.sha256) return false;
    // The entry and the table are right, so frames that are the table's are the object's too.
    const table = decodeFrameTable(bytes);
    return table.raw.sha256 === image.raw.sha256 && (await isMadeOf(file.read(), table.frames, signal === undefined ? {} : { signal }));
  } finally {
    await file.close();
  }
}

/** Remembers an image whose bytes lie among the objects, and makes room for it. */
export async function keep(workspace: Workspace, name: string, image: CachedImage, maxBytes: number): Promise<void> {
  if (image.object.lengthBytes > maxBytes) return;
  const incoming = cachePath(workspace, `.incoming-${randomUUID()}`);
  try {
    await mkdir(incoming, { recursive: true });
    await linkOrCopy(objectPath(workspace, image.object.sha256), join(incoming, 'object'));
    if (image.frames !== undefined) await linkOrCopy(objectPath(workspace, image.frames.sha256), join(incoming, 'frames'));
    const text = JSON.stringify({ raw: image.raw, object: image.object, frames: image.frames, verity: image.verity });
    await writeNewFile(join(incoming, 'entry'), `${text}\n${hash('sha256', text)}\n`);
    await rename(incoming, cachePath(workspace, name));
    await syncFolder(cachePath(workspace, '.'));
    await trim(workspace, maxBytes);
  } catch (error) {
    // Another process may have been faster; a full disk is found out by what needs it.
    if (!isGantryError(error) && !(error instanceof Error && 'code' in error)) throw error;
    await rm(incoming, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Every entry, the one used last first. */
export async function listCache(workspace: Workspace): Promise<readonly CacheEntry[]> {
  const entries = await Promise.all((await namesIn(workspace)).map(async (name) => describe(workspace, name)));
  return entries.flatMap((entry) => entry ?? []).toSorted((a, b) => b.usedAt.getTime() - a.usedAt.getTime());
}

async function describe(workspace: Workspace, name: string): Promise<CacheEntry | undefined> {
  const [, rawSha256, form] = NAME.exec(name) ?? [];
  const folder = cachePath(workspace, name);
  const found = await stat(folder).catch(() => undefined);
  if (rawSha256 === undefined || form === undefined || found === undefined) return undefined;
  const sizes = await Promise.all(
    ['object', 'frames', 'entry'].map(async (file) => (await stat(join(folder, file)).catch(() => undefined))?.size ?? 0),
  );
  return {
    name,
    rawSha256: parseSha256Hex(rawSha256),
    form,
    bytes: sizes.reduce((sum, size) => sum + size, 0),
    usedAt: found.mtime,
  };
}

/** Removes these entries; those that are gone already are no error. */
export async function removeEntries(workspace: Workspace, entries: readonly CacheEntry[]): Promise<void> {
  for (const { name } of entries) await remove(workspace, name);
}

async function trim(workspace: Workspace, maxBytes: number): Promise<void> {
  let bytes = 0;
  const tooMuch: CacheEntry[] = [];
  for (const entry of await listCache(workspace)) {
    bytes += entry.bytes;
    if (bytes > maxBytes) tooMuch.push(entry);
  }
  await removeEntries(workspace, tooMuch);
  await removeLeftovers(workspace);
}

async function removeLeftovers(workspace: Workspace): Promise<void> {
  const names = (await readdir(cachePath(workspace, '.')).catch(() => [])).filter((name) => name.startsWith('.'));
  for (const name of names) {
    const found = await stat(cachePath(workspace, name)).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > LEFT_BEHIND_MS)
      await rm(cachePath(workspace, name), { recursive: true, force: true });
  }
}

/** Out of sight first, so that nobody finds a half of it. */
async function remove(workspace: Workspace, name: string): Promise<void> {
  const gone = cachePath(workspace, `.removed-${randomUUID()}`);
  const isMine = await rename(cachePath(workspace, name), gone).then(
    () => true,
    () => false,
  );
  if (isMine) await rm(gone, { recursive: true, force: true });
}

async function namesIn(workspace: Workspace): Promise<readonly string[]> {
  return (await readdir(cachePath(workspace, '.')).catch(() => [])).filter((name) => NAME.test(name));
}

function cachePath(workspace: Workspace, name: string): string {
  return privatePath(workspace, 'cache', name);
}

function damaged(name: string): GantryError {
  return new GantryError('files/changed', `Cannot use the cached image ${name}: it is damaged; expected what was put there`, {
    path: name,
  });
}

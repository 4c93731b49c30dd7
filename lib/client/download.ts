/**
 * Downloads that survive the process, the machine and the mirror (docs/downloads.md).
 *
 * Rules:
 * - nothing that was not verified to its last byte ever has the final name: a private file beside it is synced, and renamed last;
 * - a slot or device is written in place; whoever marks it as valid reads it back first;
 * - what an earlier download left is a hint: frames are read back and compared with the signed table, anything else with the digest of
 *   the whole, which is that of what is on the disk;
 * - what was refused leaves no bytes behind, and neither does a full disk; what was interrupted stays for the next call;
 * - two downloads to one place wait for each other.
 */
import { resolve } from 'node:path';
import { isGantryError, refuseAborted } from '../errors.ts';
import { refuseNotFile } from '../files/atomic.ts';
import { withLock } from '../files/lock.ts';
import { readImageCustom } from '../release/custom.ts';
import { commitPartial, commitInPlace } from './download-place.ts';
import { besideFile, closeSession, inState, openSession, removeFiles } from './download-session.ts';
import type { Content, Session, SessionRequest } from './download-session.ts';
import { fillBytes } from './fill-bytes.ts';
import { fillFrames } from './fill-frames.ts';
import { readFrameTable } from './frames.ts';
import type { TargetStream } from './mirrors.ts';
import { blaming, digestName, refuseAltered, type StreamOptions, type TargetSource } from './receive.ts';
import type { VerifiedTarget } from './target.ts';
import { unpackTo } from './unpack.ts';
import { decompressorOf } from './verified-stream.ts';

/** What is written, and how. */
export interface DownloadOptions extends StreamOptions {
  /** `published` by default, as it is stored; `image` is the image in it, decompressed. */
  readonly form?: 'published' | 'image';
  /** `replace` by default; `in-place` for a slot or block device that is there and large enough: its old content is lost at once. */
  readonly write?: 'replace' | 'in-place';
}

/** What a download has done, in bytes. */
export interface DownloadReport {
  readonly writtenBytes: number;
  /** Published bytes that came over the network. */
  readonly receivedBytes: number;
  /** Published bytes that an earlier download had left, and that were used. */
  readonly keptBytes: number;
}

/** How long another download to the same place is waited for. */
const LOCK_WAIT_MS = 60_000;

interface Job {
  readonly source: TargetSource;
  readonly target: VerifiedTarget;
  readonly destination: string;
  readonly options: DownloadOptions;
}

/** @throws GantryError `client/target-altered`, `client/target-unknown`, `image/…`, `http/…`, `files/…`, `aborted` */
export async function downloadTarget(
  source: TargetSource,
  target: VerifiedTarget,
  file: string,
  options: DownloadOptions,
): Promise<DownloadReport> {
  const { write = 'replace', signal } = options;
  refuseAborted(signal);
  const job: Job = { source, target, destination: resolve(file), options };
  if (write === 'replace') await refuseNotFile(job.destination);
  const lock = { waitMs: LOCK_WAIT_MS, after: 'remove' as const, ...(signal === undefined ? {} : { signal }) };
  return withLock(nameIn(job, 'lock'), lock, async () => {
    const { form = 'published' } = options;
    const custom = readImageCustom(target.custom);
    const isPacked = form === 'image' && custom?.format !== 'zstd-frames' && decompressorOf(target, custom) !== undefined;
    return isPacked ? downloadPacked(job) : downloadStraight(job, form);
  });
}

function nameIn({ source, destination, options }: Job, what: string): string {
  return options.write === 'in-place' ? inState(source, destination, what) : besideFile(destination, what);
}

/** What is written is what comes, frame by frame or as a whole. */
async function downloadStraight(job: Job, form: 'published' | 'image'): Promise<DownloadReport> {
  const { destination, options } = job;
  const isInPlace = options.write === 'in-place';
  const files = { destination, partial: isInPlace ? undefined : nameIn(job, 'part'), journal: nameIn(job, 'journal') };
  const content = await contentOf(job, form);
  const { session, ...counts } = await filled({ ...job, content, files });
  try {
    await (isInPlace ? commitInPlace(session.place) : commitPartial(session.place, destination));
  } finally {
    await closeSession(session);
  }
  await removeFiles(files);
  return { writtenBytes: content.lengthBytes, ...counts };
}

/** Fetched as it is published, verified as a whole, and only then decompressed. */
async function downloadPacked(job: Job): Promise<DownloadReport> {
  const { destination, options } = job;
  const files = { destination, partial: nameIn(job, 'packed'), journal: nameIn(job, 'journal') };
  const { session, ...counts } = await filled({ ...job, content: await contentOf(job, 'published'), files });
  try {
    const writtenBytes = await unpackTo(session, { destination, write: options.write ?? 'replace' });
    await removeFiles(files);
    return { writtenBytes, ...counts };
  } catch (error) {
    if (isRefusal(error)) await removeFiles(files);
    throw error;
  } finally {
    await closeSession(session);
  }
}

async function contentOf({ source, target, options }: Job, form: 'published' | 'image'): Promise<Content> {
  const custom = readImageCustom(target.custom);
  const published = { form: 'published', lengthBytes: target.lengthBytes, digest: target.digest } as const;
  if (custom?.format !== 'zstd-frames') return { ...published, table: undefined };
  const table = await readFrameTable(source, target, custom, options);
  if (form === 'published') return { ...published, table };
  return { form, lengthBytes: custom.raw.lengthBytes, digest: { algorithm: 'sha256', hex: custom.raw.sha256 }, table };
}

interface Filled {
  readonly session: Session;
  readonly receivedBytes: number;
  readonly keptBytes: number;
}

/** Everything is there, and the digest of the whole is what is signed. */
async function filled(request: SessionRequest): Promise<Filled> {
  const { source, options } = request;
  let hasRestarted = false;
  let receivedBytes = 0;
  const onReceived = (bytes: number): void => {
    receivedBytes += bytes;
  };
  for (;;) {
    const mirrors = source.mirrors.count;
    const session = await openSession(request, onReceived);
    const sent: { stream?: Pick<TargetStream, 'servedBy'> } = {};
    try {
      await fill(session, sent);
      return { session, receivedBytes, keptBytes: session.keptBytes };
    } catch (error) {
      await closeSession(session);
      if (isRefusal(error) || !session.journal.isWorthKeeping) await removeFiles(request.files);
      // A mirror less is progress; anything else is tried once more only.
      const isDropped = isGantryError(error, 'client/target-altered') && source.mirrors.count < mirrors;
      const isStale = !hasRestarted && mayBeStale(error, session, sent.stream);
      if (session.content.table !== undefined || !(isDropped || isStale)) throw error;
      hasRestarted ||= !isDropped;
      refuseAborted(options.signal);
    }
  }
}

/** Bytes of different times or places can be wrong together although nobody lies. */
function mayBeStale(error: unknown, { kept }: Session, stream: Pick<TargetStream, 'servedBy'> | undefined): boolean {
  if (isGantryError(error, 'http/changed')) return true;
  return isGantryError(error, 'client/target-altered') && (kept.bytes > 0 || (stream?.servedBy.size ?? 0) > 1);
}

async function fill(session: Session, sent: { stream?: Pick<TargetStream, 'servedBy'> }): Promise<void> {
  const { source, target, content, digest, kept } = session;
  const { table, form } = content;
  if (table === undefined) sent.stream = await fillBytes(session);
  else await fillFrames({ ...session, table });
  const found = await digest.finish();
  const what = form === 'image' ? 'its raw SHA-256' : `its ${digestName(target)}`;
  const compare = (): void => refuseAltered(target, found, content.digest.hex, what);
  // Who sent the rest of what an earlier download has begun is not to blame for it.
  if (sent.stream === undefined || kept.bytes > 0) compare();
  else blaming(source, sent.stream, compare);
}

/** What was refused, or filled the disk, is removed; what was interrupted is gone on with by the next download. */
function isRefusal(error: unknown): boolean {
  if (!isGantryError(error)) return false;
  const { code } = error;
  return /^(?:client|image|release)\//u.test(code) || code === 'http/changed' || code === 'http/too-long' || code === 'files/disk-full';
}

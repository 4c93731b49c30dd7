/**
 * One place that is being filled: what is there already, the journal beside it, and the digest of what is on the disk.
 *
 * Rules:
 * - what an earlier download has left is used only where the journal is of this download, and its frames are what is signed;
 * - what cannot be used is discarded, and said.
 */
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { quote } from '../errors.ts';
import { DownloadJournal, readJournal, type DownloadIdentity, type JournalState, type Kept } from './download-journal.ts';
import { createPartial, isThere, openInPlace, reopenPartial, type Place } from './download-place.ts';
import { FileDigest } from './file-digest.ts';
import type { SignedFrames } from './frames.ts';
import { framesThatHold } from './kept-frames.ts';
import type { StreamOptions, TargetSource } from './receive.ts';
import type { TargetDigest, VerifiedTarget } from './target.ts';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

export interface SessionFiles {
  /** What it is called in messages. */
  readonly destination: string;
  /** The private file; undefined when the destination is written in place. */
  readonly partial: string | undefined;
  readonly journal: string;
}

/** What is to be written, and what it is compared with in the end. */
export interface Content {
  readonly form: 'published' | 'image';
  readonly lengthBytes: number;
  readonly digest: TargetDigest;
  readonly table: SignedFrames | undefined;
}

export interface Session {
  readonly source: TargetSource;
  readonly target: VerifiedTarget;
  readonly content: Content;
  readonly place: Place;
  readonly journal: DownloadJournal;
  readonly digest: FileDigest;
  readonly kept: Kept;
  /** Of the published file. */
  readonly keptBytes: number;
  readonly signal: AbortSignal | undefined;
  /** Told the length of every chunk that comes. */
  readonly onReceived: (bytes: number) => void;
}

export interface SessionRequest {
  readonly source: TargetSource;
  readonly target: VerifiedTarget;
  readonly content: Content;
  readonly files: SessionFiles;
  readonly options: StreamOptions;
}

/** The names of what lies beside a file: hidden, and the same in every run. */
export function besideFile(file: string, what: string): string {
  return join(dirname(file), `.${shortName(file)}.${shortHash(basename(file))}.gantry-${what}`);
}

/** For what is written in place: a device's own folder forgets everything when the machine is off. */
export function inState(source: TargetSource, file: string, what: string): string {
  return join(source.stateDirectory, `download-${shortName(file)}.${shortHash(file)}.${what}`);
}

/** As much of it as fits beside the rest. */
function shortName(file: string): string {
  return basename(file).slice(0, 60);
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** @param onBytes told the length of every chunk that comes */
export async function openSession(request: SessionRequest, onBytes: (bytes: number) => void): Promise<Session> {
  const { source, target, content, files, options } = request;
  const bootId = await readBootId();
  const identity = identityOf(request);
  const state = await readJournal(files.journal, identity, bootId);
  const left = await openLeft(request, state);
  const { place } = left;
  try {
    const kept = await keptOf(request, place, left.kept);
    if (kept.bytes > 0) await place.handle.datasync();
    const journal = await DownloadJournal.begin(files.journal, identity, kept, bootId);
    const digest = new FileDigest(place, content.digest.algorithm, content.lengthBytes);
    const keptBytes = keptPublishedBytes(content, kept);
    let have = keptBytes;
    const onReceived = (bytes: number): void => {
      have += bytes;
      onBytes(bytes);
      options.onProgress?.(have);
    };
    return { source, target, content, place, journal, digest, kept, keptBytes, signal: options.signal, onReceived };
  } catch (error) {
    await place.handle.close();
    throw error;
  }
}

/** Ends it as it is; what was written stays. */
export async function closeSession({ digest, journal, place }: Session): Promise<void> {
  await digest.close();
  await journal.close().catch(() => undefined);
  await place.handle.close().catch(() => undefined);
}

/** Nothing of it is of use any more. A slot keeps its bytes. */
export async function removeFiles({ partial, journal }: SessionFiles): Promise<void> {
  if (partial !== undefined) await rm(partial, { force: true });
  await rm(journal, { force: true });
}

function identityOf({ target, content, files }: SessionRequest): DownloadIdentity {
  const { form, lengthBytes, table } = content;
  return {
    target: target.path.memberName(),
    digest: `${target.digest.algorithm}:${target.digest.hex}`,
    lengthBytes,
    form,
    ...(table === undefined ? {} : { table: table.sha256 }),
    ...(files.partial === undefined ? { place: files.destination } : {}),
  };
}

async function openLeft(
  { source, content, files }: SessionRequest,
  state: JournalState,
): Promise<{ readonly place: Place; readonly kept: Kept | undefined }> {
  const { lengthBytes } = content;
  const kept = state.is === 'usable' ? state.kept : undefined;
  const discarded = (why: string): void =>
    source.notice(`What an earlier download to ${quote(files.destination)} has left is discarded: ${why}.`);
  if (state.is === 'useless') discarded(`the journal cannot be used: ${state.why}`);
  if (state.is === 'usable' && state.damage !== undefined) {
    source.notice(
      `The journal of an earlier download to ${quote(files.destination)} is damaged: ${state.damage}; what follows is ignored.`,
    );
  }
  if (files.partial === undefined) return { place: await openInPlace(files.destination, lengthBytes), kept };
  const left = kept === undefined ? undefined : await reopenPartial(files.partial, lengthBytes, kept.mode);
  if (left !== undefined) return { place: left, kept };
  if (kept !== undefined && (await isThere(files.partial))) discarded('the file is not as it was written');
  return { place: await createPartial(files.partial, lengthBytes), kept: undefined };
}

/** What of it has proved true. */
async function keptOf({ source, content, files, options }: SessionRequest, place: Place, named: Kept | undefined): Promise<Kept> {
  const { table, form } = content;
  const { mode } = place;
  if (named === undefined) return { frames: new Set(), bytes: 0, etags: new Map(), mode };
  if (table === undefined) return { ...named, frames: new Set(), mode };
  const frames = await framesThatHold(place, table, named.frames, { form, signal: options.signal });
  const lost = named.frames.size - frames.size;
  if (lost > 0) {
    source.notice(
      `${lost} of the frames that the journal of ${quote(files.destination)} names are not what is signed, and are fetched again.`,
    );
  }
  return { frames, bytes: 0, etags: new Map(), mode };
}

/** Of the published file. */
function keptPublishedBytes({ table }: Content, { frames, bytes }: Kept): number {
  return [...frames].reduce((sum, index) => sum + (table?.frames[index]?.lengthBytes ?? 0), bytes);
}

/** Changes whenever the machine starts. */
async function readBootId(): Promise<string | undefined> {
  const text = await readFile(BOOT_ID, 'utf8').catch(() => undefined);
  return text?.trim();
}

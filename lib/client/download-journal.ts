/**
 * What a download has written so far, beside it: lines of text that survive the process (docs/formats.md, "The journal of a download").
 *
 * Rules:
 * - it is a hint: whoever goes on reads back what it names, and compares it with what is signed;
 * - the first line says what is downloaded; when that is something else, or cannot be read, all of it is discarded;
 * - a line counts when it is whole; behind one that makes no sense nothing counts;
 * - bytes of a target without frames count as written for as long as the machine runs, and for longer only once they were synced.
 */
import { writeSync } from 'node:fs';
import { open, readFile, stat, type FileHandle } from 'node:fs/promises';
import { writeFileAtomic } from '../files/atomic.ts';
import { fromSystemError } from '../files/read.ts';
import { FRAME_RAW_BYTES } from '../image/frame-table.ts';

const FORMAT = 'gantry-download 1';
/** The longest that is ever written has a quarter of it. */
const MAX_BYTES = 16 << 20;
const MODE_BITS = 0o777;

/** Everything that must be the same for bytes to be of use again. */
export interface DownloadIdentity {
  readonly target: string;
  /** As it is signed, with its algorithm. */
  readonly digest: string;
  readonly lengthBytes: number;
  readonly form: 'published' | 'image';
  /** SHA-256 of the frame table. */
  readonly table?: string;
  /** The file or device that is written in place. */
  readonly place?: string;
}

export interface Kept {
  /** Numbers of frames. */
  readonly frames: ReadonlySet<number>;
  /** From the beginning, of a target without frames. */
  readonly bytes: number;
  /** By the URL of a mirror's targets. */
  readonly etags: ReadonlyMap<string, string>;
  /** Permission bits of the file that it shall be. */
  readonly mode: number;
}

export type JournalState =
  | { readonly is: 'missing' }
  | { readonly is: 'useless'; readonly why: string }
  | { readonly is: 'usable'; readonly kept: Kept; readonly damage?: string };

/** @param bootId what differs after the machine has been off; undefined when that cannot be known */
export async function readJournal(path: string, identity: DownloadIdentity, bootId: string | undefined): Promise<JournalState> {
  const text = await readBounded(path);
  if (text === undefined) return { is: 'missing' };
  const [first = '', ...lines] = text.split('\n');
  const header = parseHeader(first);
  if (header === undefined) return { is: 'useless', why: 'it cannot be read' };
  if (header.identity !== identityText(identity)) return { is: 'useless', why: 'it is of another download' };
  // What follows the last end of a line was cut off while it was written.
  return {
    is: 'usable',
    ...readLines(lines.slice(0, -1), identity, { mode: header.mode, isSameBoot: bootId !== undefined && header.bootId === bootId }),
  };
}

async function readBounded(path: string): Promise<string | undefined> {
  try {
    // No header is empty.
    if ((await stat(path)).size > MAX_BYTES) return '';
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw fromSystemError(error, path, 'read');
  }
}

interface Header {
  readonly identity: string;
  readonly bootId: string | undefined;
  readonly mode: number;
}

function identityText({ target, digest, lengthBytes, form, table, place }: DownloadIdentity): string {
  return JSON.stringify([target, digest, lengthBytes, form, table ?? null, place ?? null]);
}

function headerText(identity: DownloadIdentity, bootId: string | undefined, mode: number): string {
  return `${JSON.stringify({ format: FORMAT, download: identityText(identity), boot: bootId ?? null, mode })}\n`;
}

function parseHeader(line: string): Header | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('format' in value) || value.format !== FORMAT) return undefined;
  if (!('download' in value) || typeof value.download !== 'string' || !('boot' in value) || !('mode' in value)) return undefined;
  const { download, boot, mode } = value;
  if (typeof mode !== 'number' || !Number.isInteger(mode) || (mode & ~MODE_BITS) !== 0) return undefined;
  return { identity: download, bootId: typeof boot === 'string' ? boot : undefined, mode };
}

function readLines(
  lines: readonly string[],
  { lengthBytes }: DownloadIdentity,
  { mode, isSameBoot }: { readonly mode: number; readonly isSameBoot: boolean },
): { readonly kept: Kept; readonly damage?: string } {
  const frames = new Set<number>();
  const etags = new Map<string, string>();
  let bytes = 0;
  let damage: string | undefined;
  for (const [index, line] of lines.entries()) {
    const [, frame, kind, count] = /^(?:frame ([0-9]{1,6})|(written|synced) ([0-9]{1,16}))$/u.exec(line) ?? [];
    const etag = /^etag ("[^" ]{0,300}") ([^ ]{1,4000})$/u.exec(line);
    if (frame !== undefined) frames.add(Number(frame));
    else if (Number(count) <= lengthBytes) bytes = kind === 'synced' || isSameBoot ? Math.max(bytes, Number(count)) : bytes;
    else if (etag?.[1] !== undefined && etag[2] !== undefined) etags.set(etag[2], etag[1]);
    else {
      damage = `line ${index + 2} makes no sense`;
      break;
    }
  }
  return { kept: { frames, bytes, etags, mode }, ...(damage === undefined ? {} : { damage }) };
}

/** Written to while the download goes on. */
export class DownloadJournal {
  readonly #path: string;
  readonly #handle: FileHandle;
  #frames: number;
  #bytes: number;

  private constructor(path: string, handle: FileHandle, { frames, bytes }: Kept) {
    this.#path = path;
    this.#handle = handle;
    this.#frames = frames.size;
    this.#bytes = bytes;
  }

  /** Begins a new one in the place of the old, with what of it has proved true; that is synced. */
  static async begin(path: string, identity: DownloadIdentity, kept: Kept, bootId: string | undefined): Promise<DownloadJournal> {
    const frames = [...kept.frames].map((index) => `frame ${index}\n`).join('');
    const etags = [...kept.etags].map(([mirror, etag]) => `etag ${etag} ${mirror}\n`).join('');
    const text = headerText(identity, bootId, kept.mode) + (kept.bytes > 0 ? `synced ${kept.bytes}\n` : '') + etags + frames;
    await writeFileAtomic(path, text, { mode: 0o600 });
    try {
      return new DownloadJournal(path, await open(path, 'a'), kept);
    } catch (error) {
      throw fromSystemError(error, path, 'write');
    }
  }

  /** Whether it names more than an interruption may lose. */
  get isWorthKeeping(): boolean {
    return this.#frames > 0 || this.#bytes >= FRAME_RAW_BYTES;
  }

  frame(index: number): void {
    this.#frames += 1;
    this.#add(`frame ${index}\n`);
  }

  /** From the beginning. */
  written(bytes: number): void {
    this.#bytes = bytes;
    this.#add(`written ${bytes}\n`);
  }

  etag(mirror: string, etag: string): void {
    if (!mirror.includes(' ') && !etag.includes(' ')) this.#add(`etag ${etag} ${mirror}\n`);
  }

  /** What was named so far is on the disk, and now so is its name. @throws GantryError `files/disk-full`, `files/not-writable` */
  async synced(bytes: number): Promise<void> {
    if (bytes > 0) this.#add(`synced ${bytes}\n`);
    try {
      await this.#handle.datasync();
    } catch (error) {
      throw fromSystemError(error, this.#path, 'write');
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** A few bytes into the system's memory: a way to another thread and back takes longer, and is sooner interrupted. */
  #add(line: string): void {
    const text = Buffer.from(line);
    try {
      for (let done = 0; done < text.length;) done += writeSync(this.#handle.fd, text, done, text.length - done);
    } catch (error) {
      throw fromSystemError(error, this.#path, 'write');
    }
  }
}

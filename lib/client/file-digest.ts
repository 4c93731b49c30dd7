/**
 * The digest of a file while it is written, from its beginning on.
 *
 * Rules:
 * - what an earlier process has left, or another thread writes, is read from the disk, behind whoever writes it;
 * - what comes in order is written by the same thread that hashes it: neither the network nor this side waits for the disk;
 * - a small file is not worth a thread.
 */
import { createHash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { GantryError, quote } from '../errors.ts';
import { fromSystemError } from '../files/read.ts';
import { writeAt, type Place } from './download-place.ts';

export interface DigestTask {
  /** Of this process: its threads share them. */
  readonly fd: number;
  readonly algorithm: 'sha256' | 'sha512';
}

export type DigestOrder =
  | { readonly kind: 'append'; readonly chunks: readonly Uint8Array<ArrayBuffer>[]; readonly position: number }
  | { readonly kind: 'advance' | 'finish'; readonly lengthBytes: number };

export type DigestReport =
  | { readonly kind: 'appended' }
  | { readonly kind: 'finished'; readonly hex: string }
  | { readonly kind: 'failed'; readonly what: 'read' | 'write'; readonly message: string; readonly code: string | undefined };

const SMALL_BYTES = 8 << 20;
const CHUNK_BYTES = 1 << 20;
/** For the thread's own objects; its buffers lie outside. */
const HEAP = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 } as const;

interface Waiting {
  readonly resolve: (hex: string) => void;
  readonly reject: (error: unknown) => void;
}

export class FileDigest {
  readonly #place: Place;
  readonly #algorithm: DigestTask['algorithm'];
  readonly #lengthBytes: number;
  /** For reports, which come in the order of their orders. */
  readonly #waiting: Waiting[] = [];
  #worker: Worker | undefined;
  #told = 0;
  #failure: unknown;

  constructor(place: Place, algorithm: DigestTask['algorithm'], lengthBytes: number) {
    this.#place = place;
    this.#algorithm = algorithm;
    this.#lengthBytes = lengthBytes;
  }

  /**
   * Writes what follows; everything before it is written, or on its way through here.
   *
   * @param chunks are handed over
   * @throws GantryError `files/disk-full`, `files/not-writable`
   */
  async append(chunks: readonly Uint8Array<ArrayBuffer>[], position: number): Promise<void> {
    if (this.#lengthBytes < SMALL_BYTES) return writeAt(this.#place, chunks, position);
    await this.#order(
      { kind: 'append', chunks, position },
      chunks.map(({ buffer }) => buffer),
    );
  }

  /** Says that so many bytes from the beginning are written, by somebody else. */
  advance(lengthBytes: number): void {
    if (this.#lengthBytes < SMALL_BYTES || lengthBytes - this.#told < CHUNK_BYTES) return;
    this.#told = lengthBytes;
    this.#thread().postMessage({ kind: 'advance', lengthBytes } satisfies DigestOrder, []);
  }

  /** Of the whole, which is all written. @throws GantryError `files/not-readable`, `files/changed` */
  async finish(): Promise<string> {
    const lengthBytes = this.#lengthBytes;
    return lengthBytes < SMALL_BYTES ? this.#hashHere() : this.#order({ kind: 'finish', lengthBytes }, []);
  }

  /** Ends the thread; to be called before the file is closed. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  async #order(order: DigestOrder, transfer: readonly ArrayBuffer[]): Promise<string> {
    const worker = this.#thread();
    if (this.#failure !== undefined) throw this.#failure;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      worker.postMessage(order, [...transfer]);
    });
  }

  #thread(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const task: DigestTask = { fd: this.#place.handle.fd, algorithm: this.#algorithm };
    const worker = new Worker(ownScript(), { name: 'gantry digest', workerData: task, execArgv: [], env: {}, resourceLimits: HEAP });
    worker.on('message', (report: DigestReport) => {
      if (report.kind === 'failed') this.#fail(Object.assign(new Error(report.message), { code: report.code }), report.what);
      else this.#waiting.shift()?.resolve(report.kind === 'finished' ? report.hex : '');
    });
    worker.once('error', (error) => this.#fail(error, 'read'));
    worker.once('exit', () => this.#fail(new Error('its thread has ended'), 'read'));
    this.#worker = worker;
    return worker;
  }

  #fail(cause: unknown, what: 'read' | 'write'): void {
    this.#failure ??= this.#problem(cause, what);
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }

  async #hashHere(): Promise<string> {
    const { handle } = this.#place;
    const digest = createHash(this.#algorithm);
    const lengthBytes = this.#lengthBytes;
    const buffer = Buffer.allocUnsafeSlow(Math.max(1, Math.min(CHUNK_BYTES, lengthBytes)));
    try {
      for (let hashed = 0; hashed < lengthBytes;) {
        const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, lengthBytes - hashed), hashed);
        if (bytesRead === 0) throw new RangeError(`it ends after ${hashed} bytes; expected ${lengthBytes}`);
        digest.update(buffer.subarray(0, bytesRead));
        hashed += bytesRead;
      }
    } catch (error) {
      throw this.#problem(error, 'read');
    }
    return digest.digest('hex');
  }

  #problem(cause: unknown, what: 'read' | 'write'): unknown {
    const { path } = this.#place;
    const known = fromSystemError(cause, path, what);
    if (known !== cause) return known;
    const problem = cause instanceof Error ? cause.message : String(cause);
    return new GantryError('files/changed', `Cannot read back what was written to ${quote(path)}: ${problem}`, { path }, { cause });
  }
}

/** Sources run as `.ts`, the built package as `.js`. */
function ownScript(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './file-digest-worker.ts' : './file-digest-worker.js', import.meta.url);
}

/**
 * The digest of a file while it is written: of what is on the disk, not of what was meant to be there.
 *
 * Rules:
 * - it is read from the beginning, in order, behind whoever writes it; what an earlier process has left counts like anything else;
 * - a large file is hashed by a thread of its own, since neither the network nor the disk should wait for it.
 */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { GantryError, quote } from '../errors.ts';
import { fromSystemError } from '../files/read.ts';

export interface DigestTask {
  /** Of this process: its threads share them. */
  readonly fd: number;
  readonly algorithm: 'sha256' | 'sha512';
}

export interface DigestOrder {
  /** That many bytes from the beginning are there. */
  readonly lengthBytes: number;
  readonly isLast: boolean;
}

export interface DigestReport {
  readonly hex: string;
}

/** What is not worth a thread. */
const SMALL_BYTES = 8 << 20;
const CHUNK_BYTES = 1 << 20;
/** For the thread's own objects; its buffer lies outside. */
const HEAP = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 } as const;

export class FileDigest {
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #algorithm: DigestTask['algorithm'];
  #worker: Worker | undefined;
  #told = 0;
  #result: Promise<string> | undefined;

  /** @param path for messages */
  constructor(handle: FileHandle, path: string, algorithm: DigestTask['algorithm']) {
    this.#handle = handle;
    this.#path = path;
    this.#algorithm = algorithm;
  }

  /** Says that so many bytes from the beginning are written. */
  advance(lengthBytes: number): void {
    if (lengthBytes - this.#told < (this.#worker === undefined ? SMALL_BYTES : CHUNK_BYTES)) return;
    this.#tell({ lengthBytes, isLast: false });
  }

  /** Of the first bytes, which are all written. @throws GantryError `files/not-readable`, `files/changed` */
  async finish(lengthBytes: number): Promise<string> {
    if (this.#worker === undefined) return this.#hashHere(lengthBytes);
    this.#tell({ lengthBytes, isLast: true });
    return this.#result ?? '';
  }

  /** Ends the thread; to be called before the file is closed. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #tell(order: DigestOrder): void {
    this.#told = order.lengthBytes;
    this.#worker ??= this.#start();
    this.#worker.postMessage(order, []);
  }

  #start(): Worker {
    const task: DigestTask = { fd: this.#handle.fd, algorithm: this.#algorithm };
    const worker = new Worker(ownScript(), {
      name: 'gantry digest',
      workerData: task,
      execArgv: [],
      env: {},
      resourceLimits: HEAP,
    });
    this.#result = new Promise((resolve, reject) => {
      worker.once('message', ({ hex }: DigestReport) => resolve(hex));
      worker.once('error', (error) => reject(this.#unreadable(error)));
      worker.once('exit', () => reject(this.#unreadable(new Error('its thread has ended'))));
    });
    // It may fail while the file is still written; `finish` tells.
    this.#result.catch(() => undefined);
    return worker;
  }

  async #hashHere(lengthBytes: number): Promise<string> {
    const digest = createHash(this.#algorithm);
    const buffer = Buffer.allocUnsafeSlow(Math.max(1, Math.min(CHUNK_BYTES, lengthBytes)));
    try {
      for (let hashed = 0; hashed < lengthBytes;) {
        const { bytesRead } = await this.#handle.read(buffer, 0, Math.min(buffer.length, lengthBytes - hashed), hashed);
        if (bytesRead === 0) throw new RangeError(`it ends after ${hashed} bytes; expected ${lengthBytes}`);
        digest.update(buffer.subarray(0, bytesRead));
        hashed += bytesRead;
      }
    } catch (error) {
      throw this.#unreadable(error);
    }
    return digest.digest('hex');
  }

  #unreadable(cause: unknown): unknown {
    const known = fromSystemError(cause, this.#path, 'read');
    if (known !== cause) return known;
    const problem = cause instanceof Error ? cause.message : String(cause);
    const details = { path: this.#path };
    return new GantryError('files/changed', `Cannot read back what was written to ${quote(this.#path)}: ${problem}`, details, { cause });
  }
}

/** Sources run as `.ts`, the built package as `.js`. */
function ownScript(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './file-digest-worker.ts' : './file-digest-worker.js', import.meta.url);
}

/**
 * A target without frames, written as it comes: nothing of it counts before the digest of the whole was compared.
 *
 * Rules:
 * - bytes are written in order, and named in the journal once they are written;
 * - an interruption loses what is in hand, 1 MiB at most; one that we see ourselves loses nothing.
 */
import { isGantryError } from '../errors.ts';
import type { Session } from './download-session.ts';
import { Checkpoints } from './download-place.ts';
import { streamOf } from './receive.ts';
import type { TargetStream } from './mirrors.ts';

const BATCH_BYTES = 512 << 10;
/** With the one that is being gathered that makes 1 MiB. */
const BATCHES_IN_HAND = 2;

interface Batch {
  readonly end: number;
  readonly done: Promise<void>;
}

/** @returns who sent what came */
export async function fillBytes(job: Session): Promise<Pick<TargetStream, 'servedBy'>> {
  const { source, target, kept, signal, onReceived } = job;
  const { lengthBytes } = target;
  const offset = kept.bytes;
  if (offset === lengthBytes && lengthBytes > 0) return { servedBy: new Set() };
  const knownEtags = new Map(kept.etags);
  const stream = streamOf(source, target, { offset, knownEtags, ...(signal === undefined ? {} : { signal }) });
  const appender = new Appender(job, knownEtags);
  try {
    for await (const chunk of stream.chunks) {
      onReceived(chunk.length);
      await appender.add(chunk);
    }
  } catch (error) {
    // What came before it broke off is worth keeping; a disk that fails is told by its own error.
    if (!isGantryError(error) || !error.code.startsWith('files/')) await appender.finish();
    throw error;
  }
  await appender.finish();
  return stream;
}

class Appender {
  readonly #job: Session;
  readonly #etags: Map<string, string>;
  readonly #journaled: Map<string, string>;
  readonly #checkpoints: Checkpoints;
  readonly #inHand: Batch[] = [];
  #chunks: Uint8Array<ArrayBuffer>[] = [];
  #waiting = 0;
  #position: number;

  constructor(job: Session, etags: Map<string, string>) {
    this.#job = job;
    this.#etags = etags;
    this.#journaled = new Map(etags);
    this.#position = job.kept.bytes;
    this.#checkpoints = new Checkpoints(job.place, job.journal);
  }

  async add(chunk: Uint8Array): Promise<void> {
    this.#waiting += chunk.length;
    this.#chunks.push(this.#job.source.mirrors.own(chunk));
    if (this.#waiting < BATCH_BYTES) return;
    this.#begin();
    if (this.#inHand.length >= BATCHES_IN_HAND) await this.#settle();
  }

  async finish(): Promise<void> {
    if (this.#waiting > 0) this.#begin();
    while (this.#inHand.length > 0) await this.#settle();
    await this.#checkpoints.finish();
  }

  #begin(): void {
    const done = this.#job.digest.append(this.#chunks, this.#position);
    // Whoever awaits it below still gets the error.
    done.catch(() => undefined);
    this.#position += this.#waiting;
    this.#inHand.push({ end: this.#position, done });
    this.#chunks = [];
    this.#waiting = 0;
  }

  /** The one that was begun first, so that what is named has no gap before it. */
  async #settle(): Promise<void> {
    const [first] = this.#inHand;
    if (first === undefined) return;
    await first.done;
    this.#inHand.shift();
    const { journal } = this.#job;
    for (const [mirror, etag] of this.#etags) {
      if (this.#journaled.get(mirror) !== etag) journal.etag(mirror, etag);
      this.#journaled.set(mirror, etag);
    }
    journal.written(first.end);
    this.#checkpoints.wrote(BATCH_BYTES, first.end);
  }
}

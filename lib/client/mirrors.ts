/**
 * The same repository at several places.
 *
 * Rules:
 * - a request goes to the first mirror; when it fails there, to the next at once, and the mirror that failed goes behind the others;
 * - only when all have failed do we wait, as long as patience lasts (lib/http/patience.ts), and ask all again;
 * - a file is *missing* when a mirror says so with 404 and no other has it; or when all say so, with 403 too. A 403 from one while
 *   another cannot be asked says nothing, and is a failure;
 * - a stream that breaks off goes on where it was, at whichever mirror answers: what it yields is not verified here;
 * - an ETag is compared with those of the same mirror only;
 * - a mirror that is caught with bytes that contradict what is signed is dropped for this client, and named; never the last one.
 */
import { isGantryError, type GantryError } from '../errors.ts';
import { printableUrl } from '../http/failures.ts';
import { createPatience, DEFAULT_PATIENCE_MS, mayPass, type Patience, type PatienceOptions } from '../http/patience.ts';
import { ownMemory } from '../http/memory.ts';
import { wholeRefusal } from '../http/ranges.ts';
import type { HttpClient, RangeAnswer } from '../http/request.ts';
import { etagsOf, isMissing, isOfMirror, verdictOf, wantedOf, WRONG_LENGTH, type Absence } from './mirror-answers.ts';
import { telemetryOf, type TelemetryOptions, type WithTelemetry } from './telemetry.ts';

/** Both end with a slash. */
export interface Mirror {
  readonly metadataUrl: URL;
  readonly targetsUrl: URL;
}

export interface MirrorsOptions extends Partial<Pick<PatienceOptions, 'patienceMs' | 'onRetry'>> {
  readonly http: HttpClient;
  readonly onNotice: (notice: string) => void;
  readonly telemetry?: TelemetryOptions;
}

export interface MetadataRequest {
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
  /** `failure` by default. */
  readonly absence?: Absence;
}

export interface TargetRequest {
  /** As it is signed. */
  readonly totalBytes: number;
  /** From the beginning by default. */
  readonly offset?: number;
  /** To the end by default. */
  readonly length?: number;
  readonly signal?: AbortSignal;
  /**
   * `compared` by default: what goes on after a break must be of the same file. Where every piece is verified by itself they are better
   * `ignored`, since the machines behind one name may each have their own.
   */
  readonly etags?: 'compared' | 'ignored';
  /** By the URL of a mirror's targets: what it said in an earlier run; what it says now is added. */
  readonly knownEtags?: Map<string, string>;
  /** For who wants no bytes before the offset, at any price. */
  readonly ranges?: 'required';
}

export interface TargetStream {
  /** As they come, not verified; to be consumed once. */
  readonly chunks: AsyncGenerator<Uint8Array, void, undefined>;
  /** Who sent something of it so far. */
  readonly servedBy: ReadonlySet<Mirror>;
  /** Who sent the chunk that came last. */
  sender(): Mirror | undefined;
}

/** What a stream has learnt about its mirrors. */
interface Known {
  readonly etags: Map<Mirror, string>;
  /** Those that answer, but not with what is asked for. */
  readonly useless: Set<Mirror>;
}

interface Question {
  readonly file: string;
  readonly patience: Patience;
  readonly absence: Absence;
  readonly useless?: ReadonlySet<Mirror>;
}

interface Refused {
  readonly error: GantryError;
  /** When it wants to be asked again, by the clock of `performance`. */
  readonly notBefore: number;
}

export class Mirrors {
  readonly #options: MirrorsOptions;
  readonly #withTelemetry: WithTelemetry;
  readonly #contact = { made: false };
  readonly #busy = new Map<Mirror, Refused>();
  readonly #told = new Set<string>();
  /** The one to ask first in front. */
  #order: readonly Mirror[];

  constructor(mirrors: readonly [Mirror, ...Mirror[]], options: MirrorsOptions) {
    this.#order = mirrors;
    this.#options = options;
    this.#withTelemetry = telemetryOf(options.telemetry);
  }

  get count(): number {
    return this.#order.length;
  }

  some(predicate: (mirror: Mirror) => boolean): boolean {
    return this.#order.some(predicate);
  }

  /** A small file as a whole. @throws GantryError `http/missing`, `http/…`, `aborted` */
  async fetchMetadata(file: string, request: MetadataRequest): Promise<{ readonly bytes: Uint8Array; readonly mirror: Mirror }> {
    const { maxBytes, signal, absence = 'failure' } = request;
    const limits = { maxBytes, tries: 'once' as const, ...(signal === undefined ? {} : { signal }) };
    const { answer, mirror } = await this.#ask({ file, patience: this.#patience(signal), absence }, async ({ metadataUrl }) =>
      this.#options.http.fetchBytes(this.#withTelemetry(new URL(metadataUrl.href + file), 'metadata'), limits),
    );
    return { bytes: answer, mirror };
  }

  /** One part of a target, from the first mirror that begins to answer. @throws GantryError `http/…`, `aborted` */
  async openTarget(
    name: string,
    request: TargetRequest & { readonly length: number },
  ): Promise<{ readonly answer: RangeAnswer; readonly mirror: Mirror }> {
    return this.#open(
      name,
      { ...request, offset: request.offset ?? 0 },
      { etags: new Map(), useless: new Set() },
      this.#patience(request.signal),
    );
  }

  /** A target, or what follows an offset of it, with as many answers as it takes. */
  streamTarget(name: string, request: TargetRequest): TargetStream {
    const servedBy = new Set<Mirror>();
    let last: Mirror | undefined;
    const onChunk = (mirror: Mirror): unknown => servedBy.add((last = mirror));
    return { chunks: this.#stream(name, request, onChunk), servedBy, sender: () => last };
  }

  /** Takes back the memory of a chunk, sooner than the collector would. */
  release(chunk: Uint8Array): void {
    this.#options.http.release?.(chunk);
  }

  /** A chunk as memory that may change hands; nobody looks at the chunk itself any more. */
  own(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
    return this.#options.http.release === undefined ? new Uint8Array(chunk) : ownMemory(chunk);
  }

  /** Behind all others, until one of those fails. */
  demote(mirror: Mirror): void {
    if (this.#order.includes(mirror)) this.#order = [...this.#order.filter((other) => other !== mirror), mirror];
  }

  /**
   * Nothing more is asked of it.
   *
   * @param problem the sentence that says what it did
   * @returns false for the last one, which stays
   */
  drop(mirror: Mirror, problem: string): boolean {
    const others = this.#order.filter((other) => other !== mirror);
    if (others.length === 0) return false;
    if (others.length < this.#order.length) {
      this.#order = others;
      this.#notice(`The mirror ${printableUrl(mirror.metadataUrl)} is not asked again: ${problem}`);
    }
    return true;
  }

  /** Drops whoever sent a target that is not what was signed; when several had a part in it nobody can tell which one it was. */
  blame({ servedBy }: Pick<TargetStream, 'servedBy'>, problem: string): void {
    const [suspect, ...others] = servedBy;
    if (suspect !== undefined && others.length === 0) this.drop(suspect, problem);
  }

  /** Once: a mirror that stays away is no news. */
  #notice(notice: string): void {
    if (this.#told.has(notice)) return;
    this.#told.add(notice);
    this.#options.onNotice(notice);
  }

  #patience(signal: AbortSignal | undefined): Patience {
    const { patienceMs = DEFAULT_PATIENCE_MS, onRetry } = this.#options;
    return createPatience({ patienceMs, onRetry, signal, contact: this.#contact });
  }

  async #open(
    name: string,
    { offset, length, totalBytes, signal, ranges }: TargetRequest & { readonly offset: number; readonly length: number },
    { etags, useless }: Known,
    patience: Patience,
  ): Promise<{ readonly answer: RangeAnswer; readonly mirror: Mirror }> {
    return this.#ask({ file: name, patience, absence: 'failure', useless }, async (mirror) => {
      const etag = etags.get(mirror);
      const url = this.#withTelemetry(new URL(mirror.targetsUrl.href + name), 'target');
      const range = { offset, length, totalBytes, ...(etag === undefined ? {} : { etag }) };
      const answer = await this.#options.http.fetchRange(url, { ...range, tries: 'once', ...(signal === undefined ? {} : { signal }) });
      const refusal = answer.kind === 'whole' ? wholeRefusal(url, range, { found: answer.etag, ranges }) : undefined;
      if (refusal === undefined) return answer;
      answer.cancel();
      throw refusal;
    });
  }

  async *#stream(name: string, request: TargetRequest, onChunk: (mirror: Mirror) => unknown): AsyncGenerator<Uint8Array, void, undefined> {
    const { totalBytes, offset: start = 0, signal, etags: comparison = 'compared', knownEtags } = request;
    const end = start + (request.length ?? totalBytes - start);
    const known: Known = { etags: etagsOf(this.#order, knownEtags), useless: new Set() };
    const patience = this.#patience(signal);
    let offset = start;
    // Even a file without bytes must be there.
    do {
      const { answer, mirror } = await this.#open(name, { ...request, offset, length: end - offset }, known, patience);
      if (comparison === 'compared' && answer.etag !== undefined) {
        known.etags.set(mirror, answer.etag);
        knownEtags?.set(mirror.targetsUrl.href, answer.etag);
      }
      try {
        for await (const chunk of wantedOf(answer, offset, end)) {
          onChunk(mirror);
          offset += chunk.length;
          patience.progress(chunk.length);
          yield chunk;
        }
      } catch (error) {
        if (!isOfMirror(error)) throw error;
        this.#failed(mirror, error);
        if (mayPass(error)) await patience.wait(error);
        else known.useless.add(mirror);
        if (this.#order.every((each) => known.useless.has(each))) throw error;
      }
    } while (offset < end);
  }

  /** Each mirror once, then all again for as long as that may help. */
  async #ask<T>(
    { file, patience, absence, useless }: Question,
    attempt: (mirror: Mirror) => Promise<T>,
  ): Promise<{ readonly answer: T; readonly mirror: Mirror }> {
    for (;;) {
      const errors: GantryError[] = [];
      for (const mirror of this.#order) {
        if (useless?.has(mirror) === true) continue;
        const busy = this.#busyWith(mirror);
        if (busy !== undefined) {
          errors.push(busy);
          continue;
        }
        try {
          const answer = await attempt(mirror);
          this.#contact.made = true;
          return { answer, mirror };
        } catch (error) {
          if (!isOfMirror(error)) throw error;
          errors.push(error);
          this.#failed(mirror, error);
        }
      }
      const { missing, failed } = verdictOf(errors, absence);
      if (missing === undefined) {
        await patience.wait(failed);
        continue;
      }
      if (failed !== undefined) this.#notice(`No mirror that answers has ${file}, and one could not be asked: ${failed.message}`);
      throw missing;
    }
  }

  /** A mirror that has not got everything yet is still a good one. */
  #failed(mirror: Mirror, error: GantryError): void {
    if (isMissing(error)) return;
    this.demote(mirror);
    if (WRONG_LENGTH.has(error.code)) this.drop(mirror, error.message);
    const retryAfterMs = isGantryError(error, 'http/status') ? error.details.retryAfterMs : undefined;
    if (retryAfterMs !== undefined) this.#busy.set(mirror, { error, notBefore: performance.now() + retryAfterMs });
  }

  /** Why it is not asked now; it said when it would like to be. */
  #busyWith(mirror: Mirror): GantryError | undefined {
    const refused = this.#busy.get(mirror);
    if (refused !== undefined && refused.notBefore > performance.now()) return refused.error;
    this.#busy.delete(mirror);
    return undefined;
  }
}

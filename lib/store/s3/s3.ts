/**
 * A store in a bucket of S3, or of a server that speaks its language.
 *
 * Rules:
 * - every write is conditional: `If-None-Match: *` for what must not be there, `If-Match` with the ETag for what is replaced;
 * - a version is an ETag, compared and never parsed;
 * - bytes are hashed on the way and compared with what was announced; the server checks the digest once more, and keeps it
 *   beside the object;
 * - memory is bounded: a few parts of a large object at a time, each of them a few megabytes.
 */
import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { GantryError, isGantryError, quote, refuseAborted } from '../../errors.ts';
import { isStorePath } from '../path.ts';
import type { ByteSource, Expect, ObjectInfo, ReadOptions, Store, StoredObject, StorePath, StoreVersion, WriteOptions } from '../store.ts';
import { refuseMoreBytes, refuseOtherBytes } from '../refusals.ts';
import type { S3Context, Sdk } from './context.ts';
import { describeObject, describeWrite, nameObject, type Write } from './describe.ts';
import { CutListing, isMissing, isRefusal, isRefusedCondition, isUploadGone, notS3, storeFailure, type Attempt } from './failures.ts';
import { s3Url, type S3Location, type S3Settings } from './location.ts';
import { createPartBuffers } from './part-buffers.ts';
import { putInParts } from './parts.ts';
import { unfinishedUploads } from './unfinished.ts';

/** Larger objects go up in parts: servers cut the connection instead of answering when they refuse a large single write. */
const SINGLE_PUT_BYTES = 4 << 20;
/** Tries of one call, with the SDK's exponential back-off and jitter. */
const MAX_ATTEMPTS = 5;
/** Of one large object. */
const MAX_UPLOADS = 3;
const CONNECT_MS = 10_000;
/** How long a server may say nothing: then the call has failed, and may be tried again. */
const SILENCE_MS = 60_000;

/** Loads the AWS SDK on first use. @throws GantryError `store/bad-location` */
export async function createS3Store(location: S3Location, settings: S3Settings = {}): Promise<Store> {
  const sdk = await import('@aws-sdk/client-s3');
  const client = new sdk.S3Client({
    maxAttempts: MAX_ATTEMPTS,
    requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: SILENCE_MS },
    ...(settings.region === undefined ? {} : { region: settings.region }),
    ...(settings.endpoint === undefined ? {} : { endpoint: settings.endpoint }),
    ...(settings.pathStyle === undefined ? {} : { forcePathStyle: settings.pathStyle }),
    ...(settings.profile === undefined ? {} : { profile: settings.profile }),
  });
  const description = s3Url(location);
  const context: S3Context = {
    client,
    location,
    settings,
    buffers: createPartBuffers(),
    attempt: async (call, path, work, signal) => {
      refuseAborted(signal);
      try {
        return await work();
      } catch (error) {
        throw storeFailure(error, { call, path, store: description, endpoint: settings.endpoint, signal });
      }
    },
  };
  return new S3Store(context, sdk);
}

class S3Store implements Store {
  readonly description: string;
  readonly conditions: 'documented' | 'unknown';
  readonly #context: S3Context;
  readonly #sdk: Sdk;
  /** True once the server has said of an object, not of the bucket, that it is missing. */
  #hasBucket = false;

  constructor(context: S3Context, sdk: Sdk) {
    this.#context = context;
    this.#sdk = sdk;
    this.description = s3Url(context.location);
    // AWS documents them; a server that speaks its language may not keep them.
    const isAws =
      context.settings.endpoint === undefined && (process.env['AWS_ENDPOINT_URL_S3'] ?? process.env['AWS_ENDPOINT_URL']) === undefined;
    this.conditions = isAws ? 'documented' : 'unknown';
  }

  async read(path: StorePath, { signal }: ReadOptions = {}): Promise<StoredObject> {
    const { client, attempt } = this.#context;
    const found = await attempt(
      'GetObject',
      path,
      async () => client.send(new this.#sdk.GetObjectCommand(nameObject(this.#context.location, path)), abort(signal)),
      signal,
    );
    // In Node the body is a stream of Node's.
    const body = found.Body as Readable | undefined;
    try {
      const info = describeObject(found, path, this.#attempted('GetObject', path));
      return { info, body: this.#checked(path, body ?? none(), signal) };
    } catch (error) {
      body?.destroy();
      throw error;
    }
  }

  async head(path: StorePath, { signal }: ReadOptions = {}): Promise<ObjectInfo | undefined> {
    const { client, attempt } = this.#context;
    const look = async (): Promise<ObjectInfo | undefined> => {
      try {
        const found = await client.send(new this.#sdk.HeadObjectCommand(nameObject(this.#context.location, path)), abort(signal));
        return describeObject(found, path, this.#attempted('HeadObject', path));
      } catch (error) {
        const why = this.#hasBucket && isMissing(error) ? error : await this.#reasonOf(error, path, signal);
        if (!isMissing(why)) throw why;
        this.#hasBucket = true;
        return undefined;
      }
    };
    return attempt('HeadObject', path, look, signal);
  }

  /** The answer to a HEAD has no body, so that a missing bucket looks like a missing object, and a wrong key like a denied one. */
  async #reasonOf(refusal: unknown, path: StorePath, signal: AbortSignal | undefined): Promise<unknown> {
    if (!isRefusal(refusal)) return refusal;
    try {
      const again = new this.#sdk.GetObjectCommand({ ...nameObject(this.#context.location, path), Range: 'bytes=0-0' });
      const { Body } = await this.#context.client.send(again, abort(signal));
      (Body as Readable | undefined)?.destroy();
      return refusal;
    } catch (error) {
      return error;
    }
  }

  async write(path: StorePath, source: ByteSource, options: WriteOptions & { readonly expect: Expect }): Promise<StoreVersion> {
    const write = { path, source, options };
    const isSmall = source.lengthBytes < SINGLE_PUT_BYTES;
    const etag = isSmall ? await this.#put(write) : await this.#putLarge(write);
    if (etag !== undefined) return etag as StoreVersion;
    const info = await this.head(path);
    if (info !== undefined) return info.version;
    throw new GantryError('store/failed', `Cannot write ${quote(path)}: it vanished right after it was written`, {
      path,
      call: 'HeadObject',
    });
  }

  /** An upload may be another publisher's too, who was quicker to end it: what lies there now decides, and one of our own is begun. */
  async #putLarge(write: Write): Promise<string | undefined> {
    const { path, source, options } = write;
    const { expect } = options;
    const input = describeWrite(this.#context, write);
    const conclude = async <T>(call: string, work: () => Promise<T>): Promise<T> => this.#conclude(call, write, work);
    for (let uploads = 1; ; uploads += 1) {
      try {
        return await putInParts(this.#context, this.#sdk, input, { ...write, conclude });
      } catch (error) {
        if (!isUploadGone(error) || uploads === MAX_UPLOADS) throw error;
        const found = await this.head(path);
        if (found !== undefined && found.sha256 === source.sha256) throw error;
        if (found?.version !== (expect === 'absent' ? undefined : expect.version)) throw await this.#conflict(path, expect, error);
      }
    }
  }

  /** Only what the server answers is its failure: what the source throws comes out as it is. */
  async #conclude<T>(call: string, { path, source, options }: Write, work: () => Promise<T>): Promise<T> {
    const { expect, signal } = options;
    try {
      return await work();
    } catch (error) {
      if (isRefusedCondition(error)) throw await this.#conflict(path, expect, error);
      const failure = storeFailure(error, this.#attempted(call, path, signal));
      // Some servers cut the connection instead of answering when a condition is refused: what has other bytes is not ours.
      if (isGantryError(failure, 'store/failed') && expect === 'absent') {
        const found = await this.head(path).catch(() => undefined);
        if (found?.sha256 !== undefined && found.sha256 !== source.sha256) throw await this.#conflict(path, expect, error);
      }
      throw failure;
    }
  }

  async #put(write: Write): Promise<string | undefined> {
    const { path, source, options } = write;
    const bytes = Buffer.alloc(source.lengthBytes);
    const hash = createHash('sha256');
    let length = 0;
    for await (const chunk of source.open()) {
      refuseAborted(options.signal);
      refuseMoreBytes(path, source, length + chunk.length);
      hash.update(chunk);
      bytes.set(chunk, length);
      length += chunk.length;
    }
    refuseAborted(options.signal);
    refuseOtherBytes(path, source, length, hash.digest('hex'));
    const input = {
      ...describeWrite(this.#context, write),
      Body: bytes,
      ChecksumSHA256: Buffer.from(source.sha256, 'hex').toString('base64'),
    };
    const { ETag } = await this.#conclude('PutObject', write, async () =>
      this.#context.client.send(new this.#sdk.PutObjectCommand(input), abort(options.signal)),
    );
    options.onProgress?.(bytes.length);
    return ETag;
  }

  async #conflict(path: StorePath, expect: Expect, cause: unknown): Promise<GantryError> {
    const found = await this.head(path);
    const name = (version: string | undefined): string => (version === undefined ? 'nothing' : `version ${version}`);
    const expected = name(expect === 'absent' ? undefined : expect.version);
    const details = { path, expected, found: name(found?.version) };
    return new GantryError('store/conflict', `Cannot write ${quote(path)}: found ${details.found}; expected ${expected}`, details, {
      cause,
    });
  }

  async *list(prefix: string, { signal }: ReadOptions = {}): AsyncGenerator<ObjectInfo, void, undefined> {
    const { client, location, attempt } = this.#context;
    const before = location.prefix === '' ? '' : `${location.prefix}/`;
    let token: string | undefined;
    do {
      const input = { Bucket: location.bucket, Prefix: before + prefix, ...(token === undefined ? {} : { ContinuationToken: token }) };
      const fetchPage = async (): Promise<ListObjectsV2CommandOutput> => {
        const found = await client.send(new this.#sdk.ListObjectsV2Command(input), abort(signal));
        const { IsTruncated, NextContinuationToken } = found;
        if (IsTruncated === true && (NextContinuationToken === undefined || NextContinuationToken === token)) throw new CutListing();
        return found;
      };
      const page = await attempt('ListObjectsV2', location.bucket, fetchPage, signal);
      // Every listing of S3 names its bucket; a page that happens to be XML does not.
      if (page.Name === undefined) throw notS3(this.#attempted('ListObjectsV2', location.bucket));
      for (const { Key = '', ETag, Size = 0, LastModified } of page.Contents ?? []) {
        const path = Key.slice(before.length);
        if (!isStorePath(path)) continue;
        yield describeObject({ ETag, ContentLength: Size, LastModified }, path, this.#attempted('ListObjectsV2', path));
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async remove(path: StorePath): Promise<void> {
    const { client, attempt } = this.#context;
    await attempt('DeleteObject', path, async () =>
      client.send(new this.#sdk.DeleteObjectCommand(nameObject(this.#context.location, path))),
    );
  }

  get unfinished(): NonNullable<Store['unfinished']> {
    return unfinishedUploads(this.#context, this.#sdk);
  }

  #attempted(call: string, path: string, signal?: AbortSignal): Attempt {
    return { call, path, store: this.description, endpoint: this.#context.settings.endpoint, signal };
  }

  /** A connection that breaks in the middle of a body is the store's failure, too. */
  async *#checked(
    path: StorePath,
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for await (const chunk of body) {
        refuseAborted(signal);
        yield chunk;
      }
    } catch (error) {
      throw storeFailure(error, this.#attempted('GetObject', path, signal));
    }
  }
}

function abort(signal: AbortSignal | undefined): { readonly abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}

async function* none(): AsyncGenerator<Uint8Array, void, undefined> {
  // An empty object may come without a body.
}

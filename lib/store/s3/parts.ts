/**
 * A large object in parts.
 *
 * Rules:
 * - parts go up a few at a time, as many as there are buffers for (`part-buffers.ts`), each with its own checksum; what comes out is joined only when the whole was what was announced;
 * - the condition is part of the last call, which joins the parts: until then nothing is visible;
 * - parts that can never be joined are removed; those of a try that was cut off stay for the next one (`resume.ts`), which knows them by
 *   the first, and what nobody comes back for, `gantry gc` removes.
 */
import type { CompletedPart, PutObjectCommandInput } from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { isGantryError, refuseAborted } from '../../errors.ts';
import { refuseMoreBytes, refuseOtherBytes } from '../refusals.ts';
import type { S3Context, Sdk } from './context.ts';
import { nameObject, type Write } from './describe.ts';
import type { PartBuffers } from './part-buffers.ts';
import { findEarlierUpload, sentBefore, type EarlierUpload } from './resume.ts';

/** S3 takes 10,000 parts, of 5 MiB at least. */
const MAX_PARTS = 10_000;
const PART_BYTES = 5 << 20;

export interface PartedWrite extends Write {
  /** Runs the call that makes the object visible. */
  readonly conclude: <T>(call: string, work: () => Promise<T>) => Promise<T>;
}

/** @returns the ETag of the whole, when the server tells it */
export async function putInParts(
  context: S3Context,
  sdk: Sdk,
  input: PutObjectCommandInput,
  write: PartedWrite,
): Promise<string | undefined> {
  const { client } = context;
  const { path, source, options } = write;
  const { IfNoneMatch, IfMatch, ...creation } = input;
  const named = nameObject(context.location, path);
  const begin = async (): Promise<EarlierUpload> => {
    const create = new sdk.CreateMultipartUploadCommand({ ...creation, ChecksumAlgorithm: 'SHA256' });
    // The signal does not cut this call: an upload whose answer is lost could not be removed.
    const { UploadId } = await context.attempt('CreateMultipartUpload', path, async () => client.send(create), options.signal);
    return { upload: { ...named, UploadId }, parts: new Map() };
  };
  refuseAborted(options.signal);
  const { upload, parts: earlier } = (await findEarlierUpload(context, sdk, named, source)) ?? (await begin());
  const sent = new Map<number, CompletedPart>();
  try {
    await context.buffers.during(async () => sendParts(context, sdk, { upload, parts: earlier }, write, sent));
    refuseAborted(options.signal);
    const condition = { ...(IfNoneMatch === undefined ? {} : { IfNoneMatch }), ...(IfMatch === undefined ? {} : { IfMatch }) };
    const complete = new sdk.CompleteMultipartUploadCommand({ ...upload, ...condition, MultipartUpload: { Parts: inOrder(sent) } });
    const { ETag } = await write.conclude('CompleteMultipartUpload', async () => client.send(complete));
    return ETag;
  } catch (error) {
    const isCutOff = isGantryError(error, 'store/failed') || isGantryError(error, 'store/credentials') || isGantryError(error, 'aborted');
    // What went wrong is worth more than what goes wrong while tidying up.
    if (!isCutOff || !(sent.has(1) || earlier.has(1)))
      await client.send(new sdk.AbortMultipartUploadCommand(upload)).catch(() => undefined);
    throw error;
  }
}

async function sendParts(
  { client, attempt, buffers }: S3Context,
  sdk: Sdk,
  { upload, parts: earlier }: EarlierUpload,
  { path, source, options }: PartedWrite,
  done: Map<number, CompletedPart>,
): Promise<void> {
  const partBytes = Math.max(PART_BYTES, Math.ceil(source.lengthBytes / MAX_PARTS));
  const hash = createHash('sha256');
  const inFlight = new Set<Promise<void>>();
  let hasFailed = false;
  let length = 0;
  let sent = 0;
  const send = async (number: number, bytes: Uint8Array): Promise<void> => {
    const ChecksumSHA256 = createHash('sha256').update(bytes).digest('base64');
    const before = sentBefore(earlier.get(number), ChecksumSHA256, bytes.length);
    const part = { ...upload, PartNumber: number, Body: bytes, ChecksumSHA256 };
    const abortSignal = options.signal === undefined ? {} : { abortSignal: options.signal };
    const { ETag } =
      before ?? (await attempt('UploadPart', path, async () => client.send(new sdk.UploadPartCommand(part), abortSignal), options.signal));
    sent += bytes.length;
    options.onProgress?.(sent);
    done.set(number, { PartNumber: number, ChecksumSHA256, ...(ETag === undefined ? {} : { ETag }) });
  };
  try {
    let number = 0;
    for await (const bytes of inParts(source.open(), partBytes, buffers)) {
      number += 1;
      const sending = send(number, bytes).finally(() => buffers.giveBack(bytes));
      inFlight.add(sending);
      // Whoever waits below sees a failure; until then it must not count as one that nobody looks at.
      sending.then(
        () => inFlight.delete(sending),
        () => (hasFailed = true),
      );
      if (hasFailed) break;
      refuseAborted(options.signal);
      hash.update(bytes);
      length += bytes.length;
      refuseMoreBytes(path, source, length);
    }
    await Promise.all(inFlight);
  } finally {
    await Promise.allSettled(inFlight);
  }
  refuseOtherBytes(path, source, length, hash.digest('hex'));
}

function inOrder(parts: ReadonlyMap<number, CompletedPart>): CompletedPart[] {
  return [...parts].toSorted(([a], [b]) => a - b).map(([, part]) => part);
}

/** Pieces of this size, the last one shorter, each in a buffer that its reader gives back. */
async function* inParts(
  source: AsyncIterable<Uint8Array>,
  partBytes: number,
  buffers: PartBuffers,
): AsyncGenerator<Uint8Array, void, undefined> {
  let part: Uint8Array | undefined;
  let filled = 0;
  try {
    for await (const chunk of source) {
      for (let start = 0; start < chunk.length;) {
        part ??= await buffers.take(partBytes);
        const taken = Math.min(part.length - filled, chunk.length - start);
        part.set(chunk.subarray(start, start + taken), filled);
        filled += taken;
        start += taken;
        if (filled < part.length) continue;
        const full = part;
        [part, filled] = [undefined, 0];
        yield full;
      }
    }
    if (part === undefined) return;
    const last = part.subarray(0, filled);
    part = undefined;
    yield last;
  } finally {
    if (part !== undefined) buffers.giveBack(part);
  }
}

/**
 * What an earlier try has left of a large object: the bucket itself is the journal, so that any machine can go on.
 *
 * Rules:
 * - an upload is gone on with when its name holds the digest of our bytes, or when its first part is ours: under another name others
 *   may be writing something else;
 * - only a part whose SHA-256 the server tells, and which is that of our bytes, is taken for sent;
 * - not being allowed to look is no error: then all parts go up;
 * - two publishers may find the same upload. They send the same parts, and the condition lets one of them join it.
 */
import type { CompletedPart, MultipartUpload, Part } from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import type { ByteSource } from '../store.ts';
import type { S3Context, Sdk } from './context.ts';

export interface UploadName {
  readonly Bucket: string | undefined;
  readonly Key: string | undefined;
  readonly UploadId: string | undefined;
}

export interface EarlierUpload {
  readonly upload: UploadName;
  /** By number. */
  readonly parts: ReadonlyMap<number, Part>;
}

/** The newest upload of this very object, with these bytes, that was begun and not joined. */
export async function findEarlierUpload(
  { client }: S3Context,
  sdk: Sdk,
  { Bucket, Key }: Pick<UploadName, 'Bucket' | 'Key'>,
  source: ByteSource,
): Promise<EarlierUpload | undefined> {
  const parts = new Map<number, Part>();
  try {
    const { Uploads = [] } = await client.send(new sdk.ListMultipartUploadsCommand({ Bucket, Prefix: Key }));
    const [newest] = Uploads.filter((one) => one.Key === Key && one.UploadId !== undefined).toSorted((a, b) => begun(b) - begun(a));
    if (newest === undefined) return undefined;
    const upload = { Bucket, Key, UploadId: newest.UploadId };
    let marker: string | undefined;
    do {
      const page = await client.send(
        new sdk.ListPartsCommand({ ...upload, ...(marker === undefined ? {} : { PartNumberMarker: marker }) }),
      );
      for (const part of page.Parts ?? []) if (part.PartNumber !== undefined) parts.set(part.PartNumber, part);
      marker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined;
    } while (marker !== undefined);
    const isOurs = Key?.includes(source.sha256) === true || (await beginsWith(source, parts.get(1)));
    return isOurs ? { upload, parts } : undefined;
  } catch {
    return undefined;
  }
}

async function beginsWith(source: ByteSource, first: Part | undefined): Promise<boolean> {
  if (first?.Size === undefined || first.ChecksumSHA256 === undefined) return false;
  const hash = createHash('sha256');
  let left = first.Size;
  for await (const chunk of source.open()) {
    hash.update(chunk.subarray(0, left));
    left -= Math.min(left, chunk.length);
    if (left === 0) break;
  }
  return hash.digest('base64') === first.ChecksumSHA256;
}

function begun({ Initiated }: MultipartUpload): number {
  return Initiated?.getTime() ?? 0;
}

/** The part as it counts for joining, when the server has these bytes already. */
export function sentBefore(part: Part | undefined, sha256Base64: string, lengthBytes: number): CompletedPart | undefined {
  if (part?.ETag === undefined || part.ChecksumSHA256 !== sha256Base64 || part.Size !== lengthBytes) return undefined;
  return { PartNumber: part.PartNumber, ETag: part.ETag, ChecksumSHA256: sha256Base64 };
}

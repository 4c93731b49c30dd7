/**
 * What an earlier try has left of a large object: the bucket itself is the journal, so that any machine can go on.
 *
 * Rules:
 * - only a part whose SHA-256 the server tells, and which is that of our bytes, is taken for sent;
 * - not being allowed to look is no error: then all parts go up;
 * - two publishers may find the same upload. They send the same parts, and the condition lets one of them join it.
 */
import type { CompletedPart, MultipartUpload, Part } from '@aws-sdk/client-s3';
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

/** The newest upload of this very object that was begun and not joined. */
export async function findEarlierUpload(
  { client }: S3Context,
  sdk: Sdk,
  { Bucket, Key }: Pick<UploadName, 'Bucket' | 'Key'>,
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
    return { upload, parts };
  } catch {
    return undefined;
  }
}

function begun({ Initiated }: MultipartUpload): number {
  return Initiated?.getTime() ?? 0;
}

/** The part as it counts for joining, when the server has these bytes already. */
export function sentBefore(part: Part | undefined, sha256Base64: string, lengthBytes: number): CompletedPart | undefined {
  if (part?.ETag === undefined || part.ChecksumSHA256 !== sha256Base64 || part.Size !== lengthBytes) return undefined;
  return { PartNumber: part.PartNumber, ETag: part.ETag, ChecksumSHA256: sha256Base64 };
}

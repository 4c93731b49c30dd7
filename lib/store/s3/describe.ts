/** What S3 says of an object, in our words. */
import type { ObjectInfo, StorePath, StoreVersion } from '../store.ts';
import { notS3, type Attempt } from './failures.ts';

/** The digest beside the object. */
export const SHA256_KEY = 'sha256';

interface Answer {
  readonly ETag?: string | undefined;
  readonly ContentLength?: number | undefined;
  readonly Metadata?: Record<string, string> | undefined;
  readonly LastModified?: Date | undefined;
}

/** An ETag is the only version that S3 has. @throws GantryError when there is none: what answers without one is no S3 */
export function describeObject(
  { ETag, ContentLength = 0, Metadata, LastModified }: Answer,
  path: StorePath,
  attempted: Attempt,
): ObjectInfo {
  if (ETag === undefined) throw notS3(attempted);
  const sha256 = Metadata?.[SHA256_KEY];
  return {
    path,
    lengthBytes: ContentLength,
    version: ETag as StoreVersion,
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(LastModified === undefined ? {} : { modified: LastModified }),
  };
}

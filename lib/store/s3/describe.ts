/** What S3 is told of an object, and what it says of one, in our words. */
import type { PutObjectCommandInput } from '@aws-sdk/client-s3';
import { cacheControlOf } from '../cache-control.ts';
import { joinStorePath } from '../path.ts';
import type { ByteSource, Expect, ObjectInfo, StorePath, StoreVersion, WriteOptions } from '../store.ts';
import type { S3Context } from './context.ts';
import { notS3, type Attempt } from './failures.ts';
import type { S3Location } from './location.ts';

/** The digest beside the object. */
const SHA256_KEY = 'sha256';

export interface Write {
  readonly path: StorePath;
  readonly source: ByteSource;
  readonly options: WriteOptions & { readonly expect: Expect };
}

export interface ObjectName {
  readonly Bucket: string;
  readonly Key: string;
}

export function nameObject({ bucket, prefix }: S3Location, path: StorePath): ObjectName {
  return { Bucket: bucket, Key: prefix === '' ? path : joinStorePath(prefix, path) };
}

/** The object, its headers and its condition; the bytes are the caller's. */
export function describeWrite({ location, settings }: S3Context, { path, source, options }: Write): PutObjectCommandInput {
  const { expect, cacheClass, contentType } = options;
  const { encryption, acl } = settings;
  return {
    ...nameObject(location, path),
    ...(expect === 'absent' ? { IfNoneMatch: '*' } : { IfMatch: expect.version }),
    CacheControl: cacheControlOf(cacheClass),
    ContentType: contentType,
    Metadata: { [SHA256_KEY]: source.sha256 },
    ...(encryption === undefined ? {} : { ServerSideEncryption: encryption.algorithm }),
    ...(encryption?.kmsKeyId === undefined ? {} : { SSEKMSKeyId: encryption.kmsKeyId }),
    // Servers have canned ACLs of their own; whether this is one is theirs to say.
    ...(acl === undefined ? {} : { ACL: acl as NonNullable<PutObjectCommandInput['ACL']> }),
  };
}

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

/** Where an S3 store is, and how its objects are written: `s3://BUCKET/PREFIX` and what stands beside it. */
import { GantryError, quote } from '../../errors.ts';
import { isStorePath } from '../path.ts';

export interface S3Settings {
  /** AWS's own variables, profile or instance decide when it is absent. */
  readonly region?: string;
  /** Of a server that is not AWS: `https://minio.example.com`. */
  readonly endpoint?: string;
  /** The bucket in the path of the URL, not in its host name. */
  readonly pathStyle?: boolean;
  /** Of the AWS configuration files. */
  readonly profile?: string;
  /** `AES256`, or `aws:kms` with a key. */
  readonly encryption?: { readonly algorithm: 'AES256' | 'aws:kms'; readonly kmsKeyId?: string };
  /** A canned ACL such as `public-read`; buckets without ACLs refuse it. */
  readonly acl?: string;
}

export interface S3Location {
  readonly bucket: string;
  /** Without a slash at its ends; empty for the whole bucket. */
  readonly prefix: string;
}

/** Names that AWS allows today. */
const BUCKET = /^(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/u;

/** @throws GantryError `store/bad-location` */
export function parseS3Url(text: string): S3Location {
  const [, bucket = '', path = ''] = /^s3:\/\/([^/]*)(?:\/(.*))?$/u.exec(text) ?? [];
  const prefix = path.replace(/\/+$/u, '');
  const problem = !BUCKET.test(bucket)
    ? `${quote(bucket)} is no name of a bucket`
    : prefix !== '' && !isStorePath(prefix)
      ? `${quote(prefix)} has parts that not every server keeps apart`
      : undefined;
  if (problem === undefined) return { bucket, prefix };
  throw new GantryError(
    'store/bad-location',
    `Cannot use ${quote(text)} as a store: ${problem}; expected s3://BUCKET or s3://BUCKET/PREFIX`,
    { location: text },
  );
}

export function s3Url({ bucket, prefix }: S3Location): string {
  return prefix === '' ? `s3://${bucket}` : `s3://${bucket}/${prefix}`;
}

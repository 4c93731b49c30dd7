/** What the calls of an S3 store share. */
import type * as AwsS3 from '@aws-sdk/client-s3';
import type { S3Location, S3Settings } from './location.ts';
import type { PartBuffers } from './part-buffers.ts';

/** The AWS SDK, which is loaded when a bucket is opened and not before. */
export type Sdk = typeof AwsS3;

export interface S3Context {
  readonly client: AwsS3.S3Client;
  readonly location: S3Location;
  readonly settings: S3Settings;
  readonly buffers: PartBuffers;
  /** Runs a call and tells what went wrong in our words. */
  readonly attempt: <T>(call: string, path: string, work: () => Promise<T>, signal?: AbortSignal) => Promise<T>;
}

/** What the calls of an S3 store share. */
import type * as AwsS3 from '@aws-sdk/client-s3';
import { GantryError, quote } from '../../errors.ts';
import type { ByteSource, StorePath } from '../store.ts';
import type { S3Location, S3Settings } from './location.ts';

/** The AWS SDK, which is loaded when a bucket is opened and not before. */
export type Sdk = typeof AwsS3;

export interface S3Context {
  readonly client: AwsS3.S3Client;
  readonly location: S3Location;
  readonly settings: S3Settings;
  /** Runs a call and tells what went wrong in our words. */
  readonly attempt: <T>(call: string, path: string, work: () => Promise<T>, signal?: AbortSignal) => Promise<T>;
}

/** So that a source without an end is not sent, or kept, without an end. @throws GantryError `store/source-changed` */
export function refuseMoreBytes(path: StorePath, source: ByteSource, lengthBytes: number): void {
  if (lengthBytes <= source.lengthBytes) return;
  throw new GantryError(
    'store/source-changed',
    `Cannot write ${quote(path)}: its source gave more than ${source.lengthBytes} bytes; expected exactly so many`,
    { path },
  );
}

/** @throws GantryError `store/source-changed` */
export function refuseOtherBytes(path: StorePath, source: ByteSource, lengthBytes: number, sha256: string): void {
  if (lengthBytes === source.lengthBytes && sha256 === source.sha256) return;
  throw new GantryError(
    'store/source-changed',
    `Cannot write ${quote(path)}: its source gave ${lengthBytes} bytes, SHA-256 ${sha256}; expected ${source.lengthBytes} bytes, SHA-256 ${source.sha256}`,
    { path },
  );
}

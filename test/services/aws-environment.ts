/** What the AWS SDK takes from the environment, for a test: nothing of the person who runs it. */
import { createS3Store } from '../../lib/store/s3/s3.ts';
import type { Store } from '../../lib/store/store.ts';
import type { S3Credentials, S3Server } from '../support/s3-server.ts';

/** No files of this machine, and no instance that gives credentials. */
const NOBODY: Readonly<Record<string, string>> = {
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  AWS_EC2_METADATA_DISABLED: 'true',
};

export function awsEnvironment({ accessKeyId, secretAccessKey }: S3Credentials): Readonly<Record<string, string>> {
  return { ...NOBODY, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
}

/** The SDK reads the environment at its first call, not when a store is made: one set of credentials at a time. */
export function useCredentials(credentials: S3Credentials): void {
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  Object.assign(process.env, awsEnvironment(credentials));
}

/** A store with the credentials of its server, in the bucket. */
export async function storeIn({ endpoint, region, credentials }: S3Server, bucket: string, prefix = 'os'): Promise<Store> {
  useCredentials(credentials);
  return createS3Store({ bucket, prefix }, { endpoint, region, pathStyle: true });
}

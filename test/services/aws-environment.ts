/** What the AWS SDK takes from the environment, and a store that is made of it. */
import { createS3Store } from '../../lib/store/s3/s3.ts';
import type { Store } from '../../lib/store/store.ts';
import { useCredentials } from '../support/aws.ts';
import type { S3Server } from '../support/s3-server.ts';

export { awsEnvironment, useCredentials } from '../support/aws.ts';

/** A store with the credentials of its server, in the bucket. */
export async function storeIn({ endpoint, region, credentials }: S3Server, bucket: string, prefix = 'os'): Promise<Store> {
  useCredentials(credentials);
  return createS3Store({ bucket, prefix }, { endpoint, region, pathStyle: true });
}

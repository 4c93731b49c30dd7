/** A publication to a bucket that is killed at every step, and finished by a machine that knows only the store; on MinIO. */
import { killOnServer } from './s3.ts';
import { aRelease } from './scenario.ts';

await killOnServer('minio', [{ what: 'a release', scenario: aRelease, reruns: ['fresh checkout'] }]);

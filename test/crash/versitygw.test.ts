/** A publication to a bucket that is killed at every step, or cut off at some; versitygw keeps objects as files. */
import { killOnServer } from './s3.ts';
import { aRelease } from './scenario.ts';

await killOnServer('versitygw', [
  { what: 'a release', scenario: aRelease, reruns: ['same checkout'] },
  { what: 'a release', scenario: aRelease, reruns: ['same checkout'], how: 'network lost', every: 8 },
  { what: 'a release', scenario: aRelease, reruns: ['same checkout'], how: 'credentials expired', every: 8 },
]);

/** A publication to a bucket that is killed at every step; versitygw keeps objects as files. */
import { killOnServer } from './s3.ts';
import { aPlan, aRelease, aRoot, twoRepositories } from './scenario.ts';

await killOnServer('versitygw', [
  { what: 'a release', scenario: aRelease, reruns: ['same checkout'] },
  { what: 'a release', scenario: aRelease, reruns: ['same checkout'], how: 'network lost', every: 8 },
  { what: 'a release', scenario: aRelease, reruns: ['same checkout'], how: 'credentials expired', every: 8 },
  { what: 'a root', scenario: aRoot, reruns: ['same checkout'], every: 6 },
  { what: 'two repositories', scenario: twoRepositories, reruns: ['same checkout'], every: 6 },
  { what: 'a plan', scenario: aPlan, reruns: ['same checkout'], every: 6 },
]);

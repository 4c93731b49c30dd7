/** Publications of a root, of two repositories and of a plan to a bucket, killed at every step. */
import { killOnServer } from './s3.ts';
import { aPlan, aRoot, twoRepositories } from './scenario.ts';

await killOnServer('versitygw', [
  { what: 'a root', scenario: aRoot, reruns: ['same checkout'] },
  { what: 'two repositories', scenario: twoRepositories, reruns: ['same checkout'] },
  { what: 'a plan', scenario: aPlan, reruns: ['same checkout'] },
]);

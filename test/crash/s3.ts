/** The same publications to a bucket, on a server of this kind. */
import { after, before, describe, test } from 'node:test';
import { skipReason, startS3Server, type S3Server, type S3ServerKind } from '../support/s3-server.ts';
import { killEverywhere, type HarnessOptions } from './harness.ts';
import { bucketPlace } from './place.ts';
import type { MakePlace, Scenario } from './scenario.ts';
import type { TestContext } from 'node:test';

export interface BucketCase extends HarnessOptions {
  /** What is published. */
  readonly what: string;
  readonly scenario: (t: TestContext, makePlace: MakePlace) => Promise<Scenario>;
}

export async function killOnServer(kind: S3ServerKind, cases: readonly BucketCase[]): Promise<void> {
  describe(kind, { skip: await skipReason(kind) }, () => {
    let server: S3Server;
    before(async () => {
      server = await startS3Server(kind);
    });
    after(async () => server.stop());

    for (const { what, scenario, ...options } of cases) {
      test(`gantry publish of ${what} to ${kind} can be run again wherever it stops: ${options.how ?? 'killed'}`, async (t) => {
        await killEverywhere(t, await scenario(t, async () => bucketPlace(server)), options);
      });
    }
  });
}

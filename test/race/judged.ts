/**
 * The races as tests: what a fair one must show, and what one without conditions must.
 *
 * `GANTRY_RACE_ROUNDS` says how many rounds each race has, 200 by default. What races is in memory where the machine has such a folder:
 * nothing here is about durability, and syncing a disk would take nine tenths of the time.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { useMemoryFolder } from '../support/memory-folder.ts';
import { startS3Proxy, withoutConditions } from '../support/s3-proxy.ts';
import { skipReason, startS3Server, type S3Server, type S3ServerKind } from '../support/s3-server.ts';
import type { StoreSpec } from './messages.ts';
import { startPublishers } from './pool.ts';
import { race, type RaceReport } from './race.ts';

const ROUNDS = Number(process.env['GANTRY_RACE_ROUNDS'] ?? '200');
const COUNTS = [2, 8] as const;
/** Enough for a double that keeps no conditions: it is found in the first one. */
const FEW_ROUNDS = 3;

export interface Arena {
  /** In sentences. */
  readonly name: string;
  readonly newStore: (t: TestContext) => Promise<StoreSpec>;
  /** A double that ignores what a write expects. */
  readonly newCarelessStore: (t: TestContext) => Promise<StoreSpec>;
}

/** Defines the tests. Publishers are processes of the test file. */
export function testRaces({ name, newStore, newCarelessStore }: Arena): void {
  useMemoryFolder();
  const publishers = startPublishers({ after }, Math.max(...COUNTS));
  for (const count of COUNTS) {
    test(`of ${count} publishers to ${name} exactly one wins, and nothing is lost`, async (t) => {
      const report = await race(t, { publishers: publishers.slice(0, count), rounds: ROUNDS, newStore: async () => newStore(t) });
      tell(t, `${count} publishers to ${name}`, report);
      assert.deepEqual(report.problems, []);
      assert.equal(report.rounds, ROUNDS);
      assert.equal(report.releases, ROUNDS * count);
      assert.equal(report.conflicts, ROUNDS * (count - 1));
      assert.ok(report.sameState >= 0.9 * ROUNDS, `in ${report.sameState} of ${ROUNDS} rounds two planned from the same state`);
    });

    test(`a race of ${count} shows that ${name} keeps no conditions, where it does not`, async (t) => {
      const report = await race(t, {
        publishers: publishers.slice(0, count),
        rounds: FEW_ROUNDS,
        newStore: async () => newCarelessStore(t),
      });
      tell(t, `${count} publishers to ${name} without conditions`, report);
      assert.match(report.problems.join('\n'), /publishers won; expected exactly one/u);
    });
  }
}

/** The same on a real server, and on a proxy in front of it that strips conditions. */
export async function testRacesOn(kind: S3ServerKind): Promise<void> {
  describe(kind, { skip: await skipReason(kind) }, () => {
    let server: S3Server;
    before(async () => {
      server = await startS3Server(kind);
    });
    after(async () => server.stop());
    const bucketAt = async (endpoint: string): Promise<StoreSpec> => {
      const { region, credentials } = server;
      return { kind: 's3', endpoint, region, credentials, bucket: await server.bucket('race') };
    };
    testRaces({
      name: kind,
      newStore: async () => bucketAt(server.endpoint),
      newCarelessStore: async (t) => bucketAt(await startS3Proxy(t, server, withoutConditions)),
    });
  });
}

function tell(t: TestContext, who: string, report: RaceReport): void {
  const { rounds, sameState, publications, releases, conflicts, passes, seen, milliseconds } = report;
  t.diagnostic(
    `race: ${who}: ${rounds} rounds, ${sameState} from the same state, ${publications} publications of ${releases} releases, ` +
      `${conflicts} conflicts, ${report.problems.length} problems; a client looked ${passes} times, saw ${seen} publications; ${(milliseconds / 1000).toFixed(1)} s`,
  );
}

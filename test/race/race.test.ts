/**
 * Two and eight publishers race for one repository, on a directory and on real S3 servers.
 *
 * `GANTRY_RACE_ROUNDS` says how many rounds each race has, 200 by default. What races is in memory where the machine has such a folder:
 * nothing here is about durability, and syncing a disk would take nine tenths of the time.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { temporaryDirectory } from '../support/engineer.ts';
import { useMemoryFolder } from '../support/memory-folder.ts';
import { S3_SERVER_KINDS, skipReason, startS3Server, type S3Server } from '../support/s3-server.ts';
import { startS3Proxy, withoutConditions } from '../support/s3-proxy.ts';
import type { StoreSpec } from './messages.ts';
import { startPublishers, type Publisher } from './pool.ts';
import { race, type RaceReport } from './race.ts';

const ROUNDS = Number(process.env['GANTRY_RACE_ROUNDS'] ?? '200');
const COUNTS = [2, 8] as const;
/** Enough for a double that keeps no conditions: it is found in the first one. */
const FEW_ROUNDS = 3;

useMemoryFolder();
const publishers: readonly Publisher[] = startPublishers({ after }, Math.max(...COUNTS));

function tell(t: TestContext, where: string, count: number, report: RaceReport): void {
  const { rounds, sameState, publications, releases, conflicts, passes, seen, milliseconds } = report;
  t.diagnostic(
    `race: ${count} publishers on ${where}: ${rounds} rounds, in ${sameState} of them two planned from the same state, ` +
      `${publications} publications of ${releases} releases, ${conflicts} conflicts, a client looked ${passes} times and saw ${seen} publications, ${(milliseconds / 1000).toFixed(1)} s`,
  );
}

async function assertFair(t: TestContext, where: string, count: number, newStore: () => Promise<StoreSpec>): Promise<void> {
  const report = await race(t, { publishers: publishers.slice(0, count), rounds: ROUNDS, newStore });
  tell(t, where, count, report);
  assert.deepEqual(report.problems, []);
  assert.equal(report.rounds, ROUNDS);
  assert.equal(report.releases, ROUNDS * count);
  assert.equal(report.conflicts, ROUNDS * (count - 1));
  assert.ok(report.sameState >= 0.9 * ROUNDS, `in ${report.sameState} of ${ROUNDS} rounds two planned from the same state`);
}

async function directoryStore(t: TestContext, conditions: 'kept' | 'ignored'): Promise<StoreSpec> {
  return { kind: 'directory', directory: join(await temporaryDirectory(t), 'public'), conditions };
}

for (const count of COUNTS) {
  test(`of ${count} publishers to a directory exactly one wins, and nothing is lost`, async (t) => {
    await assertFair(t, 'a directory', count, async () => directoryStore(t, 'kept'));
  });

  test(`a race of ${count} shows that a directory does not keep conditions`, async (t) => {
    const report = await race(t, {
      publishers: publishers.slice(0, count),
      rounds: FEW_ROUNDS,
      newStore: async () => directoryStore(t, 'ignored'),
    });
    tell(t, 'a careless directory', count, report);
    assert.match(report.problems.join('\n'), /publishers won; expected exactly one/u);
  });
}

for (const kind of S3_SERVER_KINDS) {
  describe(kind, { skip: await skipReason(kind) }, () => {
    let server: S3Server;
    before(async () => {
      server = await startS3Server(kind);
    });
    after(async () => server.stop());

    const bucketOf = async ({
      endpoint,
      region,
      credentials,
    }: Pick<S3Server, 'endpoint' | 'region' | 'credentials'>): Promise<StoreSpec> => ({
      kind: 's3',
      endpoint,
      region,
      credentials,
      bucket: await server.bucket('race'),
    });

    for (const count of COUNTS) {
      test(`of ${count} publishers to ${kind} exactly one wins, and nothing is lost`, async (t) => {
        await assertFair(t, kind, count, async () => bucketOf(server));
      });
    }

    test(`a race of 8 shows that a proxy in front of ${kind} strips conditions`, async (t) => {
      const endpoint = await startS3Proxy(t, server, withoutConditions);
      const report = await race(t, { publishers, rounds: FEW_ROUNDS, newStore: async () => bucketOf({ ...server, endpoint }) });
      tell(t, `${kind} without conditions`, 8, report);
      assert.match(report.problems.join('\n'), /publishers won; expected exactly one/u);
    });
  });
}

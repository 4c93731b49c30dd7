/** Repositories that other implementations wrote, read over HTTP by our client. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { openRepository } from '../../lib/client/index.ts';
import type { RepositoryClient } from '../../lib/client/index.ts';
import { startFileServer } from '../support/file-server.ts';
import { FIXTURES } from '../support/fixtures.ts';
import type { FixtureRepository } from '../support/fixtures.ts';

let temporary: string;

beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'gantry-fixtures-'));
});

afterEach(() => rm(temporary, { recursive: true, force: true }));

/** A host that knows only the first root, with a state of its own. */
async function withRefreshedClient(fixture: FixtureRepository, work: (client: RepositoryClient) => Promise<void>): Promise<void> {
  await using server = await startFileServer(fixture.directory);
  const client = await openRepository({
    root: await readFile(join(fixture.directory, 'metadata', '1.root.json')),
    metadataUrl: new URL('metadata/', server.url),
    targetsUrl: new URL('targets/', server.url),
    stateDirectory: join(temporary, 'state'),
  });
  try {
    await client.refresh();
    await work(client);
  } finally {
    client.close();
  }
}

for (const fixture of FIXTURES) {
  describe(`a repository written by ${fixture.name}`, () => {
    test('targets() lists what the repository signed when it was refreshed', async () => {
      await withRefreshedClient(fixture, async (client) => {
        assert.equal(client.targets().length, Object.keys(fixture.targetFiles).length);
        const { root, targets, snapshot, timestamp } = client.roles();
        const versions = {
          root: root.version,
          targets: targets.version,
          snapshot: snapshot.version,
          timestamp: timestamp.version,
        };
        assert.deepEqual(versions, fixture.versions);
      });
    });

    for (const [target, file] of Object.entries(fixture.targetFiles)) {
      test(`download() writes ${target} when it was refreshed`, async () => {
        await withRefreshedClient(fixture, async (client) => {
          await client.download(await client.target(target), join(temporary, 'downloaded'));
        });
        const expected = await readFile(join(fixture.directory, 'targets', file));
        assert.deepEqual(await readFile(join(temporary, 'downloaded')), expected);
        assert.deepEqual((await readdir(temporary)).toSorted(), ['downloaded', 'state']);
      });
    }
  });
}

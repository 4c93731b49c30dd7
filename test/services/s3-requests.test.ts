/** What a publication costs in requests and bytes: it depends on the change, not on how much is published already. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { readLive } from '../../lib/publish/live.ts';
import { draftFrom, type Change } from '../../lib/repository/draft.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { saveDraft } from '../../lib/workspace/draft-files.ts';
import { addObject } from '../../lib/workspace/objects.ts';
import { describeEachS3Server } from '../support/each-s3-server.ts';
import { METAL, addVersion, engineerWithRoot, publish, sign, type Engineer } from '../support/engineer.ts';
import { countRequests, type RequestCount } from '../support/s3-requests.ts';

import { storeIn } from './aws-environment.ts';

/** Equal small images, under names of their own. */
const IMAGE = Buffer.alloc(64, 'x');

/** Publishes so many releases at once: the same metadata as one after the other. */
async function publishHistory(engineer: Engineer, releases: number): Promise<void> {
  const live = await readLive(engineer.workspace, engineer.store, METAL);
  const file = { length: IMAGE.length, hashes: { sha256: sha256Hex(IMAGE) } };
  const changes = Array.from({ length: releases }, (_, index): readonly Change[] => {
    const version = `1.${index}.0`;
    const name = (kind: string): string => `os-metal-x86_64-${version}-${kind}.ext4.lz4`;
    const images = { boot: name('boot'), root: name('root'), hash: name('verity') };
    return [
      ...Object.values(images).map((path): Change => ({ kind: 'put-target', path, file })),
      { kind: 'add-update', update: { ...METAL, version, images, migrations: [] } },
    ];
  }).flat();
  await addObject(
    engineer.workspace,
    (async function* () {
      yield IMAGE;
    })(),
  );
  const options = { versions: live.versions, now: engineer.now, policy: engineer.workspace.expiry };
  await saveDraft(engineer.workspace, METAL, draftFrom(live.trusted, changes, options));
  await sign(engineer);
  await publish(engineer);
}

await describeEachS3Server((kind, server) => {
  const costAfter = async (t: TestContext, releases: number): Promise<RequestCount> => {
    const store = await storeIn(server, await server.bucket('requests'));
    const engineer: Engineer = { ...(await engineerWithRoot(t, new Date())), store };
    await publishHistory(engineer, releases);
    await addVersion(engineer, '2.0.0');
    await sign(engineer);
    return countRequests(server.endpoint, async () => void (await publish(engineer)));
  };

  test(`one more release costs as many requests to ${kind} after 10 releases as after 1,000`, async (t) => {
    const [few, many] = [await costAfter(t, 10), await costAfter(t, 1000)];
    t.diagnostic(`requests after 10 releases: ${few.total}, after 1,000: ${many.total} (${JSON.stringify(many.byKind)})`);
    assert.deepEqual(many, few);
    // Three images with their frame tables, the manifest, three roles; and what must be looked at to be safe.
    assert.equal(few.byKind['PUT'], 10);
    assert.ok(few.total <= 40, `${few.total}`);
  });
});

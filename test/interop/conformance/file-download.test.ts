/** The items of `test_file_download.py`. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { allItems, item, type Conformance } from '../../support/conformance.ts';
import type { Targets } from '../../../lib/tuf/types.ts';

const M = 'test_file_download';

async function offer({ world }: Pick<Conformance, 'world'>, name: string, content: string): Promise<void> {
  world.role('targets').targets.set(name, Buffer.from(content));
  await world.publish();
}

/** Requests for targets since this was asked last. */
function fetched({ server }: Conformance): number {
  const count = server.requests.filter((path) => path.startsWith('targets/')).length;
  server.requests.length = 0;
  return count;
}

for (const [name, path] of Object.entries({
  client_downloads_expected_file: 'file.txt',
  client_downloads_expected_file_in_sub_dir: 'dir/sub/file.txt',
})) {
  item(M, name, async (scene) => {
    assert.equal(await scene.download(path), 1);
    await offer(scene, path, 'content');
    assert.equal(await scene.download(path), 0);
    assert.equal(await scene.content(path), 'content');
  });
}

item(M, 'repository_substitutes_target_file', async (scene) => {
  await offer(scene, 'file.txt', 'content');
  assert.equal(await scene.download('file.txt'), 0);
  await offer(scene, 'file.txt', 'changed');
  scene.world.files.set(scene.world.targetFile('file.txt', Buffer.from('changed')), Buffer.from('hostile'));
  assert.equal(await scene.download('file.txt'), 1);
  assert.equal(await scene.content('file.txt'), 'content');
});

item(M, 'multiple_changes_to_target', async (scene) => {
  for (let round = 0; round < 10; round += 1) {
    await offer(scene, 'file.txt', `content ${round}`);
    assert.equal(await scene.download('file.txt'), 0);
    assert.equal(await scene.content('file.txt'), `content ${round}`);
    await offer(scene, 'file.txt', `changed ${round}`);
    scene.world.files.set(scene.world.targetFile('file.txt', Buffer.from(`changed ${round}`)), Buffer.from(`hostile ${round}`));
    assert.equal(await scene.download('file.txt'), 1);
    assert.equal(await scene.content('file.txt'), `content ${round}`);
  }
});

const hashed =
  (hashes: Readonly<Record<string, string>>) =>
  (signed: Targets): object => ({ ...signed, targets: { ...signed.targets, 'file.txt': { length: 7, hashes } } });
const DIGESTS = { sha256: hash('sha256', 'content'), sha512: hash('sha512', 'content') };

for (const [name, hashes] of Object.entries({ sha256: { sha256: DIGESTS.sha256 }, sha512: { sha512: DIGESTS.sha512 }, both: DIGESTS })) {
  item(M, `download_with_hash_algorithms[${name}]`, async ({ world, download, content }) => {
    await world.publish({ targets: { signed: hashed(hashes) } });
    for (const digest of Object.values(hashes)) world.files.set(`targets/${digest}.file.txt`, Buffer.from('content'));
    assert.equal(await download('file.txt'), 0);
    assert.equal(await content('file.txt'), 'content');
  });
}

item(M, 'download_with_unknown_hash_algorithm', async ({ world, download }) => {
  await world.publish({ targets: { signed: hashed({ 'sha-unknown': DIGESTS.sha256 }) } });
  world.files.set(`targets/${DIGESTS.sha256}.file.txt`, Buffer.from('content'));
  assert.equal(await download('file.txt'), 1);
});

item(M, 'artifact_cache', async (scene) => {
  await offer(scene, 'file.txt', 'content');
  assert.equal(await scene.download('file.txt'), 0);
  assert.equal(fetched(scene), 1);
  assert.equal(await scene.download('file.txt'), 0);
  assert.equal(fetched(scene), 0);
});

allItems(M);

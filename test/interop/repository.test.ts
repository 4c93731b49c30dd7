/** What we write, every client reads: a repository of ours, read by five foreign clients over our own server. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, open, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { PEER_NAMES, PeerRefused, readWithPeer, skipReason } from '../support/peers.ts';
import type { PeerName, PeerReport } from '../support/peers.ts';
import { publishedRepository } from '../support/published-repository.ts';
import type { PublishedRepository } from '../support/published-repository.ts';

let temporary: string;
let out: string;

beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'gantry-interop-'));
  out = join(temporary, 'out');
  await mkdir(out);
});

afterEach(() => rm(temporary, { recursive: true, force: true }));

async function read(peer: PeerName, repository: PublishedRepository): Promise<PeerReport> {
  const server = await startStaticServer({ directory: repository.directory });
  try {
    return await readWithPeer(peer, {
      rootFile: repository.rootFile,
      metadataUrl: new URL(repository.metadataPath, server.url),
      targetsUrl: new URL(repository.targetsPath, server.url),
      out,
    });
  } finally {
    await server.close();
  }
}

/** Changes one bit in the middle of a published target, as an attacker on the server would. */
async function alter(file: string): Promise<void> {
  await using handle = await open(file, 'r+');
  const { size } = await handle.stat();
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, Math.floor(size / 2));
  await handle.write(Buffer.from([byte.readUInt8() ^ 1]), 0, 1, Math.floor(size / 2));
}

for (const peer of PEER_NAMES) {
  const skip = await skipReason(peer);

  describe(`${peer} on a repository of ours`, () => {
    test(`${peer} downloads every target when it knows only the first root`, { skip }, async () => {
      const repository = await publishedRepository(join(temporary, 'public'));
      const { client, downloaded, ...versions } = await read(peer, repository);
      assert.ok(client.startsWith(peer), client);
      assert.deepEqual(versions, repository.versions);
      assert.deepEqual(downloaded, [...repository.targets.keys()].toSorted());
      assert.deepEqual((await readdir(out)).toSorted(), downloaded);
      for (const [name, bytes] of repository.targets) {
        assert.ok((await readFile(join(out, name))).equals(bytes), name);
      }
    });

    test(`${peer} refuses a target when one bit of it was changed on the server`, { skip }, async () => {
      const repository = await publishedRepository(join(temporary, 'public'));
      const [victim] = [...repository.targets.keys()].toSorted();
      assert.ok(victim !== undefined);
      await alter(repository.publishedFile(victim));
      await assert.rejects(read(peer, repository), PeerRefused);
      assert.ok(!(await readdir(out)).includes(victim));
    });
  });
}

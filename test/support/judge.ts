/**
 * Whether a repository has been torn or forked, judged by a client that reads what is really stored.
 *
 * Rules:
 * - a host that remembers is never refused, and every target that the manifest names has the bytes that were signed;
 * - versions go up, never down, and a timestamp changes with its version only;
 * - what was released stays released: nobody takes anything away in these tests, so what is missing was lost in a fork;
 * - nothing but `timestamp.json` is ever written twice.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { openRepository } from '../../lib/client/index.ts';
import { STORE_URL, storeTransport } from '../../lib/publish/store-transport.ts';
import type { Store, StorePath, StoreVersion } from '../../lib/store/store.ts';

export interface Judge {
  /** The releases that are live. @throws AssertionError */
  look(): Promise<ReadonlySet<string>>;
  close(): void;
}

export async function openJudge(store: Store, options: { readonly rootFile: string; readonly directory: string }): Promise<Judge> {
  const client = await openRepository({
    root: options.rootFile,
    metadataUrl: new URL('metal/x86_64/', STORE_URL),
    stateDirectory: join(options.directory, 'judge'),
    transport: storeTransport(store),
  });
  const written = new Map<StorePath, StoreVersion>();
  const fetched = new Set<string>();
  let releases: ReadonlySet<string> = new Set();
  let last = { timestamp: 0, snapshot: 0, targets: 0 };
  let timestamp: StoreVersion | undefined;
  return {
    close: () => client.close(),
    async look() {
      await client.refresh();
      const { timestamp: t, snapshot, targets } = client.roles();
      const now = { timestamp: t.version, snapshot: snapshot.version, targets: targets.version };
      for await (const { path, version } of store.list('')) {
        if (path.endsWith('/timestamp.json')) {
          const isOther = timestamp !== undefined && timestamp !== version;
          assert.equal(now.timestamp > last.timestamp, isOther || timestamp === undefined, 'a timestamp was replaced by its own version');
          timestamp = version;
          continue;
        }
        assert.equal(version, written.get(path) ?? version, `${path} was written twice`);
        written.set(path, version);
      }
      assert.ok(now.snapshot >= last.snapshot && now.targets >= last.targets, `${JSON.stringify(now)} after ${JSON.stringify(last)}`);
      last = now;
      const { updates } = await client.manifest();
      for (const path of updates.flatMap(({ images: { boot, root, hash } }) => [boot, root, hash])) {
        if (fetched.has(path)) continue;
        for await (const chunk of client.verifiedStream(await client.target(path))) void chunk;
        fetched.add(path);
      }
      const live = new Set(updates.map(({ variant }) => variant));
      const lost = [...releases].filter((name) => !live.has(name));
      assert.deepEqual(lost, [], 'released, and not live any more');
      releases = live;
      return live;
    },
  };
}

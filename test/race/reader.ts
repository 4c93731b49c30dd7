/**
 * A client that reads all the time while others publish.
 *
 * Rules:
 * - a host that remembers refreshes again and again, and now and then one that is new; neither may ever be refused anything;
 * - versions never go back, and another timestamp means a higher version of it and of the snapshot;
 * - what the manifest names is there, with the bytes that were signed.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import { readFile } from 'node:fs/promises';
import { openRepository, type RepositoryClient } from '../../lib/client/index.ts';
import { STORE_URL, storeTransport } from '../../lib/publish/store-transport.ts';
import type { Store } from '../../lib/store/store.ts';
import { temporaryDirectory, type Cleanup } from '../support/engineer.ts';

const PAUSE_MS = 50;
/** Passes from one new host to the next. */
const FRESH_EVERY = 10;

export interface ReaderReport {
  readonly passes: number;
  /** Different timestamps that were seen. */
  readonly publications: number;
  readonly problems: readonly string[];
}

interface Versions {
  readonly timestamp: number;
  readonly snapshot: number;
  readonly targets: number;
}

export interface Reader {
  stop(): Promise<ReaderReport>;
}

export async function startReader(t: Cleanup, store: Store, rootFile: string): Promise<Reader> {
  const root = await readFile(rootFile);
  const open = async (): Promise<RepositoryClient> =>
    openRepository({
      root,
      metadataUrl: new URL('metal/x86_64/', STORE_URL),
      stateDirectory: join(await temporaryDirectory(t), 'state'),
      transport: storeTransport(store),
    });
  const remembering = await open();
  const stop = new AbortController();
  const problems = new Set<string>();
  const fetched = new Set<string>();
  let passes = 0;
  let publications = 0;
  let last: Versions = { timestamp: 0, snapshot: 0, targets: 0 };
  const pass = async (): Promise<void> => {
    await remembering.refresh();
    await fetchNew(remembering, fetched);
    const now = versionsIn(remembering);
    if (now.timestamp !== last.timestamp) publications += 1;
    const isOrdered = now.timestamp === last.timestamp ? now.snapshot === last.snapshot : now.snapshot > last.snapshot;
    if (now.timestamp < last.timestamp || now.targets < last.targets || !isOrdered) {
      problems.add(`a client saw ${JSON.stringify(now)} after ${JSON.stringify(last)}`);
    }
    last = now;
    if (passes % FRESH_EVERY !== 0) return;
    const fresh = await open();
    await fresh.refresh();
    await fetchNew(fresh, fetched);
  };
  const reading = (async () => {
    while (!stop.signal.aborted) {
      await pass().catch((error: unknown) => problems.add(`a client was refused: ${String(error)}`));
      passes += 1;
      await delay(PAUSE_MS);
    }
    remembering.close();
  })();
  return {
    async stop() {
      stop.abort();
      await reading;
      return { passes, publications, problems: [...problems] };
    },
  };
}

function versionsIn(client: RepositoryClient): Versions {
  const { timestamp, snapshot, targets } = client.roles();
  return { timestamp: timestamp.version, snapshot: snapshot.version, targets: targets.version };
}

/** The stream itself refuses bytes that were not signed. */
async function fetchNew(client: RepositoryClient, fetched: Set<string>): Promise<void> {
  const { updates } = await client.manifest();
  for (const path of updates.flatMap(({ images }) => Object.values(images))) {
    if (typeof path !== 'string' || fetched.has(path)) continue;
    for await (const chunk of client.verifiedStream(await client.target(path))) void chunk;
    fetched.add(path);
  }
}

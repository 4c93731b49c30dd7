/**
 * A host that reads a repository over and over while somebody publishes.
 *
 * Rules:
 * - each read starts from the timestamp, and goes on to every target that it has not fetched of this publication yet;
 * - what does not verify, is missing, or is older than what was read before is torn: it is kept, and the harness fails on it.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openRepository, type RepositoryClient } from '../../lib/client/index.ts';

/** Between two reads when nobody waits for one: the publisher needs the machine as well. */
const PAUSE_MS = 100;
const ROLES = ['root', 'timestamp', 'snapshot', 'targets'] as const;

/** What one read saw, as one line: equal lines are the same publication. */
export type Sight = string;

export interface ReaderPlace {
  readonly root: Uint8Array;
  readonly metadataUrl: URL;
  /** Made by the reader; a new host has an empty one. */
  readonly stateDirectory: string;
}

export interface Reader {
  /** Complete reads so far. */
  readonly reads: number;
  /** What was torn. */
  readonly problems: readonly string[];
  /** What the next read sees that begins from now on, every target included; undefined when it is torn. */
  next(): Promise<Sight | undefined>;
  /** Ends after the read that is under way. */
  stop(): Promise<void>;
}

/** Reads from now on, each time as a host that has just started and remembers what it trusted. */
export function startReader(place: ReaderPlace): Reader {
  const problems: string[] = [];
  const before = new Map<(typeof ROLES)[number], number>();
  const waiting: ((sight: Sight | undefined) => void)[] = [];
  const end = new AbortController();
  let pause = new AbortController();
  let reads = 0;
  let fetched: Sight | undefined;
  const read = async (client: RepositoryClient, depth: 'new' | 'all'): Promise<Sight> => {
    await client.refresh();
    const sight = sightOf(client);
    if (sight !== fetched || depth === 'all') await fetchTargets(client);
    fetched = sight;
    const roles = client.roles();
    for (const role of ROLES) {
      const { version } = roles[role];
      if (version < (before.get(role) ?? 0)) throw new Error(`${role} went back from ${before.get(role)} to ${version}`);
      before.set(role, version);
    }
    reads += 1;
    return sight;
  };
  const readOn = async (): Promise<void> => {
    while (!end.signal.aborted) {
      const asked = waiting.splice(0);
      const client = await open(place);
      let sight: Sight | undefined;
      try {
        sight = await read(client, asked.length > 0 ? 'all' : 'new');
      } catch (error) {
        problems.push(error instanceof Error ? error.message : String(error));
      } finally {
        client.close();
      }
      for (const tell of asked) tell(sight);
      if (waiting.length > 0) continue;
      pause = new AbortController();
      await delay(PAUSE_MS, undefined, { signal: pause.signal }).catch(() => undefined);
    }
  };
  const reading = readOn();
  return {
    problems,
    get reads() {
      return reads;
    },
    async next() {
      const { promise, resolve } = Promise.withResolvers<Sight | undefined>();
      waiting.push(resolve);
      pause.abort();
      return promise;
    },
    async stop() {
      end.abort();
      pause.abort();
      await reading;
    },
  };
}

async function open({ root, metadataUrl, stateDirectory }: ReaderPlace): Promise<RepositoryClient> {
  return openRepository({ root, metadataUrl, stateDirectory: join(stateDirectory, 'state') });
}

async function fetchTargets(client: RepositoryClient): Promise<void> {
  for (const target of client.targets()) {
    let bytes = 0;
    for await (const chunk of client.verifiedStream(target)) bytes += chunk.length;
    if (bytes !== target.lengthBytes) throw new Error(`${target.path.fileName()} has ${bytes} bytes, not ${target.lengthBytes}`);
  }
}

function sightOf(client: RepositoryClient): Sight {
  const roles = client.roles();
  const versions = ROLES.map((role) => `${role} ${roles[role].version}`);
  return [
    ...versions,
    ...client
      .targets()
      .map(({ digest }) => digest.hex.slice(0, 8))
      .toSorted(),
  ].join(' ');
}

/** A host in front of a simulated repository, with a server between them that can lie. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { openRepository, type OpenOptions, type RepositoryClient } from '../../lib/client/index.ts';
import { temporaryDirectory } from './engineer.ts';
import { startHostileServer, type HostileServer } from './hostile-server.ts';
import { METADATA } from './simulator.ts';

/** What a host needs of a repository in memory. */
interface ServedRepository {
  readonly files: ReadonlyMap<string, Uint8Array>;
  metadata(file: string): Uint8Array;
}

export interface SimulatedHost {
  /** Goes away with the test. */
  readonly directory: string;
  readonly stateDirectory: string;
  readonly server: HostileServer;
  /** A client on the state directory; each call is a restart of the host. */
  open(options?: Partial<OpenOptions>): Promise<RepositoryClient>;
  /** A client that has refreshed. */
  refreshed(options?: Partial<OpenOptions>): Promise<RepositoryClient>;
  /** The version of each role that the state directory holds. */
  trusted(): Promise<Readonly<Record<string, number>>>;
}

export async function simulatedHost(t: TestContext, simulator: ServedRepository): Promise<SimulatedHost> {
  const directory = await temporaryDirectory(t);
  const stateDirectory = join(directory, 'state');
  const server = await startHostileServer(t, simulator.files);
  const root = simulator.metadata('1.root.json');
  await mkdir(stateDirectory);
  const open = async (options: Partial<OpenOptions> = {}): Promise<RepositoryClient> => {
    const metadataUrl = new URL(METADATA, server.url);
    const client = await openRepository({ root, metadataUrl, stateDirectory, idleTimeoutMs: 500, patienceMs: 0, ...options });
    t.after(() => client.close());
    return client;
  };
  return {
    directory,
    stateDirectory,
    server,
    open,
    async refreshed(options) {
      const client = await open(options);
      await client.refresh();
      return client;
    },
    async trusted() {
      const versions: Record<string, number> = {};
      for (const role of ['root', 'timestamp', 'snapshot', 'targets']) {
        const text = await readFile(join(stateDirectory, `${role}.json`), 'utf8').catch(() => undefined);
        if (text !== undefined) versions[role] = JSON.parse(text).signed.version;
      }
      return versions;
    },
  };
}

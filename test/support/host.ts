/** A host with a state directory of its own, in front of a server that may lie. */
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { openRepository, type OpenOptions, type RepositoryClient } from '../../lib/client/index.ts';
import { temporaryDirectory } from './engineer.ts';
import { startLyingServer, type LyingServer } from './lying-server.ts';
import { METADATA, type Simulator } from './simulator.ts';

export interface Host {
  readonly directory: string;
  readonly stateDirectory: string;
  readonly server: LyingServer;
  /** Another process of this host, as far as the state is concerned. */
  open(options?: Partial<OpenOptions>): Promise<RepositoryClient>;
  /** The version of each role that the state directory holds. */
  trusted(): Promise<Readonly<Record<string, number>>>;
  /** Every name in the state directory but the lock. */
  stateNames(): Promise<readonly string[]>;
}

/** Short, so that a test of a stall is quick; long for a loopback. */
export const IDLE_MS = 300;

export async function newHost(t: TestContext, simulator: Simulator): Promise<Host> {
  const directory = await temporaryDirectory(t);
  const stateDirectory = join(directory, 'state');
  const server = await startLyingServer(t, simulator.files);
  const root = simulator.metadata('1.root.json');
  await mkdir(stateDirectory);
  return {
    directory,
    stateDirectory,
    server,
    async open(options = {}) {
      const client = await openRepository({
        root,
        metadataUrl: new URL(METADATA, server.url),
        stateDirectory,
        idleTimeoutMs: IDLE_MS,
        tries: 1,
        ...options,
      });
      t.after(() => client.close());
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
    async stateNames() {
      return (await readdir(stateDirectory)).filter((name) => !name.startsWith('lock.sqlite')).toSorted();
    },
  };
}

/** A host that has refreshed once. */
export async function refreshedHost(t: TestContext, simulator: Simulator): Promise<Host & { readonly client: RepositoryClient }> {
  const host = await newHost(t, simulator);
  const client = await host.open();
  await client.refresh();
  return { ...host, client };
}

/** What an attempt that must fail fails with. */
export async function failureOf(attempt: Promise<unknown>): Promise<unknown> {
  return attempt.then(
    (value) => {
      throw new Error(`it succeeded: ${String(value)}`);
    },
    (error: unknown) => error,
  );
}

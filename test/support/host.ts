/** A host in front of a release engineer's store, with a server between them that can lie. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { openRepository, type OpenOptions, type RepositoryClient, type VerifiedTarget } from '../../lib/client/index.ts';
import { engineerWithRelease, type Engineer } from './engineer.ts';
import { startHostileServer, type HostileServer } from './hostile-server.ts';

export interface HostScene {
  readonly engineer: Engineer;
  readonly server: HostileServer;
  readonly stateDirectory: string;
  /** A client on the state directory; each call is a restart of the host. */
  open(options?: Partial<OpenOptions>): Promise<RepositoryClient>;
  /** A path in the store. */
  stored(...segments: readonly string[]): string;
}

/** Release 1.0.0 is published; nothing was fetched yet. */
export async function hostScene(t: TestContext): Promise<HostScene> {
  const engineer = await engineerWithRelease(t, '1.0.0', new Date());
  const server = await startHostileServer(t, engineer.storeDirectory);
  const stateDirectory = join(engineer.directory, 'state');
  return {
    engineer,
    server,
    stateDirectory,
    stored: (...segments) => join(engineer.storeDirectory, ...segments),
    async open(options = {}) {
      const client = await openRepository({
        root: await readFile(join(engineer.workspace.directory, '1.root.json')),
        metadataUrl: new URL('metal/x86_64/', server.url),
        stateDirectory,
        idleTimeoutMs: 500,
        patienceMs: 0,
        ...options,
      });
      t.after(() => client.close());
      return client;
    },
  };
}

/** The image of the newest release on offer. */
export async function imageTarget(client: RepositoryClient, image: 'boot' | 'root' | 'hash'): Promise<VerifiedTarget> {
  const [update] = await client.availableUpdates({ variant: 'metal', arch: 'x86_64', seed: 'ignore-waves' });
  if (update === undefined) throw new RangeError('no update is on offer');
  return client.target(update.images[image]);
}

export async function drain(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** What a client keeps, without its lock and its clock: nothing temporary may be among it. */
export async function stateFiles(stateDirectory: string): Promise<readonly string[]> {
  return (await readdir(stateDirectory)).filter((name) => !name.startsWith('lock.sqlite') && name !== 'trusted-time.json').toSorted();
}

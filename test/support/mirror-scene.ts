/** One repository on several servers, each of which can lie by itself. */
import type { TestContext } from 'node:test';
import type { MirrorUrls, OpenOptions, RepositoryClient } from '../../lib/client/index.ts';
import { startHostileServer, type HostileServer } from './hostile-server.ts';
import { simulatedHost, type SimulatedHost } from './simulated-host.ts';
import { METADATA, type Simulator } from './simulator.ts';

export interface MirrorScene {
  readonly host: SimulatedHost;
  /** The first is the host's own. */
  readonly servers: readonly [HostileServer, HostileServer, ...HostileServer[]];
  readonly open: (options?: Partial<OpenOptions>) => Promise<RepositoryClient>;
}

export async function mirrorScene(t: TestContext, simulator: Simulator, count = 2): Promise<MirrorScene> {
  const host = await simulatedHost(t, simulator);
  const others = await Promise.all(Array.from({ length: count - 1 }, async () => startHostileServer(t, simulator.files)));
  const mirrors: MirrorUrls[] = others.map(({ url }) => ({ metadataUrl: new URL(METADATA, url) }));
  const [second = host.server, ...more] = others;
  return {
    host,
    servers: [host.server, second, ...more],
    open: async (options) => host.open({ mirrors, ...options }),
  };
}

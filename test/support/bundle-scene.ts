/** A host that opens bundles, and the files that an honest one has. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { openRepository, type BundleOptions, type RepositoryClient } from '../../lib/client/index.ts';
import { imageBytes } from './bytes.ts';
import { temporaryDirectory } from './engineer.ts';
import { createRepository, METADATA, type Simulator } from './simulator.ts';
import { tarOf } from './tar.ts';

export const IMAGE = 'my-os-1.0.0-root.img.zst';
export const RAW: Buffer = imageBytes((1 << 20) + 777);

export interface BundleScene {
  readonly simulator: Simulator;
  readonly directory: string;
  readonly stateDirectory: string;
  /** The content of an honest bundle of what is published now. */
  readonly files: () => Map<string, Uint8Array>;
  /** Opens a bundle of these bytes; each call is a restart of the host. */
  readonly open: (tar: Uint8Array, options?: Partial<BundleOptions>) => Promise<RepositoryClient>;
}

/** What a server serves, as a bundle has it. */
export function bundleFiles(served: ReadonlyMap<string, Uint8Array>): Map<string, Uint8Array> {
  return new Map([...served].map(([name, bytes]) => [decodeURIComponent(name).replace(METADATA, 'metadata/'), bytes]));
}

/** A manifest and an image. */
export async function publishedImage(): Promise<Simulator> {
  const simulator = await createRepository();
  await simulator.addImage(IMAGE, RAW, 'zstd-frames');
  await simulator.publish();
  return simulator;
}

/** @param simulator by default one of its own, that it may publish to */
export async function bundleScene(t: TestContext, simulator?: Simulator): Promise<BundleScene> {
  return sceneOf(t, simulator ?? (await publishedImage()));
}

async function sceneOf(t: TestContext, simulator: Simulator): Promise<BundleScene> {
  const directory = await temporaryDirectory(t);
  const stateDirectory = join(directory, 'state');
  return {
    simulator,
    directory,
    stateDirectory,
    files: () => bundleFiles(simulator.files),
    open: async (tar, options = {}) => {
      const bundle = join(directory, 'update.tar');
      await writeFile(bundle, tar);
      const client = await openRepository({ root: simulator.metadata('1.root.json'), bundle, stateDirectory, ...options });
      t.after(() => client.close());
      return client;
    },
  };
}

export { tarOf };

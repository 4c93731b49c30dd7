/** Downloads of every kind of target, from two servers that can lie, by clients that are restarted. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import type { RepositoryClient } from '../../lib/client/index.ts';
import { mirrorScene, type MirrorScene } from './mirror-scene.ts';
import { rangeServer } from './range-server.ts';
import { createRepository, type Simulator } from './simulator.ts';

const FRAMES = 6;
/** Does not compress, so that a byte of the image is about a byte of the file. */
export const RAW: Buffer = createHash('shake256', { outputLength: (FRAMES << 20) - 4321 })
  .update('download')
  .digest();
export const FRAMED = 'os-root.img.zst';
export const LZ4 = 'os-root.img.lz4';
export const FOREIGN = 'theirs.img.zst';
export const PLAIN = 'plain.bin';
export const MIB: number = 1 << 20;

export interface DownloadScene extends MirrorScene {
  readonly simulator: Simulator;
  readonly directory: string;
  /** Another client, refreshed, as after a restart; it knows the first server only. */
  readonly restarted: () => Promise<RepositoryClient>;
}

export async function downloadScene(t: TestContext): Promise<DownloadScene> {
  const simulator = await createRepository();
  await simulator.addImage(FRAMED, RAW, 'zstd-frames');
  await simulator.addImage(LZ4, RAW, 'lz4');
  simulator.targets.set(FOREIGN, { bytes: zstdCompressSync(RAW, {}) });
  simulator.targets.set(PLAIN, { bytes: RAW });
  simulator.targets.set('empty', { bytes: new Uint8Array() });
  await simulator.publish();
  const scene = await mirrorScene(t, simulator);
  return {
    ...scene,
    simulator,
    directory: scene.host.directory,
    restarted: async () => scene.host.refreshed(),
  };
}

export function bytesOf({ targets }: Simulator, name: string): Buffer {
  return Buffer.from(targets.get(name)?.bytes ?? assert.fail(name));
}

/** A download that broke off there: its file has no name yet. */
export async function broken(
  scene: DownloadScene,
  name: string,
  cutAt: number,
  form: 'published' | 'image' = 'published',
): Promise<string> {
  const { servers, simulator, directory } = scene;
  const file = join(directory, 'out');
  await rm(file, { force: true });
  servers[0].lies.set(simulator.targetFile(name), rangeServer({ cutAt, etag: '"one"' }).lie);
  const client = await scene.restarted();
  await assert.rejects(client.download(await client.target(name), file, { form }), { code: 'http/interrupted' });
  assert.ok(!(await readdir(directory)).includes('out'));
  return file;
}

/** The path of what an interrupted download has left there. */
export async function leftBy(directory: string, what: 'journal' | 'part'): Promise<string> {
  return join(directory, (await readdir(directory)).find((name) => name.endsWith(`.gantry-${what}`)) ?? assert.fail(`no ${what}`));
}

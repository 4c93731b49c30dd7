/** The demo, step by step. Each step does what the commands do, through the same functions. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isGantryError, type GantryError } from '../../lib/errors.ts';
import type { VerifiedTarget } from '../../lib/client/index.ts';
import { openStableFile } from '../../lib/files/read.ts';
import { addRelease } from '../../lib/publish/release.ts';
import { refreshRepository } from '../../lib/publish/refresh.ts';
import { draftRoot, specOf, type RootSpec } from '../../lib/repository/root-draft.ts';
import { startStaticServer } from '../../lib/server/static-server.ts';
import type { PublicKey } from '../../lib/tuf/types.ts';
import { createWorkspace } from '../../lib/workspace/create.ts';
import { publicKeyNamed } from '../../lib/workspace/key-ring.ts';
import { requireRootChain, saveRootDraft } from '../../lib/workspace/root-files.ts';
import { formatBytes } from '../ui/format.ts';
import { forgeTimestamp, replayTimestamp, withAlteredTarget } from './attacks.ts';
import { writeDemoImages } from './images.ts';
import { bootstrapHost, makeKey, need, paths, sign, signAndPublish, storeOf, type Scene } from './scene.ts';

export interface StepOutcome {
  /** A line or two for people. */
  readonly lines: readonly string[];
  /** For programs. */
  readonly facts?: Readonly<Record<string, string | number>>;
  /** What a user would see, when the step is a refusal. */
  readonly refused?: GantryError;
}

export interface Step {
  readonly id: string;
  readonly title: string;
  run(scene: Scene): Promise<StepOutcome>;
}

const IMAGES = ['boot', 'root', 'hash'] as const;

async function makeKeys(scene: Scene): Promise<StepOutcome> {
  const { variant, arch } = scene.repository;
  const { workspace, store } = paths(scene);
  scene.workspace = await createWorkspace(workspace, { product: 'demo-os', repositories: [{ variant, arch }], store });
  for (const name of ['root-a', 'root-b', 'root-c', 'targets', 'online']) await makeKey(scene, name);
  return {
    lines: [
      'Five ed25519 keys: root-a, root-b, root-c, targets, online.',
      'Private halves stay out of the workspace and out of the store.',
    ],
  };
}

async function signRoot(scene: Scene): Promise<StepOutcome> {
  const workspace = need(scene.workspace, 'workspace');
  const key = async (name: string): Promise<PublicKey> => (await publicKeyNamed(workspace, name)).key;
  const online = { keys: [await key('online')], threshold: 1 };
  const spec: RootSpec = {
    root: { keys: [await key('root-a'), await key('root-b'), await key('root-c')], threshold: 2 },
    targets: { keys: [await key('targets')], threshold: 1 },
    snapshot: online,
    timestamp: online,
  };
  await saveRootDraft(workspace, draftRoot(spec, new Date(), workspace.expiry));
  await sign(scene);
  const { latest } = await requireRootChain(workspace);
  return {
    lines: ['1.root.json says who may sign what: 2 of 3 root keys, one targets key, one online key for snapshot and timestamp.'],
    facts: { rootVersion: latest.role.version, signatures: latest.signatures.length },
  };
}

async function addVersion(scene: Scene, version: string): Promise<StepOutcome> {
  const directory = join(paths(scene).images, version);
  await mkdir(directory, { recursive: true });
  const images = await writeDemoImages(directory, version);
  const { release } = await addRelease(need(scene.workspace, 'workspace'), storeOf(scene), {
    repository: scene.repository,
    version,
    images,
    compression: 'zstd',
    level: 3,
    now: new Date(),
  });
  return {
    lines: [
      `Boot, root and dm-verity hash image: ${formatBytes(release.rawBytes)} of this machine's own files, ${formatBytes(release.publishedBytes)} as framed zstd.`,
    ],
    facts: { version, rawBytes: release.rawBytes, publishedBytes: release.publishedBytes },
  };
}

async function publish(scene: Scene): Promise<StepOutcome> {
  const bytes = await signAndPublish(scene);
  return {
    lines: [`Signed targets, snapshot and timestamp; sent ${formatBytes(bytes)}, timestamp.json last, so hosts see all of it or nothing.`],
    facts: { bytes },
  };
}

async function serve(scene: Scene): Promise<StepOutcome> {
  scene.server = await startStaticServer({
    directory: paths(scene).store,
    onRequest: () => {
      scene.totals.requests += 1;
    },
  });
  return { lines: [`A static server is all it takes: ${scene.server.url.href}`], facts: { url: scene.server.url.href } };
}

async function bootstrap(scene: Scene): Promise<StepOutcome> {
  scene.host = await bootstrapHost(scene);
  await scene.host.refresh();
  const [newest] = await scene.host.availableUpdates({ ...scene.repository, seed: 'ignore-waves' });
  const version = need(newest, 'update').version;
  return { lines: [`A host that knows 1.root.json and the URL finds version ${version} in manifest.json.`], facts: { version } };
}

/** Streams, verifies and decompresses the newest release, and compares it with what went in, byte by byte. */
async function install(scene: Scene, expected: string): Promise<StepOutcome> {
  const host = need(scene.host, 'host');
  await host.refresh();
  const running = scene.installed === undefined ? {} : { version: scene.installed };
  const [update] = await host.availableUpdates({ ...scene.repository, ...running, seed: 'ignore-waves' });
  const { version, images } = need(update, 'update');
  if (version !== expected) throw new RangeError(`the host chose ${version}, not ${expected}`);
  const started = performance.now();
  let bytes = 0;
  for (const image of IMAGES) {
    bytes += await compareImage(scene, await host.target(images[image]), join(paths(scene).images, version, `${image}.img`));
  }
  const ms = performance.now() - started;
  scene.installed = version;
  scene.totals.downloadedBytes += bytes;
  scene.totals.downloadMs += ms;
  return {
    lines: [`${formatBytes(bytes)} of images streamed, verified frame by frame, decompressed: equal to the inputs, byte by byte.`],
    facts: { version, bytes, ms: Math.round(ms) },
  };
}

async function compareImage(scene: Scene, target: VerifiedTarget, path: string): Promise<number> {
  const file = await openStableFile(path);
  const expected = bytesOf(file.read());
  let bytes = 0;
  try {
    for await (const chunk of need(scene.host, 'host').verifiedImageStream(target)) {
      const wanted = await expected.take(chunk.length);
      if (Buffer.compare(chunk, wanted) !== 0) throw new RangeError(`${path} differs from what was downloaded near byte ${bytes}`);
      bytes += chunk.length;
    }
    if (bytes !== file.lengthBytes) throw new RangeError(`${path} has ${file.lengthBytes} bytes; ${bytes} were downloaded`);
    return bytes;
  } finally {
    await expected.end();
    await file.close();
  }
}

/** A stream that can be read in pieces of any size. */
function bytesOf(source: AsyncIterable<Uint8Array>): { take(length: number): Promise<Buffer>; end(): Promise<void> } {
  const iterator = source[Symbol.asyncIterator]();
  let held: Buffer = Buffer.alloc(0);
  return {
    async take(length) {
      const parts = [held];
      for (let have = held.length; have < length;) {
        const next = await iterator.next();
        if (next.done === true) break;
        parts.push(Buffer.from(next.value.buffer, next.value.byteOffset, next.value.length));
        have += next.value.length;
      }
      const all = parts.length === 1 ? held : Buffer.concat(parts);
      held = all.subarray(length);
      return all.subarray(0, length);
    },
    async end() {
      await iterator.return?.();
    },
  };
}

/** The stolen online key is replaced in two roots, so that no live role is ever without a root that accepts it. */
async function rotateOnlineKey(scene: Scene): Promise<StepOutcome> {
  const workspace = need(scene.workspace, 'workspace');
  const stolen = (await publicKeyNamed(workspace, 'online')).key;
  const fresh = await makeKey(scene, 'online-2');
  await publishRoot(scene, [stolen, fresh]);
  await refreshRepository(workspace, storeOf(scene), scene.repository, { now: new Date(), roles: 'online' });
  await signAndPublish(scene);
  await publishRoot(scene, [fresh]);
  // Whoever signs next uses the new key alone.
  await refreshRepository(workspace, storeOf(scene), scene.repository, { now: new Date(), roles: 'online' });
  await signAndPublish(scene);
  await need(scene.host, 'host').refresh();
  const { latest } = await requireRootChain(workspace);
  return {
    lines: [`Root 2 adds a new online key, root ${latest.role.version} drops the old one; the host followed the chain.`],
    facts: { rootVersion: latest.role.version },
  };
}

async function publishRoot(scene: Scene, onlineKeys: readonly PublicKey[]): Promise<void> {
  const workspace = need(scene.workspace, 'workspace');
  const { latest } = await requireRootChain(workspace);
  const online = { keys: onlineKeys, threshold: 1 };
  const spec: RootSpec = { ...specOf(latest.role), snapshot: online, timestamp: online };
  await saveRootDraft(workspace, draftRoot(spec, new Date(), workspace.expiry, latest.role));
  await signAndPublish(scene);
}

/** Runs an attack; the step succeeds only when the host refuses with one of the codes that fit. */
async function refusal(attack: () => Promise<unknown>, codes: readonly string[], line: string): Promise<StepOutcome> {
  try {
    await attack();
  } catch (error) {
    if (isGantryError(error) && codes.includes(error.code)) return { lines: [line], refused: error };
    throw error;
  }
  throw new RangeError('the host accepted what it must refuse');
}

/** The whole main job, in order. */
export const steps: readonly Step[] = [
  { id: 'keys', title: 'Make keys', run: makeKeys },
  { id: 'root', title: 'Sign a root', run: signRoot },
  { id: 'release-1.0.0', title: 'Create release 1.0.0', run: async (scene) => addVersion(scene, '1.0.0') },
  { id: 'publish-1.0.0', title: 'Sign and publish', run: publish },
  { id: 'serve', title: 'Serve', run: serve },
  { id: 'bootstrap', title: 'A host starts from 1.root.json', run: bootstrap },
  { id: 'install-1.0.0', title: 'The host installs 1.0.0', run: async (scene) => install(scene, '1.0.0') },
  {
    id: 'publish-1.1.0',
    title: 'Create, sign and publish release 1.1.0',
    run: async (scene) => {
      scene.oldTimestamp = await replayTimestamp.keep(scene);
      const added = await addVersion(scene, '1.1.0');
      const published = await publish(scene);
      return { lines: [...added.lines, ...published.lines], facts: { ...added.facts, ...published.facts } };
    },
  },
  { id: 'install-1.1.0', title: 'The host updates to 1.1.0', run: async (scene) => install(scene, '1.1.0') },
  {
    id: 'attack-altered-target',
    title: 'Attack: a target is changed on the server',
    run: async (scene) =>
      refusal(async () => withAlteredTarget(scene), ['client/target-altered'], 'One byte of the published root image is flipped.'),
  },
  {
    id: 'attack-replayed-timestamp',
    title: 'Attack: an old timestamp is replayed',
    run: async (scene) =>
      refusal(
        async () => replayTimestamp.attack(scene),
        ['client/rollback'],
        'The server offers the timestamp of release 1.0.0 again, validly signed.',
      ),
  },
  { id: 'rotate-key', title: 'Replace the online key', run: rotateOnlineKey },
  {
    id: 'attack-removed-key',
    title: 'Attack: a signature from the removed key',
    run: async (scene) =>
      refusal(
        async () => forgeTimestamp(scene),
        ['client/untrusted'],
        'A thief signs a newer timestamp with the online key that root 3 no longer lists.',
      ),
  },
];

/** A release engineer in a temporary directory, with keys at hand and a directory store: what most tests of the upper rooms start from. */
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { freemem, tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { writeKeyFile } from '../../lib/keys/key-file.ts';
import { passphraseFrom } from '../../lib/keys/passphrase.ts';
import { publishRepository } from '../../lib/publish/publish.ts';
import { addRelease } from '../../lib/publish/release.ts';
import { signDrafts, type SigningReport } from '../../lib/publish/sign.ts';
import { draftRoot, type RootSpec } from '../../lib/repository/root-draft.ts';
import { createDirectoryStore } from '../../lib/store/directory.ts';
import type { Store } from '../../lib/store/store.ts';
import { publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import type { PublicKey } from '../../lib/tuf/types.ts';
import { createWorkspace } from '../../lib/workspace/create.ts';
import { rememberKey } from '../../lib/workspace/key-ring.ts';
import { saveRootDraft } from '../../lib/workspace/root-files.ts';
import type { Workspace } from '../../lib/workspace/workspace.ts';
import { treeOf } from './verity.ts';

export const METAL: { readonly variant: string; readonly arch: string } = { variant: 'metal', arch: 'x86_64' };
export const NOW: Date = new Date('2026-06-01T12:00:00Z');

export interface Engineer {
  readonly directory: string;
  readonly workspace: Workspace;
  readonly store: Store;
  readonly storeDirectory: string;
  readonly keysDirectory: string;
  readonly keys: Readonly<Record<string, PublicKey>>;
  now: Date;
}

/** What runs in the end: a test has one, and a file of tests can bring its own. */
export interface Cleanup {
  after(work: () => Promise<void>): void;
}

/** Where Linux keeps files in memory. */
const MEMORY_FOLDER = '/dev/shm';
const MEMORY_MIN_BYTES = 4 * 2 ** 30;

/** The tests wait for a disk many thousand times: they use memory where there is enough, and no other place was asked for. */
const temporaryPlace: Promise<string> = (async () => {
  if (process.env['TMPDIR'] !== undefined) return tmpdir();
  const found = await statfs(MEMORY_FOLDER).catch(() => undefined);
  const isRoomy = found !== undefined && found.bavail * found.bsize >= MEMORY_MIN_BYTES && freemem() >= MEMORY_MIN_BYTES;
  return isRoomy ? MEMORY_FOLDER : tmpdir();
})();

/** A directory that goes away with the test. */
export async function temporaryDirectory(t: Cleanup): Promise<string> {
  const directory = await mkdtemp(join(await temporaryPlace, 'gantry-test-'));
  t.after(async () => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A workspace with five keys, and nothing drafted. */
export async function newEngineer(t: TestContext, now: Date = NOW): Promise<Engineer> {
  const directory = await temporaryDirectory(t);
  const storeDirectory = join(directory, 'public');
  const keysDirectory = join(directory, 'keys');
  const workspace = await createWorkspace(join(directory, 'my-os'), { product: 'my-os', repositories: [METAL], store: storeDirectory });
  const keys: Record<string, PublicKey> = {};
  for (const name of ['root-a', 'root-b', 'root-c', 'targets', 'online']) {
    keys[name] = await makeKey({ workspace, keysDirectory }, name);
  }
  return { directory, workspace, store: createDirectoryStore(storeDirectory), storeDirectory, keysDirectory, keys, now };
}

export async function makeKey(
  { workspace, keysDirectory }: Pick<Engineer, 'workspace' | 'keysDirectory'>,
  name: string,
): Promise<PublicKey> {
  const privateKey = await generatePrivateKey('ed25519');
  await writeKeyFile(keysDirectory, name, privateKey, { passphrase: undefined });
  const key = publicKeyFromKeyObject(privateKey);
  await rememberKey(workspace, name, key);
  return key;
}

export function keyOf(engineer: Engineer, name: string): PublicKey {
  const key = engineer.keys[name];
  if (key === undefined) throw new RangeError(`no key ${name}`);
  return key;
}

/** 2 of 3 root keys, one targets key, one online key. */
export function usualSpec(engineer: Engineer): RootSpec {
  const online = { keys: [keyOf(engineer, 'online')], threshold: 1 };
  return {
    root: { keys: ['root-a', 'root-b', 'root-c'].map((name) => keyOf(engineer, name)), threshold: 2 },
    targets: { keys: [keyOf(engineer, 'targets')], threshold: 1 },
    snapshot: online,
    timestamp: online,
  };
}

export async function sign(engineer: Engineer): Promise<SigningReport> {
  return signDrafts(engineer.workspace, engineer.store, {
    keysDirectory: engineer.keysDirectory,
    passphrases: passphraseFrom({ env: {} }),
    now: engineer.now,
  });
}

/** The usual engineer with a complete first root. */
export async function engineerWithRoot(t: TestContext, now: Date = NOW): Promise<Engineer> {
  const engineer = await newEngineer(t, now);
  await saveRootDraft(engineer.workspace, draftRoot(usualSpec(engineer), engineer.now, engineer.workspace.expiry));
  await sign(engineer);
  return engineer;
}

/** Three small images of random bytes that belong together; the root image spans several frames. */
export async function writeImages(
  directory: string,
  { rootBytes = (2 << 20) + 4096 }: { readonly rootBytes?: number } = {},
): Promise<{ readonly boot: string; readonly root: string; readonly hash: string }> {
  const images = { boot: join(directory, 'boot.img'), root: join(directory, 'root.img'), hash: join(directory, 'hash.img') };
  const root = randomBytes(rootBytes);
  const { hashImage, rootHash } = await treeOf(root);
  await writeFile(images.root, root);
  await writeFile(images.hash, hashImage);
  await writeFile(images.boot, Buffer.concat([randomBytes(64 << 10), Buffer.from(`linux /vmlinuz roothash=${rootHash}\n`)]));
  return images;
}

export async function addVersion(engineer: Engineer, version: string): ReturnType<typeof addRelease> {
  return addRelease(engineer.workspace, engineer.store, {
    repository: METAL,
    version,
    images: await writeImages(engineer.directory),
    compression: 'zstd',
    level: 3,
    now: engineer.now,
  });
}

export async function publish(engineer: Engineer): ReturnType<typeof publishRepository> {
  return publishRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now });
}

/** The usual engineer with a published release. */
export async function engineerWithRelease(t: TestContext, version: string, now: Date = NOW): Promise<Engineer> {
  const engineer = await engineerWithRoot(t, now);
  await addVersion(engineer, version);
  await sign(engineer);
  await publish(engineer);
  return engineer;
}

/** The stage of the demo: a release engineer with a workspace, a server, and a host that knows one root and one URL. */
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { openRepository, type RepositoryClient } from '../../lib/client/index.ts';
import { writeKeyFile } from '../../lib/keys/key-file.ts';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { readPrivateKey } from '../../lib/keys/pkcs8.ts';
import { passphraseFrom } from '../../lib/keys/passphrase.ts';
import { publishRepository } from '../../lib/publish/publish.ts';
import { signDrafts } from '../../lib/publish/sign.ts';
import type { StaticServer } from '../../lib/server/static-server.ts';
import { createDirectoryStore } from '../../lib/store/directory.ts';
import type { Store } from '../../lib/store/store.ts';
import { publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import type { PublicKey } from '../../lib/tuf/types.ts';
import type { RepositoryName } from '../../lib/workspace/config.ts';
import { rememberKey } from '../../lib/workspace/key-ring.ts';
import type { Workspace } from '../../lib/workspace/workspace.ts';

/** Everything that the steps of the demo share. */
export interface Scene {
  /** Where everything lies; temporary unless the person named it. */
  readonly directory: string;
  readonly repository: RepositoryName;
  /** Sign with the keys that everybody has. */
  readonly exampleKeys: boolean;
  workspace?: Workspace;
  server?: StaticServer;
  host?: RepositoryClient;
  /** The timestamp of the first release, as an attacker kept it. */
  oldTimestamp?: Uint8Array;
  /** Version that the host runs. */
  installed?: string;
  totals: { downloadedBytes: number; downloadMs: number; requests: number; publishedBytes: number };
}

export function paths(scene: Scene): {
  readonly workspace: string;
  readonly store: string;
  readonly keys: string;
  readonly images: string;
  readonly host: string;
} {
  const at = (name: string): string => join(scene.directory, name);
  return { workspace: at('demo-os'), store: at('public'), keys: at('keys'), images: at('images'), host: at('host') };
}

export function storeOf(scene: Scene): Store {
  return createDirectoryStore(paths(scene).store);
}

export function need<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new RangeError(`the demo has no ${what} yet`);
  return value;
}

/** Makes a key of the engineer's and tells the workspace its public half. */
export async function makeKey(scene: Scene, name: string): Promise<PublicKey> {
  const example = scene.exampleKeys ? await readExampleKey(name) : undefined;
  const privateKey = example ?? (await generatePrivateKey('ed25519'));
  await writeKeyFile(paths(scene).keys, name, privateKey, { passphrase: undefined });
  const key = publicKeyFromKeyObject(privateKey);
  await rememberKey(need(scene.workspace, 'workspace'), name, key);
  return key;
}

/** One of the keys in `keys-example/`: beside `cli/` in the sources, beside `dist/` in the package. */
async function readExampleKey(name: string): Promise<KeyObject | undefined> {
  for (const up of ['../..', '../../..']) {
    const file = new URL(`${up}/keys-example/${name}.pem`, import.meta.url);
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text !== undefined) return readPrivateKey(text, file.pathname, async () => Promise.reject(new RangeError('it is not encrypted')));
  }
  return undefined;
}

/** What `gantry sign && gantry publish` does; returns the bytes that were sent. */
export async function signAndPublish(scene: Scene): Promise<number> {
  const workspace = need(scene.workspace, 'workspace');
  await sign(scene);
  const { applied } = await publishRepository(workspace, storeOf(scene), scene.repository, { now: new Date() });
  const bytes = applied.reduce((sum, { write, sent }) => sum + (sent ? write.lengthBytes : 0), 0);
  scene.totals.publishedBytes += bytes;
  return bytes;
}

export async function sign(scene: Scene): Promise<void> {
  await signDrafts(need(scene.workspace, 'workspace'), storeOf(scene), {
    keysDirectory: paths(scene).keys,
    // The demo's keys are not encrypted, so nobody is asked.
    passphrases: passphraseFrom({ env: {} }),
    now: new Date(),
  });
}

/** A host that knows `1.root.json` and a URL, with its own memory of what it has trusted. */
export async function bootstrapHost(scene: Scene): Promise<RepositoryClient> {
  const { variant, arch } = scene.repository;
  const root = await readFile(join(need(scene.workspace, 'workspace').directory, '1.root.json'));
  const stateDirectory = join(paths(scene).host, 'state');
  await mkdir(stateDirectory, { recursive: true });
  return openRepository({
    root,
    metadataUrl: new URL(`${variant}/${arch}/`, need(scene.server, 'server').url),
    stateDirectory,
  });
}

/** What a thief or a broken server does to one published file while `meanwhile` runs; it is put back afterwards. */
export async function tamper<T>(path: string, change: (bytes: Buffer) => Uint8Array, meanwhile: () => Promise<T>): Promise<T> {
  const kept = `${path}.kept`;
  await copyFile(path, kept);
  try {
    await writeFile(path, change(await readFile(path)));
    return await meanwhile();
  } finally {
    await copyFile(kept, path);
    await rm(kept);
  }
}

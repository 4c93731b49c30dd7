/**
 * A copy of a repository, verified as a host verifies it, in the layout of a directory store.
 *
 * Rules:
 * - the client library decides what is true: nothing is written that it has not accepted under the caller's root;
 * - bytes are kept exactly as they were published; nothing is parsed and written again;
 * - target files come first, then versioned metadata, `timestamp.json` last: the copy can be served at any moment, and stopped at any;
 * - the copy's own metadata is what the client trusted before: a source that was rolled back is refused;
 * - what is there and has the signed digest is not fetched again;
 * - roots older than the caller's are kept when they lead up to it. They prove nothing: a host believes the root it was born with.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, matchesGlob } from 'node:path';
import { openRepository, type RepositoryClient, type VerifiedTarget } from '../client/index.ts';
import { GantryError, isGantryError, quote, refuseAborted } from '../errors.ts';
import { makeFolders, writeFileAtomic } from '../files/atomic.ts';
import { linkOrCopy } from '../files/link.ts';
import { withLock } from '../files/lock.ts';
import { openStableFile, readWholeFile } from '../files/read.ts';
import type { HttpClient } from '../http/request.ts';
import { imageTargetsOf } from '../release/image-targets.ts';
import { emptyManifest } from '../release/manifest.ts';
import { MANIFEST_PATH } from '../repository/draft.ts';
import { metadataPath, targetPath } from '../store/layout.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { clonedMetadata, seedState, type ClonedFile } from './clone-metadata.ts';
import { inParallel } from '../http/in-parallel.ts';

/** What of the targets is copied; metadata is always copied whole. */
export type CloneSelection =
  | { readonly kind: 'all' }
  | { readonly kind: 'metadata' }
  | { readonly kind: 'part'; readonly versions: readonly string[]; readonly globs: readonly string[] };

export interface CloneOptions {
  /** The folder of `timestamp.json`, and of the targets. */
  readonly metadataUrl: string;
  readonly targetsUrl?: string;
  readonly ca?: Uint8Array;
  /** The root that is trusted. */
  readonly root: Uint8Array;
  /** Roots before it, as the source has them. */
  readonly earlierRoots?: readonly Uint8Array[];
  /** A directory store, new or not. */
  readonly directory: string;
  readonly repository: RepositoryName;
  readonly selection: CloneSelection;
  readonly concurrency: number;
  readonly signal: AbortSignal;
  readonly mode: 'copy' | 'dry-run';
  /** Where bytes come from; by default a server or a folder, as the URLs say. */
  readonly transport?: HttpClient;
  /** By which expiry is judged; now by default. */
  readonly now?: () => Date;
  readonly onNotice?: (notice: string) => void;
  readonly onProgress?: (bytes: number, totalBytes: number) => void;
}

export interface Clone {
  readonly roles: ReturnType<RepositoryClient['roles']>;
  /** What the metadata lists, and what of it was chosen. */
  readonly listed: number;
  readonly selected: number;
  /** Those that were not there, or damaged. */
  readonly fetched: readonly string[];
  readonly fetchedBytes: number;
  /** Metadata files that are new or other than before, in the order of writing. */
  readonly metadata: readonly string[];
}

/** No name in a store starts with a dot: it is never taken for something published. */
const LOCK = '.clone-lock.sqlite';
/** Another clone into the same directory is waited for. */
const LOCK_WAIT_MS = 10_000;

/** @throws GantryError `client/…`, `http/…`, `files/…`, `store/bad-path`, `usage/option`, `aborted` */
export async function cloneRepository(options: CloneOptions): Promise<Clone> {
  const { directory, signal } = options;
  if (options.mode === 'dry-run') return withClient(options, async (_, seen) => pending(options, seen));
  await makeFolders(directory);
  return withLock(join(directory, LOCK), { waitMs: LOCK_WAIT_MS, signal }, async () =>
    withClient(options, async (client, { found, selected, files }) => {
      const missing = await missingOf(options, selected);
      await fetchAll(client, missing, options);
      return { ...found, ...sumOf(missing), metadata: await writeMetadata(options, files) };
    }),
  );
}

interface Seen {
  readonly found: Pick<Clone, 'roles' | 'listed' | 'selected'>;
  readonly selected: readonly VerifiedTarget[];
  readonly files: readonly ClonedFile[];
}

async function withClient<T>(options: CloneOptions, work: (client: RepositoryClient, seen: Seen) => Promise<T>): Promise<T> {
  const state = await mkdtemp(join(tmpdir(), 'gantry-clone-'));
  try {
    await seedState(state, folderOf(options));
    const client = await openRepository({ ...options, stateDirectory: state });
    try {
      return await work(client, await look(client, state, options));
    } finally {
      client.close();
    }
  } finally {
    await rm(state, { recursive: true, force: true });
  }
}

async function look(client: RepositoryClient, state: string, options: CloneOptions): Promise<Seen> {
  const { signal, onNotice, earlierRoots = [] } = options;
  try {
    await client.refresh({ signal });
    // Walks the delegations, so that the state has every role.
    const listed = await client.allTargets({ signal });
    const files = await clonedMetadata(state, [...earlierRoots, options.root]);
    const selected = await select(client, listed, options);
    return { found: { roles: client.roles(), listed: listed.length, selected: selected.length }, selected, files };
  } finally {
    for (const notice of client.notices) onNotice?.(notice);
  }
}

function folderOf({ directory, repository: { variant, arch } }: CloneOptions): string {
  return join(directory, dirname(metadataPath(variant, arch, 'timestamp.json')));
}

async function select(
  client: RepositoryClient,
  listed: readonly VerifiedTarget[],
  { selection, signal }: CloneOptions,
): Promise<readonly VerifiedTarget[]> {
  if (selection.kind === 'metadata') return [];
  if (selection.kind === 'all') return listed;
  const wanted = new Set<string>([MANIFEST_PATH, ...(await namesOfVersions(client, selection.versions, signal))]);
  const chosen = listed.filter(({ path }) => {
    const name = path.memberName();
    return wanted.has(name) || selection.globs.some((glob) => matchesGlob(name, glob));
  });
  for (const glob of selection.globs) {
    if (chosen.some(({ path }) => matchesGlob(path.memberName(), glob))) continue;
    const problem = `Cannot clone the targets ${quote(glob)}: none of ${listed.length} targets has such a name; expected one that gantry verify lists`;
    throw new GantryError('usage/option', problem, { option: '--target' });
  }
  return chosen;
}

/** Their images, and every migration: which of these a host runs depends on where it comes from. */
async function namesOfVersions(client: RepositoryClient, versions: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
  if (versions.length === 0) return [];
  const manifest = await client.manifest({ signal }).catch((error: unknown) => {
    if (isGantryError(error, 'client/no-manifest')) return emptyManifest();
    throw error;
  });
  const targets = Object.fromEntries(
    client
      .targets()
      .map(({ path, lengthBytes, sha256, custom }) => [path.memberName(), { length: lengthBytes, hashes: { sha256 }, custom }]),
  );
  const names = versions.flatMap((version) => {
    const updates = manifest.updates.filter((update) => update.version === version);
    if (updates.length === 0) {
      const known = manifest.updates.map((update) => update.version).join(', ');
      const problem = `Cannot clone the release ${quote(version)}: the manifest does not offer it; expected one of ${known}`;
      throw new GantryError('usage/option', problem, { option: '--release' });
    }
    // Only names and custom data are read, and the client has verified these.
    return updates.flatMap((update) => imageTargetsOf(update, targets as Parameters<typeof imageTargetsOf>[1]));
  });
  return [...names, ...Object.values(manifest.migrations).flat()];
}

interface Missing {
  readonly target: VerifiedTarget;
  /** Absolute; the first one is fetched, the others are links to it. */
  readonly paths: readonly [string, ...string[]];
}

async function missingOf(options: CloneOptions, targets: readonly VerifiedTarget[]): Promise<readonly Missing[]> {
  const found = await inParallel(targets, options.concurrency, async (target) => {
    const { path, digest, sha256 } = target;
    const [first, ...others] = new Set([path.publishedName(digest.hex), ...(sha256 === undefined ? [] : path.publishedNames(sha256))]);
    const at = (name: string): string => join(options.directory, targetPath(name));
    // A digest and a name make at least one.
    const paths: Missing['paths'] = [at(first ?? path.publishedName(digest.hex)), ...others.map(at)];
    for (const file of paths) if (!(await isWhole(file, target, options.signal))) return [{ target, paths }];
    return [];
  });
  return found.flat();
}

async function isWhole(path: string, { lengthBytes, digest }: VerifiedTarget, signal: AbortSignal): Promise<boolean> {
  try {
    const file = await openStableFile(path);
    try {
      if (file.lengthBytes !== lengthBytes) return false;
      const hash = createHash(digest.algorithm);
      for await (const chunk of file.read('shared')) {
        refuseAborted(signal);
        hash.update(chunk);
      }
      return hash.digest('hex') === digest.hex;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isGantryError(error, 'files/missing')) return false;
    throw error;
  }
}

async function fetchAll(client: RepositoryClient, missing: readonly Missing[], options: CloneOptions): Promise<void> {
  const { fetchedBytes: totalBytes } = sumOf(missing);
  const done = new Map<VerifiedTarget, number>();
  await inParallel(missing, options.concurrency, async ({ target, paths: [first, ...others] }, stopped) => {
    await makeFolders(dirname(first));
    await client.download(target, first, {
      signal: AbortSignal.any([options.signal, stopped]),
      onProgress: (bytes) => {
        done.set(target, bytes);
        options.onProgress?.(
          [...done.values()].reduce((sum, one) => sum + one, 0),
          totalBytes,
        );
      },
    });
    for (const other of others) {
      await makeFolders(dirname(other));
      await linkOrCopy(first, other);
    }
  });
}

function sumOf(missing: readonly Missing[]): Pick<Clone, 'fetched' | 'fetchedBytes'> {
  return {
    fetched: missing.map(({ target }) => target.path.memberName()),
    fetchedBytes: missing.reduce((sum, { target }) => sum + target.lengthBytes, 0),
  };
}

async function pending(options: CloneOptions, { found, selected, files }: Seen): Promise<Clone> {
  const metadata = [];
  for (const file of files) if (!(await isThere(options, file))) metadata.push(file.name);
  return { ...found, ...sumOf(await missingOf(options, selected)), metadata };
}

async function isThere(options: CloneOptions, { name, bytes }: ClonedFile): Promise<boolean> {
  try {
    return Buffer.compare(await readWholeFile(join(folderOf(options), name), { maxBytes: bytes.length }), bytes) === 0;
  } catch (error) {
    if (isGantryError(error) && error.code.startsWith('files/')) return false;
    throw error;
  }
}

async function writeMetadata(options: CloneOptions, files: readonly ClonedFile[]): Promise<readonly string[]> {
  const written = [];
  await makeFolders(folderOf(options));
  for (const file of files) {
    if (await isThere(options, file)) continue;
    const path = join(options.directory, metadataPath(options.repository.variant, options.repository.arch, file.name));
    await writeFileAtomic(path, file.bytes);
    written.push(file.name);
  }
  return written;
}

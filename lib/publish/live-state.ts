/**
 * What the world sees of a repository now, read back from its store and verified from the workspace's own root chain.
 *
 * Rules (design D6):
 * - *missing* is not *denied*: only a store that says "missing" has no publication;
 * - nothing is derived from bytes that were not verified;
 * - a live state older than what this workspace has seen is refused: a rolled-back store must not make us sign lower versions.
 */
import { GantryError, isGantryError, quote } from '../errors.ts';
import { MANIFEST_PATH, type FreeVersions } from '../repository/draft.ts';
import { inParallel } from '../http/in-parallel.ts';
import { readObject } from './read-object.ts';
import { extendRootChain, type RootChain } from '../repository/root-chain.ts';
import { trustRepository, withDelegated, type PublishedRoles, type TrustedRepository } from '../repository/trusted.ts';
import { checkManifestLength, emptyManifest, parseManifest, type Manifest } from '../release/manifest.ts';
import { metadataPath, targetPath } from '../store/layout.ts';
import type { Store, StorePath, StoreVersion } from '../store/store.ts';
import { sha256Hex } from '../tuf/hash.ts';
import { readSignedRole } from '../tuf/role.ts';
import { TargetPath } from '../tuf/target-path.ts';
import type { Delegations, MetaFile, RoleByName, Root, SignedRole, Targets, TopRoleName } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import type { SeenVersions } from '../workspace/draft-files.ts';

/** The caps that every client applies (tuf-interop rule 19); signed lengths replace them where there are some. */
const MAX_BYTES = { root: 512_000, timestamp: 16_384, snapshot: 1 << 20, targets: 64 << 20 };

/** Delegated roles that are read together. */
const CONCURRENCY = 8;

/** `recover`: what is live may be signed by keys that the newest root has dropped, because a person who replaces stolen keys says so. */
export type Judgement = 'strict' | 'recover';

export interface LiveState {
  readonly repository: RepositoryName;
  readonly trusted: TrustedRepository;
  /** Highest `N.root.json` in the store, 0 when there is none. */
  readonly rootsStored: number;
  /** What `timestamp.json` must still be when it is replaced; absent before the first publication. */
  readonly timestampVersion?: StoreVersion;
  /** When `timestamp.json` was written, by the store's clock. */
  readonly publishedAt?: Date;
  /** The next version numbers that nobody has taken. */
  readonly versions: FreeVersions;
}

/** Which delegated roles are read, too: of those that are not delegated yet, free numbers. */
export type ChoiceOfDelegated = (delegations: Delegations | undefined) => readonly string[];

export const allDelegated: ChoiceOfDelegated = (delegations) => (delegations?.roles ?? []).map(({ name }) => name);
const noneDelegated: ChoiceOfDelegated = () => [];

export interface LiveOptions {
  /** What this workspace saw live last. */
  readonly seen?: SeenVersions | undefined;
  readonly judgement?: Judgement | undefined;
  readonly delegated?: ChoiceOfDelegated;
}

/**
 * @param chain the workspace's roots; newer ones in the store extend it
 * @throws GantryError `store/…`, `tuf/threshold`, `repository/…`, `publish/rolled-back`, `publish/no-manifest`
 */
export async function readLiveState(
  store: Store,
  repository: RepositoryName,
  chain: RootChain,
  { seen, judgement = 'strict', delegated = noneDelegated }: LiveOptions = {},
): Promise<LiveState> {
  const { chain: known, stored } = await followRoots(store, repository, chain);
  const timestamp = await readObject(store, pathOf(repository, 'timestamp.json'), MAX_BYTES.timestamp);
  if (timestamp === undefined) {
    refuseRolledBack(seen, { root: stored, timestamp: 0, snapshot: 0, targets: 0 });
    return {
      repository,
      trusted: trustRepository(known, emptyManifest()),
      rootsStored: stored,
      versions: await freeVersions(store, repository, {
        live: { targets: 0, snapshot: 0, timestamp: 0 },
        delegated: new Map(delegated(undefined).map((name) => [name, 0])),
      }),
    };
  }
  const published = await readRoles(store, repository, timestamp.bytes);
  const manifest = await readManifest(store, published);
  const top = trustLive(known, stored, judgement, (root) => trustRepository(known, manifest, { root, published }));
  const names = [...new Set(delegated(published.targets.role.delegations))];
  const trusted = withDelegated(top, await readDelegated(store, repository, published, names));
  const live = versionsOf(published);
  refuseRolledBack(seen, { root: stored, ...live });
  return {
    repository,
    trusted,
    rootsStored: stored,
    timestampVersion: timestamp.version,
    ...(timestamp.modified === undefined ? {} : { publishedAt: timestamp.modified }),
    versions: await freeVersions(store, repository, {
      live,
      delegated: new Map(names.map((name) => [name, published.snapshot.role.meta[`${name}.json`]?.version ?? 0])),
    }),
  };
}

/** Cut off between a root that drops keys and the roles under it, the store has the one without the others. */
function trustLive(
  { roots, latest }: RootChain,
  stored: number,
  judgement: Judgement,
  trust: (root: Root) => TrustedRepository,
): TrustedRepository {
  const liveRoot = roots.find(({ role }) => role.version === stored) ?? latest;
  const before = roots.find(({ role }) => role.version === liveRoot.role.version - 1);
  try {
    return trust(liveRoot.role);
  } catch (error) {
    if (judgement === 'strict' || before === undefined || !isGantryError(error, 'tuf/threshold')) throw error;
    return trust(before.role);
  }
}

function pathOf({ variant, arch }: RepositoryName, file: string): StorePath {
  return metadataPath(variant, arch, file);
}

/** Which of our roots the store serves, and the newer ones that somebody else published. */
async function followRoots(
  store: Store,
  repository: RepositoryName,
  chain: RootChain,
): Promise<{ readonly chain: RootChain; readonly stored: number }> {
  const readRoot = async (version: number): Promise<SignedRole<Root> | undefined> => {
    const path = pathOf(repository, `${version}.root.json`);
    const object = await readObject(store, path, MAX_BYTES.root);
    return object === undefined ? undefined : readRoleOf(store, path, object.bytes, 'root');
  };
  for (const ours of chain.roots.toReversed()) {
    const theirs = await readRoot(ours.role.version);
    if (theirs === undefined) continue;
    if (theirs.sha256 !== ours.sha256) throw foreignRoot(store, ours, theirs);
    let known = chain;
    if (ours === chain.latest) {
      for (let next = await readRoot(known.latest.role.version + 1); next !== undefined;) {
        known = extendRootChain(known, next);
        next = await readRoot(known.latest.role.version + 1);
      }
    }
    return { chain: known, stored: ours === chain.latest ? known.latest.role.version : ours.role.version };
  }
  return { chain, stored: 0 };
}

function foreignRoot(store: Store, ours: SignedRole<Root>, theirs: SignedRole<Root>): GantryError {
  const path = `${ours.role.version}.root.json`;
  return new GantryError(
    'repository/root-chain',
    `Cannot use the store ${quote(store.description)}: its ${path} is another file (SHA-256 ${theirs.sha256}); expected this workspace's own (${ours.sha256})`,
    { version: ours.role.version },
  );
}

/** @throws GantryError the reader's own, with the place: what lies there may be somebody else's */
function readRoleOf<N extends TopRoleName>(store: Store, path: StorePath, bytes: Uint8Array, name: N): SignedRole<RoleByName[N]> {
  try {
    return readSignedRole(bytes, name);
  } catch (error) {
    if (!isGantryError(error)) throw error;
    const message = `Cannot use the store ${quote(store.description)}: its ${quote(path)} is no metadata (${error.message})`;
    throw new GantryError(error.code, message, error.details, { cause: error });
  }
}

async function readRoles(store: Store, repository: RepositoryName, timestampBytes: Uint8Array): Promise<PublishedRoles> {
  const timestamp = readRoleOf(store, pathOf(repository, 'timestamp.json'), timestampBytes, 'timestamp');
  const snapshotMeta = timestamp.role.meta['snapshot.json'];
  const snapshotPath = pathOf(repository, `${snapshotMeta.version}.snapshot.json`);
  const snapshotBytes = await requireRole(store, snapshotPath, snapshotMeta, MAX_BYTES.snapshot);
  const snapshot = readRoleOf(store, snapshotPath, snapshotBytes, 'snapshot');
  const targetsMeta = snapshot.role.meta['targets.json'];
  if (targetsMeta === undefined) {
    throw new GantryError('repository/mismatch', 'Cannot trust the published snapshot role: it names no targets.json', {
      role: 'snapshot',
    });
  }
  const targetsPath = pathOf(repository, `${targetsMeta.version}.targets.json`);
  const targetsBytes = await requireRole(store, targetsPath, targetsMeta, MAX_BYTES.targets);
  return { timestamp, snapshot, targets: readRoleOf(store, targetsPath, targetsBytes, 'targets') };
}

/** Those of them that are asked for. @throws GantryError `store/missing` when the snapshot names one that is not there */
async function readDelegated(
  store: Store,
  repository: RepositoryName,
  published: PublishedRoles,
  names: readonly string[],
): Promise<ReadonlyMap<string, SignedRole<Targets>>> {
  const known = new Set(allDelegated(published.targets.role.delegations));
  const files = await inParallel(
    names.filter((name) => known.has(name)),
    CONCURRENCY,
    async (name) => {
      const meta = published.snapshot.role.meta[`${name}.json`];
      // Somebody else's tool delegated it and never published it.
      if (meta === undefined) return undefined;
      const path = pathOf(repository, `${meta.version}.${encodeURIComponent(name)}.json`);
      return [name, readRoleOf(store, path, await requireRole(store, path, meta, MAX_BYTES.targets), 'targets')] as const;
    },
  );
  return new Map(files.filter((one) => one !== undefined));
}

async function requireRole(store: Store, path: StorePath, meta: MetaFile, maxBytes: number): Promise<Uint8Array> {
  const object = await readObject(store, path, meta.length ?? maxBytes);
  if (object !== undefined) return object.bytes;
  throw new GantryError(
    'store/missing',
    `Cannot read the live state: ${quote(path)} is missing from ${quote(store.description)}, and its parent names it`,
    {
      path,
    },
  );
}

async function readManifest(store: Store, published: PublishedRoles): Promise<Manifest> {
  const bytes = await readManifestFile(store, published);
  return bytes === undefined ? emptyManifest() : parseManifest(bytes);
}

/** The live `manifest.json`, byte for byte; undefined where targets name none. @throws GantryError `publish/no-manifest` */
export async function readManifestFile(store: Store, published: PublishedRoles): Promise<Uint8Array | undefined> {
  const entry = published.targets.role.targets[MANIFEST_PATH];
  if (entry === undefined) return undefined;
  const path = targetPath(TargetPath.parse(MANIFEST_PATH).publishedName(entry.hashes.sha256));
  checkManifestLength(entry.length);
  const object = await readObject(store, path, entry.length);
  if (object === undefined || sha256Hex(object.bytes) !== entry.hashes.sha256) {
    throw new GantryError(
      'publish/no-manifest',
      `Cannot read the live manifest: ${quote(path)} is ${object === undefined ? 'missing' : 'not the file that was signed'}; expected SHA-256 ${entry.hashes.sha256}`,
      { path },
    );
  }
  return object.bytes;
}

/** The versions of the published roles. */
export function versionsOf({ targets, snapshot, timestamp }: PublishedRoles): FreeVersions {
  return { targets: targets.role.version, snapshot: snapshot.role.version, timestamp: timestamp.role.version };
}

/** Counting on from what is live, past every number that a crashed or losing publisher has taken (design D5). */
async function freeVersions(
  store: Store,
  repository: RepositoryName,
  { live, delegated }: { readonly live: FreeVersions; readonly delegated: ReadonlyMap<string, number> },
): Promise<FreeVersions> {
  const firstFree = async (role: string, newest: number): Promise<number> => {
    let version = newest + 1;
    while ((await store.head(pathOf(repository, `${version}.${encodeURIComponent(role)}.json`))) !== undefined) version += 1;
    return version;
  };
  const top = {
    targets: await firstFree('targets', live.targets),
    snapshot: await firstFree('snapshot', live.snapshot),
    timestamp: live.timestamp + 1,
  };
  if (delegated.size === 0) return top;
  const free = await inParallel([...delegated], CONCURRENCY, async ([name, newest]) => [name, await firstFree(name, newest)] as const);
  return { ...top, delegated: Object.fromEntries(free) };
}

function refuseRolledBack(seen: SeenVersions | undefined, live: SeenVersions): void {
  if (seen === undefined) return;
  for (const role of ['root', 'timestamp', 'snapshot', 'targets'] as const) {
    if (live[role] >= seen[role]) continue;
    throw new GantryError(
      'publish/rolled-back',
      `Cannot trust the store: its ${role} ${live[role] === 0 ? 'is gone' : `has version ${live[role]}`}; expected at least ${seen[role]}, which this workspace has seen live`,
      { role, published: seen[role], live: live[role] },
    );
  }
}

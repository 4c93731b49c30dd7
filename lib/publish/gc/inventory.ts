/**
 * Everything that gc decides from: what lies in the store, what every repository needs, and the marks of earlier runs.
 *
 * Rules:
 * - the whole store is listed first and the repositories are read after that: a publication that comes in between shows up in what is
 *   live, and its objects, which the listing may lack, are looked up;
 * - a listing that lacks what was there before it began is refused: it may lack a whole repository, too;
 * - one repository that cannot be verified, or that has lost something, and nothing is removed anywhere: targets are shared;
 * - a folder with roots and without `timestamp.json` is a first publication under way, or a damaged repository. It keeps all that it
 *   has, and what its metadata names.
 */
import { GantryError, isGantryError, quote, refuseAborted } from '../../errors.ts';
import type { RootChain } from '../../repository/root-chain.ts';
import { isStorePath } from '../../store/path.ts';
import type { ObjectInfo, Store, StorePath, UnfinishedWrite } from '../../store/store.ts';
import type { Snapshot } from '../../tuf/types.ts';
import type { RepositoryName } from '../../workspace/config.ts';
import type { SeenVersions } from '../../workspace/draft-files.ts';
import { inParallel } from '../../http/in-parallel.ts';
import { readLiveState } from '../live-state.ts';
import { CLOCK_TOLERANCE_MS, readMark, MARKS_FOLDER, type StoredMark } from './marks.ts';
import { nameObject, repositoryFolders } from './names.ts';
import { liveNeeds, readForeign, recentNeeds, type Folder, type Needs } from './repository.ts';

/** An object whose age is known. */
export interface DatedObject extends ObjectInfo {
  readonly modified: Date;
}

export interface RepositoryFacts {
  readonly folder: string;
  /** Of this workspace. */
  readonly isOurs: boolean;
  /** What is live; absent in a folder that has roots only. */
  readonly live?: {
    readonly needs: Needs;
    /** Of the snapshot and of every role that it names. */
    readonly versions: ReadonlyMap<string, number>;
  };
  /** What was live less than a grace ago, or could be live before long. */
  readonly recent: Needs;
}

export interface Inventory {
  readonly objects: ReadonlyMap<StorePath, DatedObject>;
  readonly repositories: readonly RepositoryFacts[];
  readonly marks: ReadonlyMap<StorePath, StoredMark>;
  /** Large writes that somebody began and did not end. */
  readonly unfinished: readonly UnfinishedWrite[];
}

/** A repository that this workspace can vouch for. */
export interface OwnRepository {
  readonly repository: RepositoryName;
  readonly chain: RootChain;
  readonly seen?: SeenVersions;
}

export interface InventoryOptions {
  readonly now: Date;
  readonly graceMs: number;
  readonly signal?: AbortSignal;
  /** Objects listed so far. */
  readonly onListed?: (count: number) => void;
}

/** Marks and repositories that are read side by side. */
const CONCURRENCY = 8;

/** @throws GantryError `publish/unverified`, `store/…`, `aborted` */
export async function readInventory(store: Store, own: readonly OwnRepository[], options: InventoryOptions): Promise<Inventory> {
  const objects = await listAll(store, options);
  const marked = [...objects.keys()].flatMap((path) => {
    const object = path.startsWith(MARKS_FOLDER) ? path.slice(MARKS_FOLDER.length) : '';
    return isStorePath(object) ? [object] : [];
  });
  const marks = await inParallel(marked, CONCURRENCY, async (path) => {
    refuseAborted(options.signal);
    return readMark(store, path);
  });
  const folders = repositoryFolders(objects.keys());
  const files = metadataByFolder(objects);
  const ours = new Map(own.map((one) => [folderOf(one.repository), one]));
  // What is ours is read even where the listing has nothing of it: a listing may lie.
  const repositories = await inParallel([...new Set([...ours.keys(), ...folders.keys()])], CONCURRENCY, async (folder) => {
    refuseAborted(options.signal);
    const here = { folder, objects: files.get(folder) ?? new Map<StorePath, DatedObject>() };
    return readFacts(store, objects, { here, own: ours.get(folder), isPublished: folders.get(folder) === 'published' }, options);
  });
  return {
    objects,
    repositories,
    marks: new Map(marks.flatMap((mark) => (mark === undefined ? [] : [[mark.path, mark]]))),
    unfinished: await listUnfinished(store, options),
  };
}

function folderOf({ variant, arch }: RepositoryName): string {
  return `${variant}/${arch}`;
}

/** @throws GantryError `publish/unverified` when the store does not say how old its objects are */
async function listAll(store: Store, { signal, onListed }: InventoryOptions): Promise<ReadonlyMap<StorePath, DatedObject>> {
  const objects = new Map<StorePath, DatedObject>();
  for await (const object of store.list('', signal === undefined ? {} : { signal })) {
    const { modified } = object;
    if (modified === undefined) {
      throw new GantryError(
        'publish/unverified',
        `Cannot tidy up ${quote(store.description)}: it does not say when ${quote(object.path)} was written; expected the time of every object`,
        { repository: '' },
      );
    }
    objects.set(object.path, { ...object, modified });
    onListed?.(objects.size);
  }
  return objects;
}

async function listUnfinished(store: Store, { signal }: InventoryOptions): Promise<readonly UnfinishedWrite[]> {
  const found: UnfinishedWrite[] = [];
  if (store.unfinished === undefined) return found;
  for await (const one of store.unfinished.list(signal === undefined ? {} : { signal })) found.push(one);
  return found;
}

function metadataByFolder(objects: Inventory['objects']): ReadonlyMap<string, Map<StorePath, DatedObject>> {
  const folders = new Map<string, Map<StorePath, DatedObject>>();
  for (const [path, object] of objects) {
    const named = nameObject(path);
    if (!('folder' in named)) continue;
    const files = folders.get(named.folder) ?? new Map<StorePath, DatedObject>();
    folders.set(named.folder, files.set(path, object));
  }
  return folders;
}

interface Wanted {
  readonly here: Folder;
  readonly own: OwnRepository | undefined;
  readonly isPublished: boolean;
}

/** @throws GantryError `publish/unverified`; what is wrong with the store or the network comes out as it is */
async function readFacts(store: Store, objects: Inventory['objects'], wanted: Wanted, options: InventoryOptions): Promise<RepositoryFacts> {
  const { folder } = wanted.here;
  try {
    return await readRepository(store, objects, wanted, options);
  } catch (error) {
    const isTrust =
      isGantryError(error) &&
      error.code !== 'publish/unverified' &&
      !error.code.startsWith('files/') &&
      error.code !== 'aborted' &&
      !isStoresFault(error);
    if (!isTrust) throw error;
    throw new GantryError(
      'publish/unverified',
      `Cannot tidy up ${quote(store.description)}: the repository ${quote(folder)} cannot be verified: ${error.message}. Nothing was removed`,
      { repository: folder },
      { cause: error },
    );
  }
}

function isStoresFault({ code }: GantryError): boolean {
  return code.startsWith('store/') && code !== 'store/missing' && code !== 'store/too-long' && code !== 'store/bad-path';
}

async function readRepository(
  store: Store,
  all: Inventory['objects'],
  { here, own, isPublished }: Wanted,
  options: InventoryOptions,
): Promise<RepositoryFacts> {
  const { folder } = here;
  const published =
    own !== undefined
      ? (await readLiveState(store, own.repository, own.chain, { seen: own.seen })).trusted.published
      : isPublished
        ? await readForeign(store, here)
        : undefined;
  const isOurs = own !== undefined;
  if (published === undefined) return { folder, isOurs, recent: await recentNeeds(store, here, versionedFiles(here)) };
  const needs = await liveNeeds(store, here, published);
  await refuseIncomplete(store, all, here, { needs, now: options.now });
  const versions = liveVersions(published.snapshot.role);
  const recent = await recentNeeds(store, here, recentFiles(here, versions, options));
  return { folder, isOurs, live: { needs, versions }, recent };
}

function liveVersions({ version, meta }: Snapshot): ReadonlyMap<string, number> {
  const named = Object.entries(meta).map(([file, entry]): readonly [string, number] => [file.replace(/\.json$/u, ''), entry.version]);
  return new Map([...named, ['snapshot', version]]);
}

function versionedFiles({ objects }: Folder): readonly string[] {
  return [...objects.keys()].flatMap((path) => {
    const { kind } = nameObject(path);
    return kind === 'snapshot' || kind === 'targets' ? [path.slice(path.lastIndexOf('/') + 1)] : [];
  });
}

/**
 * The older versions that were live less than a grace ago. A version stopped being live when a later one was written; when the one in
 * between was never published it stopped later than that, which is why the age of a mark counts as well.
 */
function recentFiles({ objects }: Folder, live: ReadonlyMap<string, number>, { now, graceMs }: InventoryOptions): readonly string[] {
  const horizon = now.getTime() - graceMs;
  return (['snapshot', 'targets'] as const).flatMap((role) => {
    const versions = [...objects.values()]
      .flatMap((object) => {
        const named = nameObject(object.path);
        return 'role' in named && named.role === role ? [{ version: named.version, modified: object.modified.getTime() }] : [];
      })
      .toSorted((a, b) => a.version - b.version);
    return versions.flatMap(({ version }, index) => {
      const next = versions[index + 1];
      const isRecent = version < (live.get(role) ?? 0) && (next === undefined || next.modified > horizon);
      return isRecent ? [`${version}.${role}.json`] : [];
    });
  });
}

/** @throws GantryError `store/missing`, `repository/mismatch`, `publish/unverified` */
async function refuseIncomplete(
  store: Store,
  all: Inventory['objects'],
  { folder }: Folder,
  { needs: { metadata, required }, now }: { readonly needs: Needs; readonly now: Date },
): Promise<void> {
  for (const path of metadata) if (!all.has(path)) refuseShortListing(store, await store.head(path), now);
  const steps = folder === '' ? [] : folder.split('/');
  const places = steps.map((_, depth) => [...steps.slice(0, depth), 'targets'].join('/')).concat([...steps, 'targets'].join('/'));
  for (const [name, lengthBytes] of required) {
    const paths = places.map((place) => `${place}/${name}`).filter((path) => isStorePath(path));
    if (paths.some((path) => all.get(path)?.lengthBytes === lengthBytes)) continue;
    // It may have been written since the store was listed.
    const found = await Promise.all(paths.map(async (path) => store.head(path)));
    const fitting = found.find((object) => object?.lengthBytes === lengthBytes);
    if (fitting === undefined)
      throw lostTarget(
        name,
        lengthBytes,
        found.find((object) => object !== undefined),
      );
    refuseShortListing(store, fitting, now);
  }
}

function lostTarget(name: string, lengthBytes: number, other: ObjectInfo | undefined): GantryError {
  return other === undefined
    ? new GantryError('store/missing', `the target ${quote(name)} is missing, and live metadata names it`, { path: name })
    : new GantryError(
        'repository/mismatch',
        `the target ${quote(name)} has ${other.lengthBytes} bytes; expected ${lengthBytes}, which live metadata names`,
        { role: 'targets' },
      );
}

/** @throws GantryError `publish/unverified` when this was there before the store was listed, and no listing had it */
function refuseShortListing(store: Store, found: ObjectInfo | undefined, listed: Date): void {
  if (found?.modified === undefined || found.modified.getTime() > listed.getTime() - CLOCK_TOLERANCE_MS) return;
  throw new GantryError(
    'publish/unverified',
    `Cannot tidy up ${quote(store.description)}: its listing lacks ${quote(found.path)}, which is there; expected every object`,
    { repository: '' },
  );
}

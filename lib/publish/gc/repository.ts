/**
 * What one repository of a store needs, read and verified before anything is derived from it.
 *
 * Rules:
 * - a repository of the workspace is verified from the workspace's root chain, any other from the chain that lies in its folder;
 * - expiry does not matter: an expired repository needs its objects as much as any other;
 * - what live metadata names must be there, in its length: a store that has lost something is not tidied up;
 * - metadata that was live lately is only read. It can make gc keep more, never less, so it needs no proof, and what cannot be read
 *   or is missing was never live, or is none of a host's business any more.
 */
import { GantryError, isGantryError, quote } from '../../errors.ts';
import { openRootChain } from '../../repository/root-chain.ts';
import { trustRepository, verifyDelegated, type PublishedRoles } from '../../repository/trusted.ts';
import { emptyManifest } from '../../release/manifest.ts';
import { isStorePath } from '../../store/path.ts';
import type { ObjectInfo, Store, StorePath } from '../../store/store.ts';
import { readSignedRole } from '../../tuf/role.ts';
import { TargetPath } from '../../tuf/target-path.ts';
import type { Delegations, Root, SignedRole, Snapshot, Targets } from '../../tuf/types.ts';
import { readObject } from '../read-object.ts';

/** Far above what any client takes; what is read here is not trusted yet. */
const MAX_BYTES = 64 << 20;
/** No honest tree is deeper; a hostile one must end. */
const MAX_ROLES = 4096;

/** What is to be kept for the sake of a repository, and how it may be called. */
export interface Needs {
  /** Metadata, exactly. */
  readonly metadata: ReadonlySet<StorePath>;
  /** Published names of targets, all that a target may have, below whatever folder of targets. */
  readonly targets: ReadonlySet<string>;
  /** The names that every client but tough asks for, and how many bytes it expects there. */
  readonly required: ReadonlyMap<string, number>;
}

/** A folder of a store as gc sees it. */
export interface Folder {
  /** `VARIANT/ARCH`, or any other; empty for the top of the store. */
  readonly folder: string;
  /** Its files of metadata. */
  readonly objects: ReadonlyMap<StorePath, ObjectInfo & { readonly modified: Date }>;
}

/** The roles that are live in a folder, verified from its own roots. @throws GantryError `tuf/…`, `repository/…`, `store/…` */
export async function readForeign(store: Store, { folder, objects }: Folder): Promise<PublishedRoles> {
  const roots: SignedRole<Root>[] = [];
  const versions = [...objects.keys()].flatMap((path) => /\/?([1-9][0-9]*)\.root\.json$/u.exec(path)?.[1] ?? []).map(Number);
  for (const version of versions.toSorted((a, b) => a - b)) {
    roots.push(readSignedRole(await need(store, folder, `${version}.root.json`), 'root'));
  }
  // The first root is all that there is to believe in: nobody else vouches for a stranger's repository.
  if (roots[0] !== undefined && roots[0].role.version !== 1) {
    throw new GantryError(
      'repository/root-chain',
      `Cannot follow the root chain: it begins with version ${roots[0].role.version}; expected 1`,
      {
        version: roots[0].role.version,
      },
    );
  }
  const chain = openRootChain(roots);
  const timestamp = readSignedRole(await need(store, folder, 'timestamp.json'), 'timestamp');
  const snapshotName = `${timestamp.role.meta['snapshot.json'].version}.snapshot.json`;
  const snapshot = readSignedRole(await need(store, folder, snapshotName), 'snapshot');
  const targetsName = `${snapshot.role.meta['targets.json']?.version ?? 0}.targets.json`;
  const published = { timestamp, snapshot, targets: readSignedRole(await need(store, folder, targetsName), 'targets') };
  trustRepository(chain, emptyManifest(), { root: chain.latest.role, published });
  return published;
}

/** Everything that verified live metadata names, delegated roles included. @throws GantryError `tuf/…`, `repository/…`, `store/…` */
export async function liveNeeds(store: Store, { folder }: Folder, { snapshot, targets }: PublishedRoles): Promise<Needs> {
  const found = new Gathered(folder);
  found.role(`${snapshot.role.version}.snapshot.json`);
  found.role(`${targets.role.version}.targets.json`);
  found.targetsOf(targets.role);
  const waiting: { readonly name: string; readonly by: Delegations }[] = childrenOf(targets.role);
  const seen = new Set<string>();
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { name, by } = next;
    const meta = snapshot.role.meta[`${name}.json`];
    if (seen.has(name) || meta === undefined) continue;
    seen.add(name);
    if (seen.size > MAX_ROLES) throw tooManyRoles(folder);
    const file = `${meta.version}.${encodeURIComponent(name)}.json`;
    const role = readSignedRole(await need(store, folder, file), 'targets');
    verifyDelegated(name, by, meta, role);
    found.role(file);
    found.targetsOf(role.role);
    waiting.push(...childrenOf(role.role));
  }
  return found;
}

function childrenOf({ delegations }: Targets): { readonly name: string; readonly by: Delegations }[] {
  return (delegations?.roles ?? []).map(({ name }) => ({ name, by: delegations as Delegations }));
}

function tooManyRoles(folder: string): GantryError {
  return new GantryError('repository/mismatch', `Cannot read the delegated roles of ${quote(folder)}: there are more than ${MAX_ROLES}`, {
    role: 'targets',
  });
}

/** What these older files of metadata name: snapshots with the roles below them, and roles by themselves. */
export async function recentNeeds(store: Store, { folder }: Folder, files: readonly string[]): Promise<Needs> {
  const found = new Gathered(folder);
  const waiting = [...files];
  const seen = new Set<string>();
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    if (seen.has(file)) continue;
    seen.add(file);
    const role = await readIfReadable(store, pathIn(folder, file), file.endsWith('.snapshot.json') ? 'snapshot' : 'targets');
    if (role === undefined) continue;
    found.role(file);
    if (role._type === 'targets') found.targetsOf(role);
    else
      waiting.push(
        ...Object.entries(role.meta).map(([name, { version }]) => `${version}.${encodeURIComponent(name.replace(/\.json$/u, ''))}.json`),
      );
  }
  return found;
}

async function readIfReadable(
  store: Store,
  path: StorePath | undefined,
  type: 'snapshot' | 'targets',
): Promise<Snapshot | Targets | undefined> {
  if (path === undefined) return undefined;
  const object = await readObject(store, path, MAX_BYTES);
  if (object === undefined) return undefined;
  try {
    return readSignedRole(object.bytes, type).role;
  } catch (error) {
    if (isGantryError(error)) return undefined;
    throw error;
  }
}

function pathIn(folder: string, file: string): StorePath | undefined {
  const path = folder === '' ? file : `${folder}/${file}`;
  return isStorePath(path) ? path : undefined;
}

async function need(store: Store, folder: string, file: string): Promise<Uint8Array> {
  const path = pathIn(folder, file);
  const object = path === undefined ? undefined : await readObject(store, path, MAX_BYTES);
  if (object !== undefined) return object.bytes;
  throw new GantryError('store/missing', `Cannot read ${quote(file)}: it is missing, and other metadata names it`, { path: file });
}

class Gathered implements Needs {
  readonly metadata = new Set<StorePath>();
  readonly targets = new Set<string>();
  readonly required = new Map<string, number>();
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  role(file: string): void {
    const path = pathIn(this.#folder, file);
    if (path !== undefined) this.metadata.add(path);
  }

  /** A name that is not portable is none that a store has. */
  targetsOf({ targets }: Targets): void {
    for (const [name, { length, hashes }] of Object.entries(targets)) {
      if (!TargetPath.isPortable(name)) continue;
      const path = TargetPath.parse(name);
      this.required.set(path.publishedName(hashes.sha256), length);
      for (const published of path.publishedNames(hashes.sha256)) this.targets.add(published);
    }
  }
}

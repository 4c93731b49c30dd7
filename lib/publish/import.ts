/**
 * `import`: a repository that another tool made becomes one of this workspace, and goes on with its next versions.
 *
 * Rules:
 * - it is taken over as a host sees it: verified from a root that somebody trusts, byte for byte, whole;
 * - nothing of it is signed again now, and all of it could be: what no signature would be given to is refused;
 * - nothing that is there is replaced: the store has nothing of this repository, or the very same;
 * - the workspace believes it last: whoever was cut off types the command again, and nothing is fetched twice.
 */
import { rm } from 'node:fs/promises';
import { placeOf, transportFor } from '../client/transports.ts';
import { GantryError, isGantryError, named, type LintFinding } from '../errors.ts';
import { draftFrom, type FreeVersions } from '../repository/draft.ts';
import { parseExpiryPolicy } from '../repository/expiry.ts';
import { openRootChain, type RootChain } from '../repository/root-chain.ts';
import type { PublishedRoles, TrustedRepository } from '../repository/trusted.ts';
import { metadataPath } from '../store/layout.ts';
import { createDirectoryStore } from '../store/directory.ts';
import type { ByteSource, Store } from '../store/store.ts';
import { lintRepository } from '../tuf/lint.ts';
import { keyContentOf } from '../tuf/key.ts';
import { readSignedRole } from '../tuf/role.ts';
import type { KeyId, Root, SignedRole, Targets } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { readDraft, saveSeenVersions } from '../workspace/draft-files.ts';
import { namedKeys, rememberKey } from '../workspace/key-ring.ts';
import { readRootChain, saveRootChain } from '../workspace/root-files.ts';
import { privatePath, type Workspace } from '../workspace/workspace.ts';
import { applyPublication, type ApplyOptions } from './apply.ts';
import { cloneRepository, type Clone, type CloneOptions } from './clone.ts';
import { allDelegated, readLiveState, versionsOf } from './live-state.ts';
import { filesOf, roleWrite, type PlannedWrite } from './plan.ts';
import { readObject } from './read-object.ts';

/** Every client's cap on a root. */
const ROOT_MAX_BYTES = 512_000;

export interface ImportSource extends Omit<CloneOptions, 'directory' | 'repository' | 'selection' | 'now' | 'transport'> {
  readonly repository: RepositoryName;
  readonly now: Date;
  readonly onUpload?: ApplyOptions['onProgress'];
}

/** A key of the root, and what it is called in the workspace from now on. */
export interface TakenKey {
  readonly name: string;
  readonly keyId: KeyId;
  readonly roles: readonly string[];
  /** True when the workspace had it already. */
  readonly known: boolean;
}

export interface Import {
  readonly clone: Clone;
  readonly keys: readonly TakenKey[];
  /** Of the lint, on what was taken over. */
  readonly findings: readonly LintFinding[];
  /** Objects that were not in the store; on a dry run nothing is looked up there. */
  readonly sent: number;
}

/**
 * For whoever holds the workspace's lock.
 *
 * @throws GantryError `workspace/exists` when the workspace has another root chain or a draft, `publish/conflict` when the store has another
 * publication, `tuf/not-portable`, and what `cloneRepository` throws
 */
export async function importRepository(workspace: Workspace, store: Store, source: ImportSource): Promise<Import> {
  const { repository, mode } = source;
  const own = await readRootChain(workspace);
  await refuseDraft(workspace, repository);
  const directory = privatePath(workspace, 'import');
  const clone = await copy(source, directory);
  if (mode === 'dry-run') return { clone, keys: await keysOf(workspace, readSignedRole(source.root, 'root').role), findings: [], sent: 0 };
  const staged = createDirectoryStore(directory);
  const { chain, published, delegated, findings } = await readStaged(staged, source, own);
  const writes = writesOf(repository, chain, published, delegated);
  const plan = { repository, base: { roots: (chain.roots[0]?.role.version ?? 1) - 1 }, writes, changed: [], removed: [] };
  const applied = await applyPublication(plan, store, {
    signal: source.signal,
    clock: () => new Date(),
    concurrency: source.concurrency,
    openTarget: async (write) => stagedSource(staged, write),
    ...(source.onUpload === undefined ? {} : { onProgress: source.onUpload }),
  });
  const keys = await keysOf(workspace, chain.latest.role);
  for (const { name, keyId, known } of keys) {
    const key = chain.latest.role.keys[keyId];
    if (!known && key !== undefined) await rememberKey(workspace, name, key);
  }
  await saveRootChain(workspace, chain);
  await saveSeenVersions(workspace, store.description, repository, { root: chain.latest.role.version, ...versionsOf(published) });
  await rm(directory, { recursive: true, force: true });
  return { clone, keys, findings, sent: applied.filter(({ sent }) => sent).length };
}

async function copy({ now, ...source }: ImportSource, directory: string): Promise<Clone> {
  const transport = transportFor([placeOf(source)], source, 'anywhere');
  try {
    return await cloneRepository({ ...source, directory, transport, selection: { kind: 'all' }, now: () => now });
  } finally {
    transport.close();
  }
}

async function refuseDraft(workspace: Workspace, repository: RepositoryName): Promise<void> {
  if ((await readDraft(workspace, repository)) === undefined) return;
  throw new GantryError(
    'workspace/exists',
    `Cannot import ${titleOf(repository)}: a draft of it waits here; expected a repository that nothing was drafted for`,
    { path: workspace.directory },
  );
}

interface Staged {
  readonly chain: RootChain;
  readonly published: PublishedRoles;
  readonly delegated: ReadonlyMap<string, SignedRole<Targets>>;
  readonly findings: readonly LintFinding[];
}

/** What was copied, verified once more as this workspace verifies what it goes on from. */
async function readStaged(staged: Store, source: ImportSource, own: RootChain | undefined): Promise<Staged> {
  const { repository, root } = source;
  const { trusted, versions: live } = await readLiveState(staged, repository, openRootChain([readSignedRole(root, 'root')]), {
    delegated: allDelegated,
  });
  const { published, delegated } = trusted;
  if (published === undefined) throw new RangeError('a clone without a publication');
  const chain = await wholeChain(staged, repository, trusted.chain);
  refuseOtherChain(repository, own, chain);
  refuseUnsignable(source, trusted, live);
  const files = { roots: chain.roots, ...published, delegated: [...delegated].map(([name, file]) => ({ name, file })) };
  return { chain, published, delegated, findings: lintRepository(files) };
}

/** Dates and versions of other tools go with the next signature; what would be signed again as it is must be what every client reads. */
function refuseUnsignable({ repository, now }: ImportSource, trusted: TrustedRepository, versions: FreeVersions): void {
  try {
    draftFrom(trusted, [{ kind: 'renew-targets' }], { versions, now, policy: parseExpiryPolicy({}) });
  } catch (cause) {
    if (!isGantryError(cause)) throw cause;
    throw new GantryError(
      cause.code,
      `Cannot import ${titleOf(repository)}, because it could not be signed again: ${cause.message}`,
      cause.details,
      {
        cause,
      },
    );
  }
}

/** With the roots before the trusted one, as far as the source had them: hosts of old start there. */
async function wholeChain(staged: Store, { variant, arch }: RepositoryName, { roots }: RootChain): Promise<RootChain> {
  const older: SignedRole<Root>[] = [];
  for (let version = (roots[0]?.role.version ?? 1) - 1; version >= 1; version -= 1) {
    const found = await readObject(staged, metadataPath(variant, arch, `${version}.root.json`), ROOT_MAX_BYTES);
    if (found === undefined) break;
    older.unshift(readSignedRole(found.bytes, 'root'));
  }
  return openRootChain([...older, ...roots]);
}

/** Repositories of a workspace share their roots. */
function refuseOtherChain(repository: RepositoryName, own: RootChain | undefined, theirs: RootChain): void {
  for (const root of own?.roots ?? []) {
    const same = theirs.roots.find(({ role }) => role.version === root.role.version);
    if (same !== undefined && same.sha256 === root.sha256) continue;
    const { version } = root.role;
    throw new GantryError(
      'workspace/exists',
      `Cannot import ${titleOf(repository)}: this workspace has another ${version}.root.json; expected a new workspace (gantry init), or one with the same roots`,
      { path: `${version}.root.json` },
    );
  }
}

function writesOf(
  repository: RepositoryName,
  chain: RootChain,
  { targets, snapshot, timestamp }: PublishedRoles,
  delegated: ReadonlyMap<string, SignedRole<Targets>>,
): readonly PlannedWrite[] {
  const version = (role: SignedRole, name: string): string => `${role.role.version}.${name}.json`;
  const lists = [targets, ...delegated.values()];
  return [
    ...chain.roots.map((root) => roleWrite(repository, 'root', version(root, 'root'), root, 'absent')),
    ...lists.flatMap(({ role }) => Object.entries(role.targets).flatMap(([path, file]) => filesOf(path, file))),
    ...[...delegated].map(([name, role]) => roleWrite(repository, 'role', version(role, encodeURIComponent(name)), role, 'absent')),
    roleWrite(repository, 'role', version(targets, 'targets'), targets, 'absent'),
    roleWrite(repository, 'role', version(snapshot, 'snapshot'), snapshot, 'absent'),
    roleWrite(repository, 'timestamp', 'timestamp.json', timestamp, 'absent'),
  ];
}

async function stagedSource(staged: Store, { path, lengthBytes, sha256 }: PlannedWrite): Promise<ByteSource> {
  return {
    lengthBytes,
    sha256,
    async *open() {
      yield* (await staged.read(path)).body;
    },
  };
}

/** Named by what they sign: `root-1`, `targets`, `online` for snapshot and timestamp, `all` for a key that signs everything. */
async function keysOf(workspace: Workspace, root: Root): Promise<readonly TakenKey[]> {
  const known = new Map((await namedKeys(workspace)).map(({ key, name }) => [keyContentOf(key), name]));
  const taken = new Set(known.values());
  // The members of the record are key ids by its type.
  return (Object.keys(root.keys) as KeyId[]).flatMap((keyId): readonly TakenKey[] => {
    const key = root.keys[keyId];
    const roles = (['root', 'targets', 'snapshot', 'timestamp'] as const).filter((role) => root.roles[role].keyids.includes(keyId));
    if (key === undefined || roles.length === 0) return [];
    const own = known.get(keyContentOf(key));
    if (own !== undefined) return [{ name: own, keyId, roles, known: true }];
    const name = freeName(usualName(roles), taken);
    taken.add(name);
    return [{ name, keyId, roles, known: false }];
  });
}

function usualName(roles: readonly string[]): string {
  if (roles.length === 4) return 'all';
  const isOnline = roles.includes('snapshot') && roles.includes('timestamp');
  return [...roles.filter((role) => !isOnline || (role !== 'snapshot' && role !== 'timestamp')), ...(isOnline ? ['online'] : [])].join('-');
}

function freeName(base: string, taken: ReadonlySet<string>): string {
  if (!taken.has(base)) return base;
  for (let number = 2; ; number += 1) if (!taken.has(`${base}-${number}`)) return `${base}-${number}`;
}

function titleOf({ variant, arch }: RepositoryName): string {
  return `${named(variant)}/${named(arch)}`;
}

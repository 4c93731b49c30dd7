/**
 * What a publication will write, in which order, and what each write expects to find. Pure: the plan is data.
 *
 * Order (design D6): roots, target files, delegated roles, targets, snapshot, `timestamp.json` last. Everything but the timestamp is immutable.
 */
import { GantryError } from '../errors.ts';
import { isSame, isWithdrawn } from '../release/find.ts';
import { parseManifest, type Manifest, type Update } from '../release/manifest.ts';
import { MANIFEST_PATH, type FreeVersions, type SignedRepository } from '../repository/draft.ts';
import { verifyUnder } from '../repository/trusted.ts';
import { metadataPath, targetPath } from '../store/layout.ts';
import type { CacheClass, Expect, StorePath, StoreVersion } from '../store/store.ts';
import { tufDate } from '../tuf/date.ts';
import { TargetPath } from '../tuf/target-path.ts';
import type { Root, Sha256Hex, SignedRole, TargetFile } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { versionsOf, type Judgement, type LiveState } from './live-state.ts';

export interface PlannedWrite {
  readonly kind: 'root' | 'target' | 'role' | 'timestamp';
  readonly path: StorePath;
  readonly lengthBytes: number;
  readonly sha256: Sha256Hex;
  readonly expect: Expect;
  readonly cacheClass: CacheClass;
  readonly contentType: string;
  /** Metadata and the manifest carry their bytes; images lie in the workspace's objects. */
  readonly bytes?: Uint8Array;
}

/** The live state that a plan was computed from: it may be carried out while that has not changed. */
export interface PlanBase {
  /** Highest `N.root.json` in the store, 0 when there is none. */
  readonly roots: number;
  /** What is live, and the store's own token of that `timestamp.json`; absent before the first publication. */
  readonly timestamp?: FreeVersions & { readonly storeVersion: StoreVersion };
}

export interface PublicationPlan {
  readonly repository: RepositoryName;
  readonly base: PlanBase;
  /** In the order in which they happen. */
  readonly writes: readonly PlannedWrite[];
  /** When `timestamp.json` must have been replaced; absent: any time will do. */
  readonly notAfter?: Date;
  /** Updates that hosts are offered in another way than before, or for the first time. */
  readonly changed: readonly Update[];
  /** Updates that hosts are offered no more. */
  readonly removed: readonly Update[];
}

const JSON_TYPE = 'application/json';
const BINARY_TYPE = 'application/octet-stream';

/**
 * @param signed absent when only roots are to be published
 * @param notAfter the deadline of the changes, when they have one
 * @throws GantryError `repository/root-transition`
 */
export function planPublication(
  live: LiveState,
  signed?: SignedRepository,
  notAfter?: Date,
  judgement: Judgement = 'strict',
): PublicationPlan {
  const { repository } = live;
  const before = live.trusted.manifest;
  const after = signed?.manifest === undefined ? before : parseManifest(signed.manifest);
  return {
    repository,
    base: baseOf(live),
    writes: [
      ...rootWrites(live, judgement === 'recover' ? signed : undefined),
      ...(signed === undefined ? [] : [...targetWrites(live, signed), ...roleWrites(live, signed)]),
    ],
    ...(notAfter === undefined ? {} : { notAfter }),
    changed: changedUpdates(before, after),
    removed: before.updates.filter((update) => !after.updates.some((one) => isSame(one, update))),
  };
}

export function baseOf({ rootsStored, timestampVersion, trusted: { published } }: LiveState): PlanBase {
  if (published === undefined || timestampVersion === undefined) return { roots: rootsStored };
  return { roots: rootsStored, timestamp: { ...versionsOf(published), storeVersion: timestampVersion } };
}

/** `max_version` moves with every release: it matters only where it withdraws one. */
function changedUpdates(before: Manifest, after: Manifest): readonly Update[] {
  const offerOf = (update: Update): string => JSON.stringify([update.waves, update.gantry, isWithdrawn(update)]);
  return after.updates.filter((update) => {
    const was = before.updates.find((one) => isSame(one, update));
    return was === undefined || offerOf(was) !== offerOf(update);
  });
}

/**
 * A pause that came later would take the update away from hosts which were let in meanwhile.
 *
 * @throws GantryError `publish/too-late`
 */
export function refuseTooLate({ repository, notAfter }: PublicationPlan, now: Date): void {
  if (notAfter === undefined || now <= notAfter) return;
  const name = `${repository.variant}/${repository.arch}`;
  const [moment, is] = [tufDate(notAfter), tufDate(now)];
  throw new GantryError(
    'publish/too-late',
    `Cannot publish ${name}: its draft steers a rollout at ${moment}, and it is ${is} by now; expected it to be published before that moment`,
    { repository: name, notAfter: moment },
  );
}

/**
 * A new root is live once it is stored, so every live role must verify under it as well (design D6); where keys were stolen, those roles
 * that replace them in this publication.
 */
function rootWrites(live: LiveState, replacing: SignedRepository | undefined): readonly PlannedWrite[] {
  const { chain } = live.trusted;
  const published = replacing?.roles ?? live.trusted.published;
  const pending = chain.roots.filter(({ role }) => role.version > live.rootsStored);
  const judged = replacing === undefined ? pending : pending.slice(-1);
  for (const { role: root } of judged) {
    for (const name of ['timestamp', 'snapshot', 'targets'] as const) {
      const file = published?.[name];
      if (file !== undefined) refuseStranding(root, name, file);
    }
  }
  return pending.map((root) => roleWrite(live.repository, 'root', `${root.role.version}.root.json`, root, 'absent'));
}

function refuseStranding(root: Root, name: 'targets' | 'snapshot' | 'timestamp', file: SignedRole): void {
  try {
    verifyUnder(root, name, file);
  } catch (cause) {
    throw new GantryError(
      'repository/root-transition',
      `Cannot publish root version ${root.version}: the live ${name} role (version ${file.role.version}) does not verify under it, so hosts would be stranded; ` +
        `expected a root that still lists the keys which signed it`,
      { version: root.version, role: name },
      { cause },
    );
  }
}

/** A target that only moves from one role to another is there already. */
function targetWrites({ trusted }: LiveState, signed: SignedRepository): readonly PlannedWrite[] {
  const lists = [...trusted.delegated.values(), ...(trusted.published === undefined ? [] : [trusted.published.targets])];
  const before = new Set(lists.flatMap(({ role }) => Object.entries(role.targets).map(fileId)));
  const after = [...signed.newDelegated.values(), ...(signed.newTargets === undefined ? [] : [signed.newTargets])];
  return after
    .flatMap(({ role }) => Object.entries(role.targets))
    .filter((entry) => !before.has(fileId(entry)))
    .flatMap(([path, file]) => filesOf(path, file, path === MANIFEST_PATH ? signed.manifest : undefined));
}

function fileId([path, { hashes }]: readonly [string, TargetFile]): string {
  return `${hashes.sha256} ${path}`;
}

/** A target file under each of its published names. */
export function filesOf(path: string, file: TargetFile, bytes?: Uint8Array): readonly PlannedWrite[] {
  return TargetPath.parse(path)
    .publishedNames(file.hashes.sha256)
    .map((name) => ({
      kind: 'target',
      path: targetPath(name),
      lengthBytes: file.length,
      sha256: file.hashes.sha256,
      expect: 'absent',
      cacheClass: 'immutable',
      contentType: path.endsWith('.json') ? JSON_TYPE : BINARY_TYPE,
      ...(bytes === undefined ? {} : { bytes }),
    }));
}

function roleWrites(live: LiveState, signed: SignedRepository): readonly PlannedWrite[] {
  const { repository, timestampVersion } = live;
  const { newTargets } = signed;
  const { snapshot, timestamp } = signed.roles;
  return [
    ...[...signed.newDelegated].map(([name, role]) =>
      roleWrite(repository, 'role', `${role.role.version}.${encodeURIComponent(name)}.json`, role, 'absent'),
    ),
    ...(newTargets === undefined ? [] : [roleWrite(repository, 'role', `${newTargets.role.version}.targets.json`, newTargets, 'absent')]),
    // The one that stays is there.
    ...(live.trusted.published?.snapshot.sha256 === snapshot.sha256
      ? []
      : [roleWrite(repository, 'role', `${snapshot.role.version}.snapshot.json`, snapshot, 'absent')]),
    roleWrite(
      repository,
      'timestamp',
      'timestamp.json',
      timestamp,
      timestampVersion === undefined ? 'absent' : { version: timestampVersion },
    ),
  ];
}

export function roleWrite(
  { variant, arch }: RepositoryName,
  kind: PlannedWrite['kind'],
  file: string,
  role: SignedRole,
  expect: Expect,
): PlannedWrite {
  return {
    kind,
    path: metadataPath(variant, arch, file),
    lengthBytes: role.lengthBytes,
    sha256: role.sha256,
    expect,
    cacheClass: kind === 'timestamp' ? 'revalidate' : 'immutable',
    contentType: JSON_TYPE,
    bytes: role.bytes,
  };
}

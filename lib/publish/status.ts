/** `status`: where a workspace stands, what is due, and what to do next. Nothing is changed. */
import { isGantryError, type GantryError, type LintFinding, type MissingSignatures } from '../errors.ts';
import { verityImageBytes } from '../image/verity.ts';
import { isBasedOn, isRenewal, offerAfter, pendingRequests, type Draft } from '../repository/draft.ts';
import { deadlineOf, withoutLate, type DroppedChange } from '../repository/draft-changes.ts';
import { hasExpired } from '../repository/draft-check.ts';
import { renewalOf, urgencyOf, type ExpiryPolicy, type Urgency } from '../repository/expiry.ts';
import { rootRequest } from '../repository/root-draft.ts';
import type { RootChain } from '../repository/root-chain.ts';
import type { TrustedRepository } from '../repository/trusted.ts';
import { lintRelease } from '../release/lint.ts';
import type { Update } from '../release/manifest.ts';
import { metadataPath } from '../store/layout.ts';
import type { Store } from '../store/store.ts';
import { tufDate } from '../tuf/date.ts';
import { lintRepository } from '../tuf/lint.ts';
import { validSigners } from '../tuf/signature.ts';
import type { KeyId, RoleKeys, Root, SignedRole, TufDate } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { readRootChain, readRootDraft } from '../workspace/root-files.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { adviseOn, type Action, type ActionKind } from './advice.ts';
import { inParallel } from '../http/in-parallel.ts';
import { allDelegated, type LiveState } from './live-state.ts';
import { readCurrent } from './live.ts';
import { redraft } from './sign.ts';

export type { Urgency } from '../repository/expiry.ts';

export interface RoleStatus {
  /** Of a delegated role its own name. */
  readonly role: string;
  readonly version: number;
  readonly expires: TufDate;
  /** From when on it is due. */
  readonly renewal: TufDate;
  readonly urgency: Urgency;
  /** Whose signatures count, how many are needed, and who else might have signed. */
  readonly signedBy: readonly KeyId[];
  readonly need: number;
  readonly keyIds: readonly KeyId[];
}

export interface DraftStatus {
  readonly missing: readonly MissingSignatures[];
  /** True when somebody else published since: signing drafts it again. */
  readonly overtaken: boolean;
  /** Why it cannot be drafted again on top of that. */
  readonly conflict?: string;
  /** True when a role of it has expired before it was published: signing drafts it again. */
  readonly expired: boolean;
  /** Versions of the releases that the draft adds. */
  readonly releases: readonly string[];
  /** Whether it changes what is released: waves, recalls, removals. */
  readonly edits: boolean;
  /** When it must be published at the latest; RFC 3339. */
  readonly publishBefore?: TufDate;
  /** Pauses and resumptions whose moment has passed: nobody can publish the draft with them. */
  readonly late: readonly DroppedChange[];
}

export interface RepositoryStatus {
  readonly repository: RepositoryName;
  /** The four live roles, and delegated ones behind targets; empty before the first publication. */
  readonly live: readonly RoleStatus[];
  readonly rootsWaiting: number;
  /** Roots that hosts need on their way and that the store lacks. */
  readonly rootsMissing: readonly number[];
  /** Of the lints, on what is live. */
  readonly findings: readonly LintFinding[];
  /** Why nothing can be said of it; then every list is empty. */
  readonly problem?: GantryError;
  readonly updates: readonly Update[];
  readonly draft?: DraftStatus;
}

export interface WorkspaceStatus {
  readonly rootVersion?: number;
  /** What a drafted root still lacks. */
  readonly rootMissing?: readonly MissingSignatures[];
  readonly repositories: readonly RepositoryStatus[];
  /** A root is drafted under a number that another root has. */
  readonly rootStale?: true;
  readonly urgency: Urgency;
  /** What is to be done, in this order. */
  readonly actions: readonly Action[];
  /** The first of it. */
  readonly next: ActionKind | 'nothing';
}

/** Repositories, and objects of one, that are looked at together. */
const CONCURRENCY = 8;

/**
 * Every repository by itself: one that cannot be read does not hide the others, unless it is the only one, or all fail.
 *
 * @param canSign whether a key at hand may give one of the signatures that are missing
 */
export async function readStatus(
  workspace: Workspace,
  store: Store,
  options: { readonly now: Date; readonly canSign: (missing: readonly MissingSignatures[]) => Promise<boolean> },
): Promise<WorkspaceStatus> {
  const chain = await readRootChain(workspace);
  const rootDraft = await readRootDraft(workspace);
  const isStale = rootDraft !== undefined && rootDraft.signed.version <= (chain?.latest.role.version ?? 0);
  const rootMissing = rootDraft === undefined || isStale ? undefined : rootRequest(rootDraft, chain?.latest.role).missing;
  const { repositories: names } = workspace.config;
  const repositories =
    chain === undefined
      ? []
      : await inParallel(names, CONCURRENCY, async (repository) => readOne({ workspace, store, chain, now: options.now }, repository));
  const [failed] = repositories.flatMap(({ problem }) => problem ?? []);
  if (failed !== undefined && repositories.every(({ problem }) => problem !== undefined)) throw failed;
  const status = {
    ...(chain === undefined ? {} : { rootVersion: chain.latest.role.version }),
    ...(rootMissing === undefined ? {} : { rootMissing }),
    ...(isStale ? { rootStale: true as const } : {}),
    repositories,
    urgency: worst(repositories.flatMap(({ live }) => live.map((role) => role.urgency))),
  };
  const actions = await adviseOn(status, options.canSign);
  return { ...status, actions, next: actions[0]?.kind ?? 'nothing' };
}

interface Reading {
  readonly workspace: Workspace;
  readonly store: Store;
  readonly chain: RootChain;
  readonly now: Date;
}

async function readOne(reading: Reading, repository: RepositoryName): Promise<RepositoryStatus> {
  try {
    return await readRepositoryStatus(reading, repository);
  } catch (problem) {
    if (!isGantryError(problem)) throw problem;
    return { repository, live: [], rootsWaiting: 0, rootsMissing: [], findings: [], updates: [], problem };
  }
}

async function readRepositoryStatus({ workspace, store, chain, now }: Reading, repository: RepositoryName): Promise<RepositoryStatus> {
  const { live, draft } = await readCurrent(workspace, store, repository, { known: chain, delegated: allDelegated });
  return {
    repository,
    live: rolesOf(live.trusted, live.rootsStored, { now, policy: workspace.expiry }),
    rootsWaiting: live.trusted.chain.latest.role.version - live.rootsStored,
    rootsMissing: await missingRoots(store, live),
    findings: findingsOf(live.trusted, now),
    updates: live.trusted.manifest.updates,
    ...(draft === undefined ? {} : { draft: draftStatus(workspace, live, draft, now) }),
  };
}

function draftStatus(workspace: Workspace, live: LiveState, draft: Draft, now: Date): DraftStatus {
  const deadline = deadlineOf(draft.changes);
  const overtaken = !isBasedOn(draft, live.trusted);
  const isLate = deadline !== undefined && now > deadline;
  const conflict = overtaken && !isLate ? conflictOf(workspace, live, draft, now) : undefined;
  return {
    missing: pendingRequests(draft, live.trusted).flatMap(({ missing }) => missing),
    overtaken,
    ...(conflict === undefined ? {} : { conflict }),
    expired: hasExpired(draft, now),
    releases: draft.changes.flatMap((change) => (change.kind === 'add-update' ? [change.update.version] : [])),
    edits: draft.changes.some((change) => !isRenewal(change)),
    ...(deadline === undefined ? {} : { publishBefore: tufDate(deadline) }),
    late: isLate ? withoutLate(draft.changes, offerAfter(live.trusted, []), now).dropped : [],
  };
}

function conflictOf(workspace: Workspace, live: LiveState, draft: Draft, now: Date): string | undefined {
  try {
    redraft(draft, live, workspace, now);
    return undefined;
  } catch (error) {
    if (!isGantryError(error)) throw error;
    return error.message;
  }
}

/** The newest root of the chain that the store serves counts, and the roles below it. */
export function rolesOf(
  { published, chain, delegated }: TrustedRepository,
  rootsStored: number,
  judged: { readonly now: Date; readonly policy: ExpiryPolicy },
): readonly RoleStatus[] {
  if (published === undefined) return [];
  const root = chain.roots.find(({ role }) => role.version === rootsStored) ?? chain.latest;
  const { targets, snapshot, timestamp } = published;
  const { keys = {}, roles = [] } = targets.role.delegations ?? {};
  const files: readonly (readonly [string, SignedRole, RoleKeys, Root['keys']])[] = [
    ...[root, targets].map((file: SignedRole) => ofRoot(root.role, file)),
    ...roles.flatMap((role) => {
      const file = delegated.get(role.name);
      return file === undefined ? [] : [[role.name, file, role, keys] as const];
    }),
    ...[snapshot, timestamp].map((file) => ofRoot(root.role, file)),
  ];
  return files.map(([role, file, roleKeys, known]) => {
    const { version, expires } = file.role;
    return {
      role,
      version,
      expires,
      renewal: tufDate(renewalOf(role, expires, judged.policy)),
      urgency: urgencyOf(role, expires, judged),
      signedBy: validSigners({ signed: file.role, signatures: file.signatures }, known, roleKeys),
      need: roleKeys.threshold,
      keyIds: roleKeys.keyids,
    };
  });
}

function ofRoot(root: Root, file: SignedRole): readonly [string, SignedRole, RoleKeys, Root['keys']] {
  const { _type: name } = file.role;
  return [name, file, root.roles[name], root.keys];
}

/** Delegated roles are not read for this: `gantry lint` looks at all of it. */
function findingsOf({ chain, published, manifest }: TrustedRepository, now: Date): readonly LintFinding[] {
  if (published === undefined) return [];
  const { targets, snapshot, timestamp } = published;
  const files = { roots: chain.roots, snapshot, timestamp, ...(targets.role.delegations === undefined ? { targets } : {}) };
  const offer = { manifest, targets: targets.role.targets };
  return [...lintRepository(files), ...lintRelease(offer, manifest, { now, treeBytes: verityImageBytes })];
}

/** A host that starts from an old root asks for every later one, and stops at the first that is not there. */
async function missingRoots(store: Store, { repository: { variant, arch }, rootsStored, trusted }: LiveState): Promise<readonly number[]> {
  const older = trusted.chain.roots.map(({ role }) => role.version).filter((version) => version < rootsStored);
  const found = await inParallel(older, CONCURRENCY, async (version) => store.head(metadataPath(variant, arch, `${version}.root.json`)));
  return older.filter((_, index) => found[index] === undefined);
}

export function worst(urgencies: readonly Urgency[]): Urgency {
  return urgencies.find((one) => one === 'overdue') ?? urgencies.find((one) => one === 'due') ?? 'fine';
}

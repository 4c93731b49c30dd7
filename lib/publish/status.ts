/** `status`: where a workspace stands, what is due, and what to do next. */
import type { MissingSignatures } from '../errors.ts';
import { isBasedOn, isRenewal, offerAfter, pendingRequest } from '../repository/draft.ts';
import { deadlineOf, withoutLate, type DroppedChange } from '../repository/draft-changes.ts';
import { urgencyOf, type Urgency } from '../repository/expiry.ts';
import { rootRequest } from '../repository/root-draft.ts';
import type { Update } from '../release/manifest.ts';
import type { Store } from '../store/store.ts';
import { tufDate } from '../tuf/date.ts';
import type { TopRoleName, TufDate } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { readRootChain, readRootDraft } from '../workspace/root-files.ts';
import type { Workspace } from '../workspace/workspace.ts';
import type { LiveState } from './live-state.ts';
import { readCurrent } from './live.ts';

export type { Urgency } from '../repository/expiry.ts';

export interface RoleStatus {
  readonly role: TopRoleName;
  readonly version: number;
  readonly expires: TufDate;
  readonly urgency: Urgency;
}

export interface DraftStatus {
  readonly missing: readonly MissingSignatures[];
  /** True when somebody else published since: signing drafts it again. */
  readonly overtaken: boolean;
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
  /** The four live roles; empty before the first publication. */
  readonly live: readonly RoleStatus[];
  readonly rootsWaiting: number;
  readonly updates: readonly Update[];
  readonly draft?: DraftStatus;
}

export interface WorkspaceStatus {
  readonly rootVersion?: number;
  /** What a drafted root still lacks. */
  readonly rootMissing?: readonly MissingSignatures[];
  readonly repositories: readonly RepositoryStatus[];
  readonly urgency: Urgency;
  readonly next: NextStep;
}

/** What a person does next. */
export type NextStep = 'make-root' | 'steer-again' | 'sign' | 'wait-for-signatures' | 'add-release' | 'publish' | 'refresh' | 'nothing';

/** @param canSign whether a key at hand may give one of the signatures that are missing */
export async function readStatus(
  workspace: Workspace,
  store: Store,
  options: { readonly now: Date; readonly canSign: (missing: readonly MissingSignatures[]) => Promise<boolean> },
): Promise<WorkspaceStatus> {
  const chain = await readRootChain(workspace);
  const rootDraft = await readRootDraft(workspace);
  const rootMissing = rootDraft === undefined ? undefined : rootRequest(rootDraft, chain?.latest.role).missing;
  const repositories: RepositoryStatus[] = [];
  if (chain !== undefined) {
    for (const repository of workspace.config.repositories) {
      repositories.push(await readRepositoryStatus(workspace, store, repository, options.now));
    }
  }
  const urgency = worst(repositories.flatMap(({ live }) => live.map((role) => role.urgency)));
  const status = {
    ...(chain === undefined ? {} : { rootVersion: chain.latest.role.version }),
    ...(rootMissing === undefined ? {} : { rootMissing }),
    repositories,
    urgency,
  };
  return { ...status, next: await nextStep(status, options.canSign) };
}

async function readRepositoryStatus(workspace: Workspace, store: Store, repository: RepositoryName, now: Date): Promise<RepositoryStatus> {
  const { live, draft } = await readCurrent(workspace, store, repository);
  const deadline = draft === undefined ? undefined : deadlineOf(draft.changes);
  return {
    repository,
    live: liveRoles(live, workspace, now),
    rootsWaiting: live.trusted.chain.latest.role.version - live.rootsStored,
    updates: live.trusted.manifest.updates,
    ...(draft === undefined
      ? {}
      : {
          draft: {
            missing: pendingRequest(draft, live.trusted.chain.latest.role)?.missing ?? [],
            overtaken: !isBasedOn(draft, live.trusted),
            releases: draft.changes.flatMap((change) => (change.kind === 'add-update' ? [change.update.version] : [])),
            edits: draft.changes.some((change) => !isRenewal(change)),
            ...(deadline === undefined ? {} : { publishBefore: tufDate(deadline) }),
            late: deadline !== undefined && now > deadline ? withoutLate(draft.changes, offerAfter(live.trusted, []), now).dropped : [],
          },
        }),
  };
}

function liveRoles(live: LiveState, workspace: Workspace, now: Date): readonly RoleStatus[] {
  const { published, chain } = live.trusted;
  if (published === undefined) return [];
  const root = chain.roots.find(({ role }) => role.version === live.rootsStored) ?? chain.latest;
  return [root.role, published.targets.role, published.snapshot.role, published.timestamp.role].map((role) => ({
    role: role._type,
    version: role.version,
    expires: role.expires,
    urgency: urgencyOf(role._type, role.expires, { now, policy: workspace.expiry }),
  }));
}

function worst(urgencies: readonly Urgency[]): Urgency {
  return urgencies.find((one) => one === 'overdue') ?? urgencies.find((one) => one === 'due') ?? 'fine';
}

async function nextStep(
  status: Omit<WorkspaceStatus, 'next'>,
  canSign: (missing: readonly MissingSignatures[]) => Promise<boolean>,
): Promise<NextStep> {
  if (status.rootMissing !== undefined) {
    return status.rootMissing.length === 0 || (await canSign(status.rootMissing)) ? 'sign' : 'wait-for-signatures';
  }
  if (status.rootVersion === undefined) return 'make-root';
  const drafts = status.repositories.flatMap(({ draft }) => draft ?? []);
  // Signatures would not help it.
  if (drafts.some(({ late }) => late.length > 0)) return 'steer-again';
  const unsigned = drafts.filter(({ missing, overtaken }) => missing.length > 0 || overtaken);
  if (unsigned.length > 0) {
    const missing = unsigned.flatMap((draft) => draft.missing);
    return missing.length === 0 || (await canSign(missing)) ? 'sign' : 'wait-for-signatures';
  }
  if (drafts.length > 0) return 'publish';
  if (status.repositories.every(({ live }) => live.length === 0)) return 'add-release';
  if (status.repositories.some(({ rootsWaiting }) => rootsWaiting > 0)) return 'publish';
  return status.urgency === 'fine' ? 'nothing' : 'refresh';
}

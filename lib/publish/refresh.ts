/**
 * `refresh`: new expiry dates for what is published, without changing what is offered.
 *
 * Rules:
 * - exactly what is due is renewed, and the parents that name it: often the timestamp alone;
 * - nothing is drafted on top of a live state that was not verified, or that has expired, unless somebody says so: whoever replays
 *   an old repository would get new dates for it;
 * - asked twice, it drafts once;
 * - what a dry run refuses and says is what the real run does: both are `planRefresh`.
 */
import { GantryError, named } from '../errors.ts';
import { draftFrom, isBasedOn, isRenewal, keepsSnapshot, type Change, type Draft } from '../repository/draft.ts';
import { draftedRole } from '../repository/draft-roles.ts';
import { hasExpired } from '../repository/draft-check.ts';
import { expiryOf, urgencyOf, type ExpiryPolicy, type Urgency } from '../repository/expiry.ts';
import type { Store } from '../store/store.ts';
import { metadataPath } from '../store/layout.ts';
import type { RoleKeys, SignedRole, TufDate } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { draftPath, saveDraft } from '../workspace/draft-files.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { readCurrent, takeCurrent, type Current } from './live.ts';
import { allDelegated, type LiveState } from './live-state.ts';

export interface RefreshOptions {
  readonly now: Date;
  /** `due`: what is due by the expiry policy. `online`: snapshot and timestamp, due or not. `all`: targets and delegated roles, too. */
  readonly roles: 'due' | 'online' | 'all';
  /** Whether what has expired may be renewed; by default it is refused. */
  readonly expired?: 'refuse' | 'renew';
  /** Whether enough keys of targets, or of a delegated role, are at hand; when not, what is due of the others does not wait for them. */
  readonly hasKeys?: (role: RoleKeys) => boolean;
}

/** A role that is signed again. */
export interface Renewal {
  /** Of a delegated role its own name. */
  readonly role: string;
  readonly from: { readonly version: number; readonly expires: TufDate };
  readonly to: { readonly version: number; readonly expires: TufDate };
  /** Who may sign it, and how many must. */
  readonly keyIds: readonly string[];
  readonly need: number;
}

export interface RefreshPlan {
  readonly repository: RepositoryName;
  /** `waits`: the draft that lies there renews all of it already. */
  readonly state: 'draft' | 'waits' | 'nothing';
  readonly renews: readonly Renewal[];
  /** What is due and stays as it is: its keys are elsewhere. */
  readonly left: readonly { readonly role: string; readonly expires: TufDate; readonly urgency: Urgency }[];
  /** What publishing writes, the timestamp last. */
  readonly writes: readonly string[];
  readonly draft?: Draft;
}

/**
 * What a refresh does now. Changes nothing.
 *
 * @throws GantryError `publish/expired`, `publish/nothing`, `repository/bad-policy`, `workspace/draft-waits`, and what reading and
 * verifying the live state throws
 */
export async function planRefresh(
  workspace: Workspace,
  store: Store,
  repository: RepositoryName,
  options: RefreshOptions,
): Promise<RefreshPlan> {
  return planFrom(workspace, await readCurrent(workspace, store, repository, { delegated: allDelegated }), options);
}

/** The same, and drafts it; for whoever holds the workspace's lock. @throws GantryError as `planRefresh` */
export async function refreshRepository(
  workspace: Workspace,
  store: Store,
  repository: RepositoryName,
  options: RefreshOptions,
): Promise<RefreshPlan> {
  const plan = planFrom(workspace, await takeCurrent(workspace, store, repository, { delegated: allDelegated }), options);
  if (plan.state === 'draft' && plan.draft !== undefined) await saveDraft(workspace, repository, plan.draft);
  return plan;
}

function planFrom(workspace: Workspace, current: Current, options: RefreshOptions): RefreshPlan {
  const { live } = current;
  const { repository } = live;
  const judged = { now: options.now, policy: workspace.expiry };
  const standing = standingOf(live, judged);
  const left = leftOf(standing, options, live);
  const wanted = wantedRoles(standing, live, options).filter((role) => !left.some((one) => one.role === role));
  if (wanted.length === 0) return { repository, state: 'nothing', renews: [], left, writes: [] };
  if (options.expired !== 'renew') refuseExpired(repository, standing);
  const waiting = current.draft;
  if (waiting !== undefined && !waiting.changes.every(isRenewal)) throw draftWaits(workspace, repository);
  const covered = waiting === undefined ? [] : renewedBy(waiting.changes);
  const roles = withParents(new Set([...wanted, ...covered]));
  refuseUseless(roles, judged);
  const stands =
    waiting !== undefined && covered.length === roles.length && isBasedOn(waiting, live.trusted) && !hasExpired(waiting, options.now);
  const draft = stands ? waiting : draftFrom(live.trusted, changesFor(roles), { versions: live.versions, ...judged });
  const renews = roles.map((role) => renewalOf(role, live, draft, judged));
  return { repository, state: stands ? 'waits' : 'draft', renews, left, writes: writesOf(live, renews), draft };
}

interface Judged {
  readonly now: Date;
  readonly policy: ExpiryPolicy;
}

interface Standing {
  readonly role: string;
  readonly expires: TufDate;
  readonly urgency: Urgency;
}

/** The root is the newest that hosts can get. @throws GantryError `publish/nothing` before the first publication */
function standingOf(live: LiveState, judged: Judged): readonly Standing[] {
  const { published, chain } = live.trusted;
  if (published === undefined) {
    const name = titleOf(live.repository);
    throw new GantryError('publish/nothing', `Cannot refresh ${name}: nothing is published; expected a publication`, { repository: name });
  }
  const root = chain.roots.find(({ role }) => role.version === live.rootsStored) ?? chain.latest;
  const { targets, snapshot, timestamp } = published;
  return [
    ['root', root.role] as const,
    ...[...live.trusted.delegated].map(([name, file]) => [name, file.role] as const),
    ...[targets, snapshot, timestamp].map(({ role }) => [role._type, role] as const),
  ].map(([role, { expires }]) => ({ role, expires, urgency: urgencyOf(role, expires, judged) }));
}

/** Signed by people who release, in the targets role's stead or not; the others belong to machines. */
function isHeld(role: string): boolean {
  return !['root', 'snapshot', 'timestamp'].includes(role);
}

/** Who may sign a role that is live. */
function roleKeysOf({ trusted: { chain, published } }: LiveState, name: string): RoleKeys {
  const { roles } = chain.latest.role;
  const top: Readonly<Record<string, RoleKeys>> = roles;
  const delegated = published?.targets.role.delegations?.roles.find((role) => role.name === name);
  return top[name] ?? delegated ?? { keyids: [], threshold: 1 };
}

/** The root needs a ceremony, and targets the people who release: the others are not held up by them. */
function leftOf(standing: readonly Standing[], { roles, hasKeys }: RefreshOptions, live: LiveState): RefreshPlan['left'] {
  return standing.flatMap(({ role, expires, urgency }) => {
    if (urgency === 'fine' || (role !== 'root' && !isHeld(role))) return [];
    const isAtHand = isHeld(role) && (roles === 'all' || (roles === 'due' && (hasKeys?.(roleKeysOf(live, role)) ?? true)));
    return isAtHand ? [] : [{ role, expires, urgency }];
  });
}

function wantedRoles(standing: readonly Standing[], { trusted }: LiveState, { roles }: RefreshOptions): readonly string[] {
  if (roles === 'all') return [...trusted.delegated.keys(), 'targets', 'snapshot', 'timestamp'];
  if (roles === 'online') return ['snapshot', 'timestamp'];
  return standing.flatMap(({ role, urgency }) => (urgency === 'fine' || role === 'root' ? [] : [role]));
}

/** A parent names its child's bytes, so it is signed with it. Children first. */
function withParents(roles: ReadonlySet<string>): readonly string[] {
  const held = [...roles].filter(isHeld).toSorted((a, b) => Number(a === 'targets') - Number(b === 'targets'));
  return [...held, ...(held.length > 0 || roles.has('snapshot') ? ['snapshot'] : []), 'timestamp'];
}

function changesFor(roles: readonly string[]): readonly Change[] {
  const held = roles.filter(isHeld);
  if (held.length > 0) return held.map((name) => (name === 'targets' ? { kind: 'renew-targets' } : { kind: 'renew-delegated', name }));
  return roles.includes('snapshot') ? [] : [{ kind: 'renew-timestamp' }];
}

function renewedBy(changes: readonly Change[]): readonly string[] {
  if (keepsSnapshot(changes)) return ['timestamp'];
  const held = changes.map((change) => (change.kind === 'renew-delegated' ? change.name : 'targets'));
  return [...held, 'snapshot', 'timestamp'];
}

function renewalOf(role: string, live: LiveState, draft: Draft, { now, policy }: Judged): Renewal {
  const { published, delegated } = live.trusted;
  const top: Readonly<Record<string, SignedRole | undefined>> = { ...published };
  const before = (top[role] ?? delegated.get(role))?.role;
  const { keyids, threshold } = roleKeysOf(live, role);
  const drafted = draftedRole(draft, role)?.signed;
  const expires = drafted?.expires ?? expiryOf(role, now, policy);
  const { delegated: numbers = {}, ...versions } = draft.versions;
  const free: Readonly<Record<string, number>> = { ...numbers, ...versions };
  return {
    role,
    from: { version: before?.version ?? 0, expires: before?.expires ?? expires },
    to: { version: drafted?.version ?? free[role] ?? 1, expires },
    keyIds: keyids,
    need: threshold,
  };
}

function writesOf({ repository: { variant, arch }, trusted, rootsStored }: LiveState, renews: readonly Renewal[]): readonly string[] {
  const roots = trusted.chain.roots.filter(({ role }) => role.version > rootsStored).map(({ role }) => `${role.version}.root.json`);
  const roles = renews.map(({ role, to }) => (role === 'timestamp' ? 'timestamp.json' : `${to.version}.${encodeURIComponent(role)}.json`));
  return [...roots, ...roles].map((file) => metadataPath(variant, arch, file));
}

/** With a date of its own in the policy, a role that is due can be due as soon as it is renewed. @throws GantryError `repository/bad-policy` */
function refuseUseless(roles: readonly string[], judged: Judged): void {
  for (const role of roles) {
    const expires = expiryOf(role, judged.now, judged.policy);
    if (urgencyOf(role, expires, judged) === 'fine') continue;
    const member = `${isHeld(role) ? 'targets' : role}_expiration`;
    throw new GantryError(
      'repository/bad-policy',
      `Cannot renew ${role}: ${member} of the expiry policy is ${expires}, so the new version would be due at once; expected a later date, or a length`,
      { member },
    );
  }
}

/** @throws GantryError `publish/expired` */
function refuseExpired(repository: RepositoryName, standing: readonly Standing[]): void {
  const expired = standing.filter(({ urgency }) => urgency === 'overdue');
  if (expired.length === 0) return;
  const name = titleOf(repository);
  const which = expired.map(({ role, expires }) => `${role} at ${expires}`).join(', ');
  throw new GantryError(
    'publish/expired',
    `Cannot refresh ${name}: what is live has expired (${which}), so nothing vouches that it is the newest; expected one that is valid, or --even-expired from somebody who has looked`,
    { repository: name, roles: expired.map(({ role }) => role) },
  );
}

function draftWaits(workspace: Workspace, repository: RepositoryName): GantryError {
  const path = draftPath(workspace, repository);
  const problem = `Cannot refresh ${titleOf(repository)}: the draft ${path} waits already, and publishing it refreshes too; expected no draft`;
  return new GantryError('workspace/draft-waits', problem, { path });
}

function titleOf({ variant, arch }: RepositoryName): string {
  return `${named(variant)}/${named(arch)}`;
}

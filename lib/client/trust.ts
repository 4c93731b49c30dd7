/**
 * The trust decision: tuf-js 6 makes it (design D1). Ours is what surrounds it: a fetcher with limits, a state that only keeps
 * what tuf-js accepted, a clock that does not run backwards, and errors that say what happened.
 */
import { TargetFile } from '@tufjs/models';
import type { Fetcher } from 'tuf-js';
import { GantryError, isGantryError, refuseAborted } from '../errors.ts';
import { withLock } from '../files/lock.ts';
import { expiredOf, expiredRole, momentOf, sentenceOf, type ExpiredRole, type Moment } from './aged-media.ts';
import { createFetcher, LIMITS, type FetchedFile, type Visit } from './metadata-fetcher.ts';
import type { Mirrors } from './mirrors.ts';
import { explainRefusal } from './refusal.ts';
import { isTopRole, type RoleFiles } from './role-files.ts';
import { parseRollbackRecord, refuseBelow, rollbackRecordOf, type RollbackRecord, type RollbackStore } from './rollback.ts';
import type { ClientState, Session } from './state.ts';
import { Suspects } from './suspects.ts';
import { openTuf, type AcceptedRoles, type Tuf, type TufOptions } from './tuf.ts';

/** One state of a repository that tuf-js has accepted as a whole. */
export interface Trusted {
  readonly roles: AcceptedRoles;
  /** Accepted although they have expired; delegated roles once they were looked at. */
  readonly expired: readonly ExpiredRole[];
  /** Fetches the delegated roles that it needs. @throws GantryError like `refreshTrust` */
  find(path: string, signal?: AbortSignal): Promise<TargetFile | undefined>;
  /** Everything that `find` finds, of every path that any role lists. @throws GantryError like `refreshTrust` */
  findAll(signal?: AbortSignal): Promise<readonly TargetFile[]>;
}

export interface TrustOptions {
  readonly mirrors: Mirrors;
  /** Where tuf-js believes the files to be. */
  readonly metadataUrl: URL;
  readonly onNotice: (notice: string) => void;
  readonly now: () => Date;
  readonly rollbackStore?: RollbackStore;
  /** How long ago a role may have expired: media only. */
  readonly acceptExpiredMs?: number;
}

/** A refresh is a few small requests, and each has its own deadline on progress. */
const LOCK_WAIT_MS = 120_000;
/** Delegations to follow when everything is listed. */
const MAX_ROLES = 20_000;

/**
 * Walks the root chain, then timestamp, snapshot and targets. What was accepted before a refusal is kept: a newer root counts
 * even when the timestamp behind it is refused.
 *
 * @throws GantryError `client/untrusted`, `client/expired`, `client/rollback`, `http/…`, `files/locked`, `aborted`
 */
export async function refreshTrust(state: ClientState, options: TrustOptions, signal?: AbortSignal): Promise<Trusted> {
  return locked(state, signal, async () => {
    const session = await state.openSession();
    const rollback = await readRollbackRecord(options);
    const now = timeOf(session, rollback, options);
    const visit: Visit = { fetchedRoots: 0 };
    const aged = agedRoles(now.present, options);
    let tuf: Tuf;
    try {
      tuf = await refreshSession(session, { ...options, rollback, now, visit, onDelegated: aged.delegated }, signal);
    } catch (refusal) {
      await session.save().catch((problem: unknown) => {
        options.onNotice(`What was accepted could not be kept: ${problem instanceof Error ? problem.message : String(problem)}`);
      });
      throw refusal;
    }
    const roles = tuf.accepted();
    if (roles === undefined) throw new TypeError('a refresh that succeeded has accepted nothing');
    const files = session.current();
    aged.add(expiredOf(roles, now.present));
    // Not the present one: what was valid then, delegated roles too, must be valid at the next opening of the same media.
    await session.save(now.judged);
    if (options.rollbackStore !== undefined) await saveRollbackRecord(options.rollbackStore, rollbackRecordOf(files, now.judged), rollback);
    return trustedBy(tuf, roles, { state, session, now, visit, expired: aged.expired });
  });
}

interface RefreshContext extends Omit<TrustOptions, 'now'> {
  readonly rollback: RollbackRecord | undefined;
  readonly now: Moment;
  readonly visit: Visit;
  readonly onDelegated: NonNullable<TufOptions['onDelegated']>;
}

/** Names each role that has expired, once. */
function agedRoles(
  present: Date,
  { onNotice }: TrustOptions,
): {
  readonly expired: readonly ExpiredRole[];
  readonly add: (roles: readonly ExpiredRole[]) => void;
  readonly delegated: NonNullable<TufOptions['onDelegated']>;
} {
  const expired: ExpiredRole[] = [];
  const add = (roles: readonly ExpiredRole[]): void => {
    for (const found of roles) {
      if (expired.some(({ role }) => role === found.role)) continue;
      expired.push(found);
      onNotice(sentenceOf(found, present));
    }
  };
  return { expired, add, delegated: (role, signed) => add(expiredRole(role, signed, present)) };
}

async function locked<T>(state: ClientState, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  return withLock(`${state.directory}/lock.sqlite`, { waitMs: LOCK_WAIT_MS, ...(signal === undefined ? {} : { signal }) }, work);
}

async function refreshSession(session: Session, context: RefreshContext, signal: AbortSignal | undefined): Promise<Tuf> {
  const { visit, now } = context;
  visit.signal = signal;
  const suspects = new Suspects(context.mirrors);
  for (;;) {
    const received: FetchedFile = {};
    visit.received = received;
    try {
      const tuf = openSessionWithTuf(session, context);
      await tuf.refresh();
      checkRollback(session, context);
      return tuf;
    } catch (error) {
      if (isGantryError(error, 'client/rollback')) session.forget();
      const accepted = session.current();
      const refusal = explainRefusal(error, received, { before: session.before, accepted, ...now });
      if (suspects.goOnWithout(received.mirror, refusal)) continue;
      if (received.storedRoot === undefined || !isGantryError(refusal, 'client/untrusted')) throw suspects.reason(refusal);
      // Ours was damaged, or of another repository: go on with what the server has in its place. One file less each time.
      await session.discardRoot(received.storedRoot, refusal.message);
    }
  }
}

function openSessionWithTuf(session: Session, context: RefreshContext): Tuf {
  const { rollback, now, visit, metadataUrl, onDelegated } = context;
  const fetcher: Fetcher = createFetcher(session, context, visit);
  const storage = {
    read: (role: string) => session.read(role),
    accept(role: string, bytes: Uint8Array) {
      if (rollback !== undefined && isTopRole(role))
        noting(visit, () => refuseBelow(rollback, role, { ...session.current(), [role]: bytes }));
      session.accept(role, bytes);
    },
  };
  return openTuf({ metadataUrl: metadataUrl.href.replace(/\/$/u, ''), storage, fetcher, limits: LIMITS, now: now.judged, onDelegated });
}

/** tuf-js keeps nothing of an error but its text. */
function noting(visit: Visit, check: () => void): void {
  try {
    check();
  } catch (error) {
    visit.received = Object.assign(visit.received ?? {}, { error });
    throw error;
  }
}

/** What tuf-js took from the state directory was never offered. */
function checkRollback(session: Session, { rollback }: RefreshContext): void {
  if (rollback === undefined) return;
  const files: RoleFiles = session.current();
  for (const role of ['timestamp', 'snapshot'] as const) refuseBelow(rollback, role, files);
}

async function readRollbackRecord({ rollbackStore, onNotice }: TrustOptions): Promise<RollbackRecord | undefined> {
  const bytes = await rollbackStore?.read();
  if (bytes === undefined) return undefined;
  const record = parseRollbackRecord(bytes);
  if (record === undefined) onNotice('Discarded what the rollback store had: it is no record of trusted versions');
  return record;
}

async function saveRollbackRecord(store: RollbackStore, record: Uint8Array, before: RollbackRecord | undefined): Promise<void> {
  const after = parseRollbackRecord(record);
  const { trustedAt: _, ...versions } = after ?? { trustedAt: '' };
  const { trustedAt: __, ...known } = before ?? { trustedAt: '' };
  // Such places wear out: the time alone is no reason to write.
  if (JSON.stringify(versions) !== JSON.stringify(known)) await store.write(record);
}

/** Never earlier than what was trusted last. */
function timeOf(session: Session, rollback: RollbackRecord | undefined, { now, onNotice, acceptExpiredMs = 0 }: TrustOptions): Moment {
  const clock = now();
  const known = [session.trustedTime, rollback === undefined ? undefined : new Date(rollback.trustedAt)];
  const latest = Math.max(...known.map((time) => time?.getTime() ?? Number.NEGATIVE_INFINITY));
  const moment = momentOf(clock, Number.isFinite(latest) ? new Date(latest) : undefined, acceptExpiredMs);
  if (clock.getTime() >= latest) return moment;
  const [says, was] = [clock, new Date(latest)].map((time) => `${time.toISOString().slice(0, 19)}Z`);
  onNotice(`This machine's clock says ${says}, but metadata was trusted at ${was} already: that time is used`);
  return moment;
}

interface Standing {
  readonly state: ClientState;
  readonly session: Session;
  readonly now: Moment;
  readonly visit: Visit;
  readonly expired: readonly ExpiredRole[];
}

function trustedBy(tuf: Tuf, roles: AcceptedRoles, standing: Standing): Trusted {
  return {
    roles,
    expired: standing.expired,
    async find(path, signal) {
      // The walk begins with this role, and it has been accepted.
      const { targets } = roles.targets;
      if (Object.hasOwn(targets, path)) return targets[path];
      if (roles.targets.delegations === undefined) return undefined;
      const found = await following(standing, signal, async () => tuf.find(path));
      return found instanceof TargetFile ? found : undefined;
    },
    async findAll(signal) {
      const top = Object.values(roles.targets.targets);
      if (roles.targets.delegations === undefined) return top;
      return following(standing, signal, async () => {
        const listed = await walk(tuf, roles, signal);
        const found = await findEach(tuf, listed, signal);
        return [...top, ...found];
      });
    },
  };
}

/** With the lock, since delegated roles that are fetched are kept. */
async function following<T>(standing: Standing, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const { state, session, visit, now } = standing;
  return locked(state, signal, async () => {
    visit.signal = signal;
    visit.received = {};
    try {
      return await work();
    } catch (error) {
      throw explainRefusal(error, visit.received, { before: {}, accepted: {}, ...now });
    } finally {
      if (session.hasNews()) await session.save();
    }
  });
}

/** A role may list what it has no right to, or what another one has already said. */
async function findEach(tuf: Tuf, paths: readonly string[], signal: AbortSignal | undefined): Promise<readonly TargetFile[]> {
  const found: TargetFile[] = [];
  for (const path of paths) {
    refuseAborted(signal);
    const file = await tuf.find(path);
    if (file instanceof TargetFile) found.push(file);
  }
  return found;
}

/** What roles below the top one list. */
async function walk(tuf: Tuf, { targets: top }: AcceptedRoles, signal: AbortSignal | undefined): Promise<readonly string[]> {
  const paths = new Set<string>();
  const visited = new Set<string>();
  const waiting = childrenOf(top, 'targets');
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    refuseAborted(signal);
    const pair = JSON.stringify(next);
    if (visited.has(pair)) continue;
    visited.add(pair);
    if (visited.size > MAX_ROLES) {
      throw new GantryError('client/untrusted', `Cannot list all targets: there are more than ${MAX_ROLES} delegations`, {
        role: 'targets',
      });
    }
    const role = await tuf.load(next.role, next.parent);
    for (const path of Object.keys(role.targets)) if (!Object.hasOwn(top.targets, path)) paths.add(path);
    waiting.push(...childrenOf(role, next.role));
  }
  return [...paths];
}

function childrenOf({ delegations }: AcceptedRoles['targets'], parent: string): { readonly role: string; readonly parent: string }[] {
  const names =
    delegations?.roles === undefined ? [...firstOf(delegations?.succinctRoles?.getRoles() ?? [])] : Object.keys(delegations.roles);
  return names.map((role) => ({ role, parent })).toReversed();
}

/** Succinct bins may be 2^32. */
function* firstOf(names: Iterable<string>): Generator<string, void, undefined> {
  let count = 0;
  for (const name of names) {
    if (count > MAX_ROLES) return;
    count += 1;
    yield name;
  }
}

/**
 * What is to be done in a workspace, in order. Pure: from where things stand to actions.
 *
 * Rules:
 * - what would fail is not advised: what stands in the way of a command comes before it, and a repository in which something waits
 *   does not hold up the others;
 * - the root comes first: nothing is accepted below one that is missing or has expired.
 */
import type { MissingSignatures } from '../errors.ts';
import type { RepositoryName } from '../workspace/config.ts';
import type { RepositoryStatus, WorkspaceStatus } from './status.ts';

export type ActionKind =
  | 'make-root'
  | 'look'
  | 'restore-root'
  | 'cancel-draft'
  | 'steer-again'
  | 'sign'
  | 'wait-for-signatures'
  | 'publish'
  | 'renew-root'
  | 'refresh'
  | 'refresh-elsewhere'
  | 'add-release';

export interface Action {
  readonly kind: ActionKind;
  /** Those that it concerns; empty where it is about the root that all share. */
  readonly repositories: readonly RepositoryName[];
  /** Whether it concerns every repository of the workspace, so that nobody has to choose. */
  readonly ofAll: boolean;
  /** What is renewed has expired: that has to be said. */
  readonly expired?: true;
  readonly missing?: readonly MissingSignatures[];
}

type CanSign = (missing: readonly MissingSignatures[]) => Promise<boolean>;
type Standing = Pick<WorkspaceStatus, 'rootVersion' | 'rootMissing' | 'rootStale' | 'repositories'>;

const ORDER: readonly ActionKind[] = [
  'make-root',
  'look',
  'restore-root',
  'cancel-draft',
  'steer-again',
  'sign',
  'wait-for-signatures',
  'publish',
  'renew-root',
  'refresh',
  'refresh-elsewhere',
  'add-release',
];

export async function adviseOn(status: Standing, canSign: CanSign): Promise<readonly Action[]> {
  const ofRoot = await adviseOnRoot(status, canSign);
  const ofRepositories = await Promise.all(
    status.repositories.map(async (one) =>
      (await adviseOnRepository(one, status, canSign)).map((found) => ({ ...found, repository: one.repository })),
    ),
  );
  const found = ofRepositories.flat();
  const merged = ORDER.flatMap((kind): readonly Action[] => {
    const own = ofRoot.filter((action) => action.kind === kind);
    const theirs = found.filter((action) => action.kind === kind);
    if (theirs.length === 0) return own;
    const missing = theirs.flatMap((action) => action.missing ?? []);
    const action: Action = {
      kind,
      repositories: theirs.map(({ repository }) => repository),
      ofAll: theirs.length === status.repositories.length,
      ...(theirs.some(({ expired }) => expired === true) ? { expired: true } : {}),
      ...(missing.length === 0 ? {} : { missing }),
    };
    // One command signs all of it.
    return kind === 'sign' ? [action] : [...own, action];
  });
  return merged;
}

interface Found {
  readonly kind: ActionKind;
  readonly expired?: true;
  readonly missing?: readonly MissingSignatures[];
}

async function adviseOnRoot({ rootVersion, rootMissing, rootStale }: Standing, canSign: CanSign): Promise<readonly Action[]> {
  const about = (kind: ActionKind, missing?: readonly MissingSignatures[]): Action => ({
    kind,
    repositories: [],
    ofAll: true,
    ...(missing === undefined ? {} : { missing }),
  });
  if (rootStale === true) return [about('cancel-draft')];
  if (rootMissing !== undefined) {
    const here = rootMissing.length === 0 || (await canSign(rootMissing));
    return [here ? about('sign') : about('wait-for-signatures', rootMissing)];
  }
  return rootVersion === undefined ? [about('make-root')] : [];
}

async function adviseOnRepository(
  { live, draft, problem, rootsWaiting, rootsMissing }: RepositoryStatus,
  { rootMissing }: Standing,
  canSign: CanSign,
): Promise<readonly Found[]> {
  if (problem !== undefined) return [{ kind: 'look' }];
  const found: Found[] = rootsMissing.length > 0 ? [{ kind: 'restore-root' }] : [];
  const root = live.find(({ role }) => role === 'root');
  const isRootDue = root !== undefined && root.urgency !== 'fine';
  if (isRootDue && rootsWaiting === 0 && rootMissing === undefined) found.push({ kind: 'renew-root' });
  if (draft !== undefined) {
    // Signatures would not help it.
    if (draft.late.length > 0) return [...found, { kind: 'steer-again' }];
    if (draft.conflict !== undefined) return [...found, { kind: 'cancel-draft' }];
    if (draft.overtaken || draft.expired) return [...found, { kind: 'sign' }];
    if (draft.missing.length === 0) return [...found, { kind: 'publish' }];
    return [...found, (await canSign(draft.missing)) ? { kind: 'sign' } : { kind: 'wait-for-signatures', missing: draft.missing }];
  }
  if (live.length === 0) return [...found, { kind: 'add-release' }];
  if (rootsWaiting > 0) found.push({ kind: 'publish' });
  return [...found, ...(await adviseOnDates(live, canSign))];
}

async function adviseOnDates(live: RepositoryStatus['live'], canSign: CanSign): Promise<readonly Found[]> {
  const due = live.filter(({ role, urgency }) => role !== 'root' && urgency !== 'fine');
  if (due.length === 0) return [];
  const expired = live.some(({ urgency }) => urgency === 'overdue') ? ({ expired: true } as const) : {};
  const elsewhere: MissingSignatures[] = [];
  for (const { role, version, need, keyIds } of due) {
    const missing = { role, version: version + 1, have: 0, need, candidates: keyIds };
    // Snapshot and timestamp are always renewed where somebody looks after them.
    if (role !== 'snapshot' && role !== 'timestamp' && !(await canSign([missing]))) elsewhere.push(missing);
  }
  const here: readonly Found[] = due.length === elsewhere.length ? [] : [{ kind: 'refresh', ...expired }];
  return elsewhere.length === 0 ? here : [...here, { kind: 'refresh-elsewhere', missing: elsewhere, ...expired }];
}

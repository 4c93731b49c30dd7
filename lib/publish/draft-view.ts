/** What waits in a workspace, as people look at it: the drafted root and the drafts of its repositories. Changes nothing. */
import { isGantryError } from '../errors.ts';
import { isBasedOn, type Draft } from '../repository/draft.ts';
import { viewDraft, viewRoot, type RoleView } from '../repository/draft-view.ts';
import type { KeyNames } from '../repository/meaning.ts';
import type { Store } from '../store/store.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { rebaseRoot } from '../workspace/edit-root.ts';
import { readRootChain, readRootDraft } from '../workspace/root-files.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { readCurrent } from './live.ts';
import type { OpenedParcel } from './parcels.ts';
import { redraft } from './sign.ts';

export interface DraftView {
  /** Absent for the root, which all repositories share. */
  readonly repository?: RepositoryName;
  /**
   * `current`: it changes what is live. `overtaken`: what it was computed from is not live any more; signing makes it again. `conflict`:
   * and that is not possible. `unknown`: a file from elsewhere does not know what is live.
   */
  readonly state: 'current' | 'overtaken' | 'conflict' | 'unknown';
  /** Why it cannot be made again. */
  readonly conflict?: string;
  /** What it was computed from, in words. */
  readonly base: string;
  /** As they would be signed: of an overtaken draft, once it is made again. */
  readonly roles: readonly RoleView[];
}

export async function viewRootDraft(workspace: Workspace, nameOf: KeyNames): Promise<DraftView | undefined> {
  const drafted = await readRootDraft(workspace);
  const chain = await readRootChain(workspace);
  if (drafted === undefined) return undefined;
  const before = drafted.signed.version - 1;
  const base = before === 0 ? 'no root' : `root ${before}`;
  try {
    const root = chain === undefined ? drafted : rebaseRoot(workspace, drafted, chain);
    return { state: root === drafted ? 'current' : 'overtaken', base, roles: [viewRoot(root, chain?.latest.role, nameOf)] };
  } catch (error) {
    if (!isGantryError(error)) throw error;
    return { state: 'conflict', conflict: error.message, base, roles: [] };
  }
}

/** @throws GantryError what reading the live state throws */
export async function viewRepositoryDraft(
  workspace: Workspace,
  store: Store,
  repository: RepositoryName,
  { nameOf, now }: { readonly nameOf: KeyNames; readonly now: Date },
): Promise<DraftView | undefined> {
  const { live, draft } = await readCurrent(workspace, store, repository);
  if (draft === undefined) return undefined;
  const head = { repository, base: baseText(draft) };
  if (isBasedOn(draft, live.trusted)) return { ...head, state: 'current', roles: viewDraft(draft, live.trusted, nameOf) };
  try {
    const again = redraft(draft, live, workspace, now);
    return { ...head, state: 'overtaken', roles: viewDraft(again, live.trusted, nameOf) };
  } catch (error) {
    if (!isGantryError(error)) throw error;
    return { ...head, state: 'conflict', conflict: error.message, roles: [] };
  }
}

/** A draft in a file, whose base is in it. */
export function viewParcel(opened: OpenedParcel, nameOf: KeyNames): DraftView {
  if (opened.kind === 'root') {
    const before = opened.root.signed.version - 1;
    const previous = opened.chain?.roots.find(({ role }) => role.version === before)?.role;
    const isCurrent = (opened.chain?.latest.role.version ?? 0) === before;
    const base = before === 0 ? 'no root' : `root ${before}`;
    return { state: isCurrent ? 'current' : 'unknown', base, roles: [viewRoot(opened.root, previous, nameOf)] };
  }
  const { repository, base, parcel } = opened;
  return { repository, state: 'unknown', base: baseText(parcel.draft), roles: viewDraft(parcel.draft, base, nameOf) };
}

function baseText({ base: { rootVersion, timestamp } }: Draft): string {
  return timestamp === undefined ? `root ${rootVersion} and no publication` : `root ${rootVersion} and timestamp ${timestamp.version}`;
}

/** The next root with the same keys and a new date: what is done when nothing but time has passed. */
import { draftRoot, specOf } from '../repository/root-draft.ts';
import { urgencyOf } from '../repository/expiry.ts';
import type { TufDate } from '../tuf/types.ts';
import { readRootDraft, requireRootChain, saveRootDraft } from './root-files.ts';
import type { Workspace } from './workspace.ts';

export interface RootRenewal {
  /** `waits`: a next root is drafted already. `nothing`: the newest one is not due. */
  readonly state: 'draft' | 'waits' | 'nothing';
  readonly from: { readonly version: number; readonly expires: TufDate };
  readonly to?: { readonly version: number; readonly expires: TufDate };
}

/**
 * @param options `mode`: whether it is drafted, or only worked out
 * @throws GantryError `workspace/no-root`, `repository/bad-policy`
 */
export async function renewRoot(
  workspace: Workspace,
  { now, mode }: { readonly now: Date; readonly mode: 'draft' | 'dry-run' },
): Promise<RootRenewal> {
  const { latest } = await requireRootChain(workspace);
  const from = { version: latest.role.version, expires: latest.role.expires };
  const waiting = await readRootDraft(workspace);
  if (waiting !== undefined && waiting.signed.version > from.version) {
    return { state: 'waits', from, to: { version: waiting.signed.version, expires: waiting.signed.expires } };
  }
  if (urgencyOf('root', from.expires, { now, policy: workspace.expiry }) === 'fine') return { state: 'nothing', from };
  const draft = draftRoot(specOf(latest.role), now, workspace.expiry, latest.role);
  if (mode === 'draft') await saveRootDraft(workspace, draft);
  return { state: 'draft', from, to: { version: draft.signed.version, expires: draft.signed.expires } };
}

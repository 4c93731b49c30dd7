/** A drafted root that has gained signatures: kept as a draft, or as the next link of the chain once it has enough. */
import type { RootChain } from '../repository/root-chain.ts';
import { finishRoot, rootRequest } from '../repository/root-draft.ts';
import { signingPayload } from '../tuf/payload.ts';
import type { Envelope, Root } from '../tuf/types.ts';
import { removeRootDraft, saveRootChain, saveRootDraft } from './root-files.ts';
import type { Workspace } from './workspace.ts';

/** Killed in between, it leaves a complete root and its draft, which `forgetFinished` knows. */
export async function keepRoot(workspace: Workspace, draft: Envelope<Root>, chain: RootChain | undefined): Promise<'draft' | 'complete'> {
  if (rootRequest(draft, chain?.latest.role).missing.length > 0) {
    await saveRootDraft(workspace, draft);
    return 'draft';
  }
  await saveRootChain(workspace, finishRoot(draft, chain));
  await removeRootDraft(workspace);
  return 'complete';
}

/** Removes the draft of a root that is in the chain already. @returns whether it was */
export async function forgetFinished(workspace: Workspace, draft: Envelope<Root>, chain: RootChain | undefined): Promise<boolean> {
  const kept = chain?.roots.find(({ role }) => role.version === draft.signed.version);
  if (kept === undefined || Buffer.compare(signingPayload(kept.role), signingPayload(draft.signed)) !== 0) return false;
  await removeRootDraft(workspace);
  return true;
}

/** Which private keys lie where this person keeps them; none is opened. */
import type { Workspace } from '../lib/workspace/workspace.ts';
import type { Context } from './context.ts';
import type { OptionValues } from './program.ts';
import { keysDirectoryOf, type OfProduct } from './session.ts';

export async function keysAtHand(context: Context, options: OptionValues, workspace: OfProduct | Workspace): Promise<ReadonlySet<string>> {
  const { keyIdsAtHand } = await import('../lib/workspace/key-ring.ts');
  return keyIdsAtHand(await keysDirectoryOf(context, options, workspace), 'directory' in workspace ? workspace : undefined);
}

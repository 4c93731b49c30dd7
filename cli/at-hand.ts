/** Which private keys lie where this person keeps them; none is opened. */
import type { Context } from './context.ts';
import type { OptionValues } from './program.ts';
import { keysDirectoryOf, type OfProduct } from './session.ts';

export async function keysAtHand(context: Context, options: OptionValues, workspace: OfProduct): Promise<ReadonlySet<string>> {
  const { isAtHand, listKeyFiles } = await import('../lib/keys/key-file.ts');
  const files = await listKeyFiles(await keysDirectoryOf(context, options, workspace));
  return new Set<string>(files.filter(isAtHand).map(({ keyId }) => keyId));
}

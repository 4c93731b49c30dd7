/** `gantry status` of a live repository, wherever it is served: the same table, from a root that is trusted. */
import { GantryError, isGantryError } from '../lib/errors.ts';
import type { Context } from './context.ts';
import { keyNames, workspaceIfAny } from './drafts.ts';
import { folderReader } from './folder.ts';
import { judgedAt } from './moment.ts';
import { pathOf, textOption } from './options.ts';
import type { OptionValues, Outcome } from './program.ts';
import { EXIT_OF } from './standing.ts';
import { describeRoles } from './commands/status.ts';

const ROOT_MAX_BYTES = 512_000;

export async function liveStatus(context: Context, place: string, options: OptionValues): Promise<Outcome> {
  const now = await judgedAt(context, options);
  const workspace = await workspaceIfAny(context, options);
  const { readPlaceStatus } = await import('../lib/publish/place-status.ts');
  const { parseExpiryPolicy } = await import('../lib/repository/expiry.ts');
  const found = await readPlaceStatus(await folderReader(context, place), {
    root: await trustedRoot(context, options),
    now,
    policy: workspace?.expiry ?? parseExpiryPolicy({}),
  });
  const nameOf = await keyNames(workspace);
  return {
    json: found,
    lines: [`Root chain: up to ${found.rootVersion}.root.json`, '', ...describeRoles(found.live, now, nameOf)],
    exitCode: EXIT_OF[found.urgency],
  };
}

/** @throws GantryError `usage/option` when nothing says which root is trusted */
async function trustedRoot(context: Context, options: OptionValues): Promise<Uint8Array> {
  const { readWholeFile } = await import('../lib/files/read.ts');
  const file = textOption(options, 'root');
  if (file !== undefined) return readWholeFile(pathOf(context, file), { maxBytes: ROOT_MAX_BYTES });
  const workspace = await workspaceIfAny(context, options);
  try {
    const { requireRootChain } = await import('../lib/workspace/root-files.ts');
    if (workspace !== undefined) return (await requireRootChain(workspace)).latest.bytes;
  } catch (error) {
    if (!isGantryError(error, 'workspace/no-root')) throw error;
  }
  throw new GantryError('usage/option', 'Cannot judge a repository: nothing says which root is trusted; expected --root FILE', {
    option: '--root',
  });
}

/** Which drafts are meant, and what people call keys: what the commands that look at drafts share. */
import { GantryError, isGantryError, quote } from '../lib/errors.ts';
import type { OpenedParcel } from '../lib/publish/parcels.ts';
import type { Parcel } from '../lib/repository/parcel.ts';
import type { RepositoryName } from '../lib/workspace/config.ts';
import type { Root, SignedRole } from '../lib/tuf/types.ts';
import type { Workspace } from '../lib/workspace/workspace.ts';
import type { Context } from './context.ts';
import { pathOf } from './options.ts';
import type { OptionValues } from './program.ts';
import { openWorkspaceOnly } from './session.ts';
import { shortId } from './ui/format.ts';

/** `root`, or a repository. */
export type DraftName = 'root' | RepositoryName;

export const WHAT: readonly [string, string] = ['[what]', 'root, or VARIANT/ARCH (default: the only draft that waits)'];

export function textOf(name: DraftName): string {
  return name === 'root' ? name : `${name.variant}/${name.arch}`;
}

/** What a key is called in this workspace; the start of its id otherwise. */
export async function keyNames(workspace: Workspace | undefined): Promise<(keyId: string) => string> {
  const { namedKeys } = await import('../lib/workspace/key-ring.ts');
  const known = workspace === undefined ? [] : await namedKeys(workspace);
  const names = new Map<string, string>(known.map(({ keyId, name }) => [keyId, name]));
  return (keyId) => names.get(keyId) ?? shortId(keyId);
}

/** Every draft that waits in the workspace, the root first; those that cannot be read among them. */
export async function waitingDrafts(workspace: Workspace): Promise<readonly DraftName[]> {
  const { hasDraft } = await import('../lib/workspace/draft-files.ts');
  const { hasRootDraft } = await import('../lib/workspace/root-files.ts');
  const found: DraftName[] = (await hasRootDraft(workspace)) ? ['root'] : [];
  for (const repository of workspace.config.repositories) if (await hasDraft(workspace, repository)) found.push(repository);
  return found;
}

/** @throws GantryError `publish/nothing` when nothing waits, `usage/option` when nothing says which of several is meant */
export async function chooseDrafts(workspace: Workspace, what: string | undefined): Promise<readonly DraftName[]> {
  const waiting = await waitingDrafts(workspace);
  const names = waiting.map(textOf).join(', ');
  const chosen = what === undefined || what === 'all' ? waiting : waiting.filter((name) => textOf(name) === what);
  if (chosen.length === 0) {
    const of = what === undefined || what === 'all' ? '' : ` of ${quote(what)}`;
    const problem = waiting.length === 0 ? 'nothing waits' : `only ${names} waits`;
    throw new GantryError('publish/nothing', `Cannot find the draft${of}: ${problem}; expected a draft`, { repository: what ?? 'all' });
  }
  if (what === undefined && chosen.length > 1) {
    throw new GantryError('usage/option', `Cannot choose a draft: several wait; expected one of ${names}, or all`, { option: '[what]' });
  }
  return chosen;
}

/** The workspace, where there is one: files of drafts are looked at anywhere. */
export async function workspaceIfAny(context: Context, options: OptionValues): Promise<Workspace | undefined> {
  try {
    return await openWorkspaceOnly(context, options);
  } catch (error) {
    if (!isGantryError(error, 'workspace/not-one') || options['workspace'] !== undefined) throw error;
    return undefined;
  }
}

/** @throws GantryError `files/…`, `repository/bad-draft` */
export async function readParcel(context: Context, file: string): Promise<Parcel> {
  const { readWholeFile } = await import('../lib/files/read.ts');
  const { decodeParcel } = await import('../lib/repository/parcel.ts');
  const { DRAFT_MAX_BYTES } = await import('../lib/repository/draft-file.ts');
  return decodeParcel(await readWholeFile(pathOf(context, file), { maxBytes: DRAFT_MAX_BYTES }));
}

/**
 * Verified from the roots of the workspace, or from the root in a file.
 *
 * @param trust `rootFile`: the root that counts; `without`: what is done where neither it nor a workspace says what to trust; `as-it-is`
 * looks whether the file fits together
 * @throws GantryError `usage/option` when nothing says what to trust
 */
export async function openParcelHere(
  context: Context,
  parcel: Parcel,
  workspace: Workspace | undefined,
  trust: { readonly rootFile?: string | undefined; readonly without: 'refuse' | 'as-it-is' } = { without: 'as-it-is' },
): Promise<OpenedParcel> {
  const { openParcel } = await import('../lib/publish/parcels.ts');
  const { openRootChain } = await import('../lib/repository/root-chain.ts');
  const { parseExpiryPolicy } = await import('../lib/repository/expiry.ts');
  const { readRootChain } = await import('../lib/workspace/root-files.ts');
  const own = workspace === undefined ? undefined : await readRootChain(workspace);
  const { rootFile, without } = trust;
  if (own === undefined && rootFile === undefined && parcel.roots.length > 0 && without === 'refuse') {
    throw new GantryError(
      'usage/option',
      'Cannot verify the draft: there is no workspace here; expected --root FILE, a root that you trust',
      {
        option: '--root',
      },
    );
  }
  const given = rootFile === undefined ? own : openRootChain([await readRootFile(context, rootFile)]);
  const chain = given ?? (parcel.roots.length === 0 ? undefined : openRootChain(parcel.roots));
  return openParcel(parcel, chain, { now: context.now, policy: workspace?.expiry ?? parseExpiryPolicy({}) });
}

async function readRootFile(context: Context, file: string): Promise<SignedRole<Root>> {
  const { readWholeFile } = await import('../lib/files/read.ts');
  const { readSignedRole } = await import('../lib/tuf/role.ts');
  return readSignedRole(await readWholeFile(pathOf(context, file), { maxBytes: 512_000 }), 'root');
}

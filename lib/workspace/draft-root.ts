/** The first root of a workspace, from key names. */
import { GantryError } from '../errors.ts';
import { draftRoot, type RoleSpec, type RootSpec } from '../repository/root-draft.ts';
import type { Root, TopRoleName } from '../tuf/types.ts';
import { newKeyNamed } from './edit-root.ts';
import { readRootChain, rootPath, saveRootDraft } from './root-files.ts';
import type { Workspace } from './workspace.ts';

export interface FirstRoot {
  readonly names: Readonly<Record<TopRoleName, readonly string[]>>;
  /** 1 where nothing is said. */
  readonly thresholds: Readonly<Partial<Record<TopRoleName, number>>>;
}

/**
 * @throws GantryError `files/exists` when there is a root already, `keys/missing`, `keys/example`, `repository/bad-threshold`,
 * `tuf/not-portable`
 */
export async function draftFirstRoot(
  workspace: Workspace,
  { names, thresholds }: FirstRoot,
  now: Date,
): Promise<{ readonly path: string; readonly root: Root }> {
  if ((await readRootChain(workspace)) !== undefined) {
    const path = rootPath(workspace, 1);
    throw new GantryError('files/exists', `Cannot draft a first root: ${path} exists already; expected a workspace without a root`, {
      path,
    });
  }
  const roleSpec = async (role: TopRoleName): Promise<RoleSpec> => {
    const keys = await Promise.all(names[role].map(async (name) => newKeyNamed(workspace, name)));
    return { keys: keys.map(({ key }) => key), threshold: thresholds[role] ?? 1 };
  };
  const spec: RootSpec = {
    root: await roleSpec('root'),
    targets: await roleSpec('targets'),
    snapshot: await roleSpec('snapshot'),
    timestamp: await roleSpec('timestamp'),
  };
  const draft = draftRoot(spec, now, workspace.expiry);
  return { path: await saveRootDraft(workspace, draft), root: draft.signed };
}

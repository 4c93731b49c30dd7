/** The next root of a workspace: the newest one, or the one that is drafted already, with something changed. */
import { GantryError, quote } from '../errors.ts';
import { draftRoot, specOf, type RootSpec } from '../repository/root-draft.ts';
import { rebaseRootSpec } from '../repository/root-edit.ts';
import type { RootChain } from '../repository/root-chain.ts';
import { exampleKeyIds } from '../tuf/example-keys.ts';
import { keyIdOf } from '../tuf/key.ts';
import type { Envelope, Root, TufDate } from '../tuf/types.ts';
import { publicKeyNamed, type NamedKey } from './key-ring.ts';
import { readRootChain, readRootDraft, saveRootDraft } from './root-files.ts';
import type { Workspace } from './workspace.ts';

/** The root that an edit starts from. */
export interface RootBase {
  /** Absent while the first root is drafted. */
  readonly chain: RootChain | undefined;
  /** What is drafted already. */
  readonly waiting: Envelope<Root> | undefined;
  readonly spec: RootSpec;
  readonly keys: Root['keys'];
}

/** @throws GantryError `workspace/no-root` when there is no root and none is drafted */
export async function readRootBase(workspace: Workspace): Promise<RootBase> {
  const chain = await readRootChain(workspace);
  const drafted = await readRootDraft(workspace);
  // A draft that was overtaken is made again on top of what came between.
  const waiting = drafted === undefined || chain === undefined ? drafted : rebaseRoot(workspace, drafted, chain);
  const root = waiting?.signed ?? chain?.latest.role;
  if (root !== undefined) return { chain, waiting, spec: specOf(root), keys: { ...chain?.latest.role.keys, ...root.keys } };
  throw new GantryError(
    'workspace/no-root',
    `Cannot change the root of ${quote(workspace.directory)}: there is none; expected 1.root.json`,
    {
      path: workspace.directory,
    },
  );
}

/**
 * Drafts the next root; signatures that a draft had are gone, because they were over other bytes.
 *
 * @throws GantryError `repository/bad-root-edit`, `repository/bad-threshold`, `tuf/not-portable`
 */
export async function saveRootEdit(
  workspace: Workspace,
  { chain }: RootBase,
  spec: RootSpec,
  { now, expires }: { readonly now: Date; readonly expires?: TufDate | undefined },
): Promise<string> {
  const draft = draftRoot(spec, now, workspace.expiry, chain?.latest.role, expires);
  return saveRootDraft(workspace, draft);
}

/**
 * The draft as it is when nothing came between; otherwise its changes on top of the newest root, without signatures.
 *
 * @throws GantryError `repository/moved-on` when they conflict
 */
export function rebaseRoot(workspace: Workspace, draft: Envelope<Root>, chain: RootChain): Envelope<Root> {
  const { latest } = chain;
  if (draft.signed.version > latest.role.version) return draft;
  const base = chain.roots.find(({ role }) => role.version === draft.signed.version - 1);
  if (base === undefined) return draft;
  const spec = rebaseRootSpec(specOf(base.role), specOf(draft.signed), specOf(latest.role));
  const made = new Date(draft.signed.expires);
  // The date that was chosen stays.
  return draftRoot(spec, made, workspace.expiry, latest.role, draft.signed.expires);
}

/**
 * A key by its name in the workspace, or by the start of its id (at least 8 digits) when the root lists it.
 *
 * @throws GantryError `keys/missing`
 */
export async function keyOfRoot(workspace: Workspace, { keys }: RootBase, text: string): Promise<Pick<NamedKey, 'key' | 'keyId'>> {
  const found = /^[0-9a-f]{8,64}$/u.test(text) ? Object.values(keys).filter((key) => keyIdOf(key).startsWith(text)) : [];
  const [key, other] = found;
  if (key !== undefined && other === undefined) return { key, keyId: keyIdOf(key) };
  return publicKeyNamed(workspace, text);
}

/** @throws GantryError `keys/missing`, `keys/example` */
export async function newKeyNamed(workspace: Workspace, name: string): Promise<NamedKey> {
  const key = await publicKeyNamed(workspace, name);
  if (!exampleKeyIds.has(key.keyId)) return key;
  throw new GantryError(
    'keys/example',
    `Cannot trust the key ${name}: it is one of Gantry's example keys, whose private half everybody has`,
    { keyId: key.keyId },
  );
}

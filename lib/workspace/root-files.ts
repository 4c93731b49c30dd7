/** The root chain of a workspace on disk: `N.root.json`, and the root that is being made in `drafts/root.json`. */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { writeFileAtomic, writeNewFile } from '../files/atomic.ts';
import { readWholeFile } from '../files/read.ts';
import { openRootChain, type RootChain } from '../repository/root-chain.ts';
import { parseEnvelope, readSignedRole, sealEnvelope } from '../tuf/role.ts';
import type { Envelope, Root, SignedRole } from '../tuf/types.ts';
import type { Workspace } from './workspace.ts';

/** Every client's cap on a root (tuf-interop rule 19). */
const ROOT_MAX_BYTES = 512_000;
const ROOT_FILE = /^([1-9][0-9]*)\.root\.json$/u;

/**
 * The verified chain, or undefined before the first root is complete.
 *
 * @throws GantryError `repository/root-chain`, `tuf/…`
 */
export async function readRootChain(workspace: Workspace): Promise<RootChain | undefined> {
  const names = await readdir(workspace.directory);
  const versions = names.flatMap((name) => ROOT_FILE.exec(name)?.[1] ?? []).map(Number);
  if (versions.length === 0) return undefined;
  versions.sort((a, b) => a - b);
  const roots: SignedRole<Root>[] = [];
  for (const version of versions) {
    const bytes = await readWholeFile(rootPath(workspace, version), { maxBytes: ROOT_MAX_BYTES });
    roots.push(readSignedRole(bytes, 'root'));
  }
  return openRootChain(roots);
}

/** @throws GantryError `workspace/no-root` */
export async function requireRootChain(workspace: Workspace): Promise<RootChain> {
  const chain = await readRootChain(workspace);
  if (chain !== undefined) return chain;
  throw new GantryError(
    'workspace/no-root',
    `Cannot go on in ${quote(workspace.directory)}: it has no complete root; expected 1.root.json`,
    { path: workspace.directory },
  );
}

/** Keeps the links that are not on disk yet. */
export async function saveRootChain(workspace: Workspace, chain: RootChain): Promise<void> {
  for (const root of chain.roots) {
    try {
      await writeNewFile(rootPath(workspace, root.role.version), root.bytes);
    } catch (error) {
      if (!isGantryError(error, 'files/exists')) throw error;
    }
  }
}

export function rootPath(workspace: Workspace, version: number): string {
  return join(workspace.directory, `${version}.root.json`);
}

function draftPath(workspace: Workspace): string {
  return join(workspace.directory, 'drafts', 'root.json');
}

/** Whether one lies there, readable or not. */
export async function hasRootDraft(workspace: Workspace): Promise<boolean> {
  return (await stat(draftPath(workspace)).catch(() => undefined)) !== undefined;
}

export async function readRootDraft(workspace: Workspace): Promise<Envelope<Root> | undefined> {
  try {
    return parseEnvelope(await readWholeFile(draftPath(workspace), { maxBytes: ROOT_MAX_BYTES }), 'root');
  } catch (error) {
    if (isGantryError(error, 'files/missing')) return undefined;
    throw error;
  }
}

export async function saveRootDraft(workspace: Workspace, draft: Envelope<Root>): Promise<string> {
  await mkdir(join(workspace.directory, 'drafts'), { recursive: true });
  await writeFileAtomic(draftPath(workspace), sealEnvelope(draft).bytes);
  return draftPath(workspace);
}

export async function removeRootDraft(workspace: Workspace): Promise<void> {
  await rm(draftPath(workspace), { force: true });
}

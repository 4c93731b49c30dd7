/** Drafts on disk (`drafts/VARIANT/ARCH.json`), and what this workspace published last. */
import { hash } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { readWholeFile } from '../files/read.ts';
import type { Draft } from '../repository/draft.ts';
import { decodeDraft, encodeDraft } from '../repository/draft-file.ts';
import type { RepositoryName } from './config.ts';
import { privatePath, type Workspace } from './workspace.ts';

const DRAFT_MAX_BYTES = 64 << 20;

export function draftPath(workspace: Workspace, { variant, arch }: RepositoryName): string {
  return join(workspace.directory, 'drafts', variant, `${arch}.json`);
}

export async function readDraft(workspace: Workspace, repository: RepositoryName): Promise<Draft | undefined> {
  const bytes = await readIfThere(draftPath(workspace, repository), DRAFT_MAX_BYTES);
  return bytes === undefined ? undefined : decodeDraft(bytes);
}

export async function saveDraft(workspace: Workspace, repository: RepositoryName, draft: Draft): Promise<string> {
  const path = draftPath(workspace, repository);
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, encodeDraft(draft));
  return path;
}

export async function removeDraft(workspace: Workspace, repository: RepositoryName): Promise<void> {
  await rm(draftPath(workspace, repository), { force: true });
}

/** The versions that this workspace has seen live: older ones in the store mean that it was rolled back. */
export interface SeenVersions {
  readonly root: number;
  readonly timestamp: number;
  readonly snapshot: number;
  readonly targets: number;
}

const version = z.int().min(0);
const seenSchema = z.object({ root: version, timestamp: version, snapshot: version, targets: version });

/** Each store has a history of its own. */
function seenPath(workspace: Workspace, store: string, { variant, arch }: RepositoryName): string {
  return privatePath(workspace, 'published', hash('sha256', store, 'hex').slice(0, 16), variant, `${arch}.json`);
}

/**
 * @param store what it is called
 * @throws GantryError `workspace/bad-config` when the record is torn: it guards against rollback, so it is not ignored
 */
export async function readSeenVersions(workspace: Workspace, store: string, repository: RepositoryName): Promise<SeenVersions | undefined> {
  const path = seenPath(workspace, store, repository);
  const bytes = await readIfThere(path, 1 << 16);
  if (bytes === undefined) return undefined;
  try {
    return seenSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch (cause) {
    throw new GantryError(
      'workspace/bad-config',
      `Cannot read ${quote(path)}: it is not the record that gantry wrote; expected the versions published last`,
      { path, at: 'the file' },
      { cause },
    );
  }
}

/** Never lowers what is remembered. */
export async function saveSeenVersions(workspace: Workspace, store: string, repository: RepositoryName, seen: SeenVersions): Promise<void> {
  const path = seenPath(workspace, store, repository);
  const before = await readSeenVersions(workspace, store, repository);
  const most = (role: keyof SeenVersions): number => Math.max(seen[role], before?.[role] ?? 0);
  const highest: SeenVersions = { root: most('root'), timestamp: most('timestamp'), snapshot: most('snapshot'), targets: most('targets') };
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, `${JSON.stringify(highest)}\n`);
}

async function readIfThere(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  try {
    return await readWholeFile(path, { maxBytes });
  } catch (error) {
    if (isGantryError(error, 'files/missing')) return undefined;
    throw error;
  }
}

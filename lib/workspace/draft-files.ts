/** Drafts on disk (`drafts/VARIANT/ARCH.json`), and what this workspace published last. */
import { hash } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { readWholeFile } from '../files/read.ts';
import type { Draft } from '../repository/draft.ts';
import { decodeDraft, DRAFT_MAX_BYTES, encodeDraft } from '../repository/draft-file.ts';
import type { RepositoryName } from './config.ts';
import { privatePath, type Workspace } from './workspace.ts';

export function draftPath(workspace: Workspace, { variant, arch }: RepositoryName): string {
  return join(workspace.directory, 'drafts', variant, `${arch}.json`);
}

/** @throws GantryError `repository/bad-draft` for what is no draft of this repository */
export async function readDraft(workspace: Workspace, repository: RepositoryName): Promise<Draft | undefined> {
  const bytes = await readIfThere(draftPath(workspace, repository), DRAFT_MAX_BYTES);
  if (bytes === undefined) return undefined;
  const { draft, repository: found } = decodeDraft(bytes);
  if (found.variant === repository.variant && found.arch === repository.arch) return draft;
  const name = `${found.variant}/${found.arch}`;
  throw new GantryError(
    'repository/bad-draft',
    `Cannot use the draft of ${repository.variant}/${repository.arch}: it was made for ${quote(name)}; expected one of this repository`,
    { at: 'repository' },
  );
}

/** Whether one lies there, readable or not. */
export async function hasDraft(workspace: Workspace, repository: RepositoryName): Promise<boolean> {
  return (await stat(draftPath(workspace, repository)).catch(() => undefined)) !== undefined;
}

export async function saveDraft(workspace: Workspace, repository: RepositoryName, draft: Draft): Promise<string> {
  const path = draftPath(workspace, repository);
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, encodeDraft(draft, repository));
  return path;
}

/**
 * Every draft that lies in the workspace, those of repositories that gantry.toml does not name (any more) among them.
 *
 * @returns the digests of the objects that they need; undefined when one of them cannot be read, so that nobody knows
 */
export async function neededObjects(workspace: Workspace, elsewhere: readonly Draft[]): Promise<ReadonlySet<string> | undefined> {
  const folder = join(workspace.directory, 'drafts');
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const digests = new Set<string>(elsewhere.flatMap(objectsOf));
  for (const name of names.filter((one) => one.endsWith('.json') && dirname(one) !== '.')) {
    try {
      const { draft } = decodeDraft(await readWholeFile(join(folder, name), { maxBytes: DRAFT_MAX_BYTES }));
      for (const sha256 of objectsOf(draft)) digests.add(sha256);
    } catch (error) {
      if (!isGantryError(error)) throw error;
      return undefined;
    }
  }
  return digests;
}

function objectsOf({ changes }: Draft): readonly string[] {
  return changes.flatMap((change) => (change.kind === 'put-target' ? [change.file.hashes.sha256] : []));
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

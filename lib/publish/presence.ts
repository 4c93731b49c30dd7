/**
 * What must be in a store, and what may be, before the first byte is sent.
 *
 * Rules:
 * - every file that a plan sends is here, or in the store already;
 * - a plan that was made earlier is carried out only where every file that its metadata names, of earlier publications too, is in the
 *   store: one listing, of a page for a thousand files. Publishing at once does without: what it costs depends on the change alone;
 * - a repository is begun only among repositories: whoever publishes into a folder of something else has mostly mistyped its name.
 */
import { GantryError, isGantryError, quote } from '../errors.ts';
import { targetPath } from '../store/layout.ts';
import type { Store } from '../store/store.ts';
import { TargetPath } from '../tuf/target-path.ts';
import type { TargetFile } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { openObject } from '../workspace/objects.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { isThere } from './apply.ts';
import { nameObject, TARGETS_FOLDER } from './gc/names.ts';
import type { LiveState } from './live-state.ts';
import type { PublicationPlan } from './plan.ts';

/** A page of S3: what lies behind it is not looked for. */
const LOOKED_THROUGH_MAX = 1000;

/** @throws GantryError `workspace/object-missing` */
export async function refuseMissingObjects(workspace: Workspace, store: Store, { writes }: PublicationPlan): Promise<void> {
  for (const write of writes) {
    if (write.bytes !== undefined) continue;
    try {
      await openObject(workspace, write.path, write);
    } catch (error) {
      if (!isGantryError(error, 'workspace/object-missing') || !(await isThere(write, store))) throw error;
    }
  }
}

/** @param lists the targets that the metadata to publish names; @throws GantryError `publish/target-lost` */
export async function refuseLostTargets(
  store: Store,
  { repository, writes }: PublicationPlan,
  lists: readonly Readonly<Record<string, TargetFile>>[],
): Promise<void> {
  const sent = new Set<string>(writes.map(({ path }) => path));
  const wanted = new Map<string, number>();
  for (const [name, file] of lists.flatMap((targets) => Object.entries(targets))) {
    for (const publishedName of TargetPath.parse(name).publishedNames(file.hashes.sha256)) {
      const path = targetPath(publishedName);
      if (!sent.has(path)) wanted.set(path, file.length);
    }
  }
  if (wanted.size === 0) return;
  for await (const { path, lengthBytes } of store.list(TARGETS_FOLDER)) {
    const expected = wanted.get(path);
    if (expected === undefined) continue;
    if (lengthBytes !== expected) throw lostTarget(store, repository, path, `has ${lengthBytes} bytes; expected ${expected}`);
    wanted.delete(path);
  }
  const [lost] = wanted.keys();
  if (lost === undefined) return;
  const others = wanted.size === 1 ? '' : `, and ${wanted.size - 1} more`;
  throw lostTarget(store, repository, lost, `is not there${others}; expected every file that the metadata to publish names`);
}

function lostTarget(store: Store, { variant, arch }: RepositoryName, path: string, problem: string): GantryError {
  return new GantryError(
    'publish/target-lost',
    `Cannot publish ${variant}/${arch} to ${quote(store.description)}: its ${quote(path)} ${problem}`,
    { path },
  );
}

/** Looks only where nothing of the repository is yet. @throws GantryError `publish/foreign-objects` */
export async function refuseForeignObjects(store: Store, { repository, rootsStored, timestampVersion }: LiveState): Promise<void> {
  if (rootsStored > 0 || timestampVersion !== undefined) return;
  const foreign: string[] = [];
  let looked = 0;
  for await (const { path } of store.list('')) {
    if (nameObject(path).kind === 'unknown') foreign.push(path);
    looked += 1;
    if (looked === LOOKED_THROUGH_MAX) break;
  }
  const [first] = foreign;
  if (first === undefined) return;
  const others = foreign.length === 1 ? '' : ` and ${foreign.length - 1} more`;
  throw new GantryError(
    'publish/foreign-objects',
    `Cannot begin ${repository.variant}/${repository.arch} in ${quote(store.description)}: it holds ${quote(first)}${others}, which no repository has; expected nothing but repositories`,
    { location: store.description, path: first },
  );
}

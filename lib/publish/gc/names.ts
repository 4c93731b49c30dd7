/**
 * What an object of a store is, by its name alone.
 *
 * Rules:
 * - only names that Gantry gives to objects are ever candidates for removal; everything else is `unknown` and left alone;
 * - the folder of a `timestamp.json` or of an `N.root.json` is a repository, however deep it lies. Only VARIANT/ARCH is one of this
 *   store: what lies elsewhere belongs to a store with another root, whose publishers look for marks there and not here.
 */
import type { StorePath } from '../../store/store.ts';
import { MARKS_FOLDER } from './marks.ts';

/** Where stores are probed. */
const PROBES_FOLDER = 'gantry-probe/';
export const TARGETS_FOLDER = 'targets/';
const DIGEST = /^[0-9a-f]{64}\../u;
const METADATA = /^(?:([1-9][0-9]{0,15})\.([A-Za-z0-9_-]+)|timestamp)\.json$/u;

export type NamedObject =
  | { readonly kind: 'mark' | 'probe' | 'target' | 'unknown' }
  | { readonly kind: 'timestamp'; readonly folder: string }
  | { readonly kind: 'root' | 'snapshot' | 'targets'; readonly folder: string; readonly version: number; readonly role: string };

/** What a candidate is called in summaries. */
export type CandidateKind = 'target' | 'snapshot' | 'targets' | 'probe';

/** A file of metadata is one only where a repository is: see `repositoryFolders`. */
export function nameObject(path: StorePath): NamedObject {
  if (path.startsWith(MARKS_FOLDER)) return { kind: 'mark' };
  if (path.startsWith(PROBES_FOLDER)) return { kind: 'probe' };
  const segments = path.split('/');
  const [, version, role] = METADATA.exec(segments.at(-1) ?? '') ?? [];
  const folder = segments.slice(0, -1).join('/');
  // A target may be called timestamp.json; some digest stands in front of it.
  const isBelowTarget = segments.slice(0, -1).some((segment) => DIGEST.test(segment));
  if (!isBelowTarget && segments.at(-1) === 'timestamp.json') return { kind: 'timestamp', folder };
  if (!isBelowTarget && version !== undefined && role !== undefined) {
    const kind = role === 'root' || role === 'snapshot' ? role : 'targets';
    return { kind, folder, version: Number(version), role };
  }
  return { kind: isTarget(path) ? 'target' : 'unknown' };
}

/** The digest stands before the last part of the name, or before the first one (tuf-interop rule 13). */
function isTarget(path: StorePath): boolean {
  if (!path.startsWith(TARGETS_FOLDER)) return false;
  const segments = path.slice(TARGETS_FOLDER.length).split('/');
  return DIGEST.test(segments.at(-1) ?? '') || DIGEST.test(segments[0] ?? '');
}

/** Every folder with a repository in it, and whether it has been published there. */
export function repositoryFolders(paths: Iterable<StorePath>): ReadonlyMap<string, 'published' | 'unfinished'> {
  const folders = new Map<string, 'published' | 'unfinished'>();
  for (const path of paths) {
    const named = nameObject(path);
    if (named.kind === 'timestamp') folders.set(named.folder, 'published');
    if (named.kind === 'root' && !folders.has(named.folder)) folders.set(named.folder, 'unfinished');
  }
  return folders;
}

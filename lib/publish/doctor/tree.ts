/** What hosts reach from a `timestamp.json`: the snapshot, the targets role, a few targets; and the chain of roots. */
import { isGantryError } from '../../errors.ts';
import { readSignedRole } from '../../tuf/role.ts';
import { TargetPath } from '../../tuf/target-path.ts';
import type { Role, RoleByName, Root, SignedRole, TargetFile, Targets, Timestamp } from '../../tuf/types.ts';
import { readObject, type Named, type ServedObject } from './objects.ts';
import type { Visit } from './visit.ts';

export interface Tree {
  readonly objects: readonly ServedObject[];
  readonly roles: readonly SignedRole[];
}

/** Clients give up beyond it (tuf-interop rule 19). */
const MAX_ROOTS = 256;

export async function readTree(visit: Visit, timestamp: SignedRole<Timestamp>): Promise<Tree> {
  const entry = timestamp.role.meta['snapshot.json'];
  const snapshot = await readRole(visit, `${entry.version}.snapshot.json`, 'snapshot', entry);
  const targetsEntry = snapshot?.file?.role.meta['targets.json'];
  const targets =
    targetsEntry === undefined ? undefined : await readRole(visit, `${targetsEntry.version}.targets.json`, 'targets', targetsEntry);
  const files = targets?.file === undefined ? [] : await readTargets(visit, targets.file.role);
  const read = [snapshot, targets].filter((one) => one !== undefined);
  return {
    objects: [...read.map(({ object }) => object), ...files],
    roles: read.flatMap(({ file }) => (file === undefined ? [] : [file])),
  };
}

interface ReadRole<R extends Role> {
  readonly object: ServedObject;
  /** Undefined when it cannot be read. */
  readonly file: SignedRole<R> | undefined;
}

async function readRole<N extends 'snapshot' | 'targets'>(
  visit: Visit,
  name: string,
  role: N,
  named: Named,
): Promise<ReadRole<RoleByName[N]> | undefined> {
  const object = await readObject(visit, new URL(name, visit.metadataUrl), 'metadata', named);
  if (object === undefined) return undefined;
  try {
    return { object, file: readSignedRole(object.body, role) };
  } catch (error) {
    if (!isGantryError(error)) throw error;
    visit.report('named-altered', visit.placeOf(object.url), `it cannot be read as ${role} metadata; expected what was signed`);
    return { object, file: undefined };
  }
}

/** The smallest, which is read as a whole, and the largest, which is fetched in parts. */
async function readTargets(visit: Visit, { targets }: Targets): Promise<readonly ServedObject[]> {
  const bySize = Object.entries(targets)
    .filter(([name]) => TargetPath.isPortable(name))
    .toSorted(([, a], [, b]) => a.length - b.length);
  const read: ServedObject[] = [];
  for (const [name, file] of new Set([bySize[0], bySize.at(-1)].filter((one) => one !== undefined))) {
    const object = await readObject(visit, targetUrl(visit, name, file), 'target', file);
    if (object !== undefined) read.push(object);
  }
  return read;
}

/** As our client writes it. */
function targetUrl({ targetsUrl }: Visit, name: string, { hashes }: TargetFile): URL {
  return new URL(TargetPath.parse(name).publishedName(hashes.sha256), targetsUrl);
}

export interface Roots {
  /** 0 when there is none. */
  readonly newest: number;
  readonly object?: ServedObject;
  readonly file?: SignedRole<Root>;
}

/** As hosts do: one after the other, until one is not there. What is no root of its number ends the chain too. */
export async function readRoots(visit: Visit): Promise<Roots> {
  let newest = 0;
  for (let version = 1; version <= MAX_ROOTS; version += 1) {
    const answer = await visit.follow(new URL(`${version}.root.json`, visit.metadataUrl), {
      maxBytes: 8 << 20,
      // Encodings are judged on the newest one, below.
      headers: { 'accept-encoding': 'identity' },
    });
    if (answer?.status !== 200 || !isRoot(answer.body, version)) break;
    newest = version;
  }
  if (newest === 0) return { newest };
  const object = await readObject(visit, new URL(`${newest}.root.json`, visit.metadataUrl), 'metadata');
  return object === undefined ? { newest } : { newest, object, ...rootIn(object.body) };
}

function isRoot(bytes: Uint8Array, version: number): boolean {
  return rootIn(bytes).file?.role.version === version;
}

function rootIn(bytes: Uint8Array): { readonly file?: SignedRole<Root> } {
  try {
    return { file: readSignedRole(bytes, 'root') };
  } catch (error) {
    if (isGantryError(error)) return {};
    throw error;
  }
}

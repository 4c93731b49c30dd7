/** Every metadata file of a repository and its manifest, ours or not, wherever they are read from: what the lint looks at. */
import { GantryError, quote } from '../errors.ts';
import type { Offer } from '../release/lint.ts';
import { parseManifest } from '../release/manifest.ts';
import { MANIFEST_PATH } from '../repository/draft.ts';
import type { PublishedRoles } from '../repository/trusted.ts';
import { sha256Hex } from '../tuf/hash.ts';
import { readSignedRole } from '../tuf/role.ts';
import { TargetPath } from '../tuf/target-path.ts';
import type { DelegatedFile, RepositoryFiles } from '../tuf/lint.ts';
import type { Root, SignedRole, Snapshot, Targets } from '../tuf/types.ts';

/** A metadata file by its name (`timestamp.json`), or undefined when it is missing. */
export type ReadFile = (name: string) => Promise<Uint8Array | undefined>;

/** No honest tree is deeper; a hostile one must end. */
const MAX_ROLES = 4096;

/**
 * @throws GantryError `store/missing` when a file is missing that another one names, `tuf/…` when one cannot be read at all
 */
export async function readRepositoryFiles(read: ReadFile): Promise<RepositoryFiles> {
  const roots = await readRoots(read);
  const timestampBytes = await read('timestamp.json');
  if (timestampBytes === undefined && roots.length === 0) {
    const path = 'timestamp.json';
    throw new GantryError(
      'store/missing',
      `Cannot read the repository: neither 1.root.json nor ${path} is there; expected the folder of ${path}`,
      { path },
    );
  }
  if (timestampBytes === undefined) return { roots };
  const timestamp = readSignedRole(timestampBytes, 'timestamp');
  const snapshot = readSignedRole(await need(read, `${timestamp.role.meta['snapshot.json'].version}.snapshot.json`), 'snapshot');
  const targets = await readTargets(read, snapshot, 'targets');
  return { roots, timestamp, snapshot, targets, delegated: await readDelegated(read, snapshot, targets) };
}

/**
 * What the manifest of a repository offers. Its digest is checked: a file that is not the signed one is none.
 *
 * @returns `missing` when the targets role names a manifest that is not there; `none` when it names none
 * @throws GantryError `release/bad-manifest`, `repository/mismatch`
 */
export async function readOffer({ targets }: RepositoryFiles, read: ReadFile): Promise<Offer | 'missing' | 'none'> {
  const entry = targets?.role.targets[MANIFEST_PATH];
  if (targets === undefined || entry === undefined) return 'none';
  const path = TargetPath.parse(MANIFEST_PATH);
  const bytes = (await read(path.publishedName(entry.hashes.sha256))) ?? (await read(path.fileName()));
  if (bytes === undefined) return 'missing';
  const found = sha256Hex(bytes);
  if (found !== entry.hashes.sha256) {
    throw new GantryError(
      'repository/mismatch',
      `Cannot read ${MANIFEST_PATH}: its SHA-256 is ${found}; expected ${entry.hashes.sha256}, which the targets role names`,
      { role: 'targets' },
    );
  }
  return { manifest: parseManifest(bytes), targets: targets.role.targets };
}

async function readRoots(read: ReadFile): Promise<readonly SignedRole<Root>[]> {
  const roots: SignedRole<Root>[] = [];
  for (let version = 1; ; version += 1) {
    const bytes = await read(`${version}.root.json`);
    if (bytes === undefined) return roots;
    roots.push(readSignedRole(bytes, 'root'));
  }
}

async function readTargets(read: ReadFile, snapshot: SignedRole<Snapshot>, name: string): Promise<SignedRole<Targets>> {
  const version = snapshot.role.meta[`${name}.json`]?.version;
  if (version === undefined) {
    throw new GantryError('repository/mismatch', `Cannot read the role ${quote(name)}: the snapshot does not name it`, { role: name });
  }
  return readSignedRole(await need(read, `${version}.${encodeURIComponent(name)}.json`), 'targets');
}

/** Role by role, each once, so that a cycle ends. */
async function readDelegated(
  read: ReadFile,
  snapshot: SignedRole<Snapshot>,
  targets: SignedRole<Targets>,
): Promise<readonly DelegatedFile[]> {
  const found: DelegatedFile[] = [];
  const waiting = (targets.role.delegations?.roles ?? []).map(({ name }) => name);
  for (let name = waiting.shift(); name !== undefined && found.length < MAX_ROLES; name = waiting.shift()) {
    const role = name;
    if (found.some((one) => one.name === role) || snapshot.role.meta[`${role}.json`] === undefined) continue;
    const file = await readTargets(read, snapshot, role);
    found.push({ name: role, file });
    waiting.push(...(file.role.delegations?.roles ?? []).map((child) => child.name));
  }
  return found;
}

/** What `timestamp.json` leads to, as it is there: nothing is verified. @throws GantryError `store/missing`, `tuf/…` */
export async function readSnapshotTree(read: ReadFile): Promise<PublishedRoles> {
  const timestamp = readSignedRole(await need(read, 'timestamp.json'), 'timestamp');
  const snapshot = readSignedRole(await need(read, `${timestamp.role.meta['snapshot.json'].version}.snapshot.json`), 'snapshot');
  return { timestamp, snapshot, targets: await readTargets(read, snapshot, 'targets') };
}

async function need(read: ReadFile, name: string): Promise<Uint8Array> {
  const bytes = await read(name);
  if (bytes !== undefined) return bytes;
  throw new GantryError('store/missing', `Cannot read the repository: ${quote(name)} is missing, and other metadata names it`, {
    path: name,
  });
}

/**
 * A repository, or one release of it, as one file: for hosts without a network.
 *
 * Rules:
 * - what goes in is what a host was answered that trusts nothing but the given root, in the order in which it asked; it has verified
 *   all of it, and each target is verified again while it is written;
 * - the order lets a reader go from one end to the other: roots, timestamp, snapshot, targets roles, manifest, frame tables, the rest;
 * - equal publications give equal bytes: no times, owners or modes of files, and names in one order;
 * - the file appears when it is whole.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pack, type Pack } from 'tar-stream';
import { BUNDLE_FOLDERS } from '../client/bundle.ts';
import { nameBelow } from '../client/folder.ts';
import { openRepository, type OpenOptions, type RepositoryClient, type RoleSummary, type VerifiedTarget } from '../client/index.ts';
import { isEntryName } from '../client/tar-index.ts';
import { sourceOf } from '../client/transports.ts';
import { GantryError, quote, refuseAborted } from '../errors.ts';
import { createAtomicWriter } from '../files/atomic.ts';
import type { HttpClient } from '../http/request.ts';
import { readImageCustom } from '../release/custom.ts';
import type { Manifest, Update } from '../release/manifest.ts';
import { migrationMap, rankOf, stepsBetween } from '../release/migrations.ts';
import { MANIFEST_PATH } from '../repository/draft.ts';
import { readSignedRole } from '../tuf/role.ts';
import type { TopRoleName } from '../tuf/types.ts';

export interface BundleSource extends Omit<OpenOptions, 'stateDirectory' | 'root'> {
  /** The oldest root that hosts may have. */
  readonly root: Uint8Array;
  readonly signal: AbortSignal;
}

export interface BundleFile {
  readonly name: string;
  readonly lengthBytes: number;
  readonly open: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export interface BundlePlan {
  /** In their order. */
  readonly files: readonly BundleFile[];
  readonly roles: Readonly<Record<TopRoleName, RoleSummary>>;
  /** Releases whose every file is in it. */
  readonly versions: readonly string[];
  /** Of the files, without the archive's own bytes. */
  readonly lengthBytes: number;
}

/**
 * Looks at the repository and says what a bundle of it holds; the work ends with it, since targets are fetched as they are written.
 *
 * @param what a version with what every older host needs to get to it, or everything
 * @throws GantryError `release/unknown`, `client/…`, `http/…`, `files/…`, `aborted`
 */
export async function withBundlePlan<T>(
  source: BundleSource,
  what: { readonly version: string } | 'all',
  work: (plan: BundlePlan) => Promise<T>,
): Promise<T> {
  const { http, places } = await sourceOf(source);
  const metadata = new Map<string, Uint8Array>();
  const stateDirectory = await mkdtemp(join(tmpdir(), 'gantry-bundle-'));
  const { root, signal, ...options } = source;
  try {
    const transport = remembering(
      http,
      ({ pathname }) => {
        const folder = places.map(({ metadataUrl }) => metadataUrl).find((url) => pathname.startsWith(url.pathname));
        return folder === undefined ? undefined : nameBelow(new URL(pathname, folder), folder);
      },
      metadata,
    );
    const client = await openRepository({ ...options, root, stateDirectory, transport });
    try {
      await client.refresh({ signal });
      const all = await client.allTargets({ signal });
      const targets = what === 'all' ? all : await neededFor(client, what.version, signal);
      const files = [...metadataFiles(root, metadata), ...targetFiles(client, targets, signal)];
      refuseNames(files);
      const lengthBytes = files.reduce((sum, file) => sum + file.lengthBytes, 0);
      const versions = what === 'all' ? await versionsIn(client, all, signal) : [what.version];
      return await work({ files, roles: client.roles(), versions, lengthBytes });
    } finally {
      client.close();
    }
  } finally {
    http.close();
    await rm(stateDirectory, { recursive: true, force: true });
  }
}

/** Metadata is all that is asked for as a whole. */
function remembering(http: HttpClient, nameOf: (url: URL) => string | undefined, into: Map<string, Uint8Array>): HttpClient {
  return {
    ...http,
    async fetchBytes(url, options) {
      const bytes = await http.fetchBytes(url, options);
      const name = nameOf(url);
      if (name !== undefined) into.set(name, bytes);
      return bytes;
    },
  };
}

function refuseNames(files: readonly BundleFile[]): void {
  const bad = files.find(({ name }) => !isEntryName(name));
  if (bad === undefined) return;
  throw new GantryError('client/bad-bundle', `Cannot bundle ${quote(bad.name)}: no file of a bundle can have that name`, {
    path: '',
    at: bad.name,
  });
}

const ROOT = /^([0-9]+)\.root\.json$/u;
const ORDER: readonly RegExp[] = [ROOT, /^timestamp\.json$/u, /^[0-9]+\.snapshot\.json$/u, /^[0-9]+\.targets\.json$/u];

function metadataFiles(root: Uint8Array, fetched: ReadonlyMap<string, Uint8Array>): readonly BundleFile[] {
  const anchor = `${readSignedRole(root, 'root').role.version}.root.json`;
  const rankOfFile = (name: string): number => {
    const found = ORDER.findIndex((pattern) => pattern.test(name));
    return found === -1 ? ORDER.length : found;
  };
  const versionOfRoot = (name: string): number => Number(ROOT.exec(name)?.[1] ?? 0);
  return [...new Map([[anchor, root], ...fetched])]
    .toSorted(([a], [b]) => rankOfFile(a) - rankOfFile(b) || versionOfRoot(a) - versionOfRoot(b) || byText(a, b))
    .map(([name, bytes]) => ({ name: BUNDLE_FOLDERS.metadata + name, lengthBytes: bytes.length, open: () => [bytes] }));
}

/** The manifest, frame tables, then what is large. */
function targetFiles(client: RepositoryClient, targets: readonly VerifiedTarget[], signal: AbortSignal): readonly BundleFile[] {
  const tables = new Set(targets.flatMap(({ custom }) => framesOf(custom)));
  const rank = (name: string): number => (name === MANIFEST_PATH ? 0 : tables.has(name) ? 1 : 2);
  return targets
    .map((target) => ({ target, name: target.path.memberName() }))
    .toSorted((a, b) => rank(a.name) - rank(b.name) || byText(a.name, b.name))
    .map(({ target }) => ({
      name: BUNDLE_FOLDERS.targets + target.path.publishedName(target.digest.hex),
      lengthBytes: target.lengthBytes,
      open: () => client.verifiedStream(target, { signal }),
    }));
}

function framesOf(custom: VerifiedTarget['custom']): readonly string[] {
  const image = readImageCustom(custom);
  return image?.format === 'zstd-frames' ? [image.frames] : [];
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Manifest, images in every form, frame tables, and the migrations from every older version. */
async function neededFor(client: RepositoryClient, version: string, signal: AbortSignal): Promise<readonly VerifiedTarget[]> {
  const manifest = await client.manifest({ signal });
  const updates = manifest.updates.filter((update) => update.version === version);
  if (updates.length === 0) {
    const known = [...new Set(manifest.updates.map((update) => update.version))];
    throw new GantryError(
      'release/unknown',
      `Cannot bundle ${quote(version)}: the repository offers no such release; expected one of ${known.map(quote).join(', ') || 'none'}`,
      { version, known },
    );
  }
  const names = [MANIFEST_PATH, ...updates.flatMap(imagesOf), ...migrationsTo(manifest, version)];
  const found = new Map<string, VerifiedTarget>();
  for (const name of names) {
    const target = await client.target(name, { signal });
    found.set(name, target);
    for (const table of framesOf(target.custom)) found.set(table, await client.target(table, { signal }));
  }
  return [...found.values()];
}

function imagesOf({ images, images_zstd: zstd }: Update): readonly string[] {
  return [images, ...(zstd === undefined ? [] : [zstd])].flatMap(({ boot, root, hash }) => [boot, root, hash]);
}

/** Of every way that leads to it from below. */
function migrationsTo({ migrations, updates }: Manifest, version: string): readonly string[] {
  const map = migrationMap(migrations, [version, ...updates.map((update) => update.version)]);
  const high = rankOf(map.rank, version);
  return map.versions.slice(0, high).flatMap((_, low) => {
    const { steps, end } = stepsBetween(map, low, high);
    return end === high ? steps.flatMap(({ targets }) => targets) : [];
  });
}

async function versionsIn(client: RepositoryClient, all: readonly VerifiedTarget[], signal: AbortSignal): Promise<readonly string[]> {
  if (!all.some(({ path }) => path.memberName() === MANIFEST_PATH)) return [];
  const { updates } = await client.manifest({ signal });
  return [...new Set(updates.map(({ version }) => version))];
}

/** Writes it, and gives it its name when it is whole. @throws GantryError `files/…`, `client/…`, `http/…`, `aborted` */
export async function writeBundle(
  { files }: BundlePlan,
  path: string,
  { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress?: (bytes: number) => void },
): Promise<{ readonly lengthBytes: number; readonly sha256: string }> {
  const digest = createHash('sha256');
  let lengthBytes = 0;
  const writer = await createAtomicWriter(path, { overwrite: 'replace' });
  const archive = pack();
  const reader: Reader = { hasLeft: false, left: Promise.withResolvers() };
  let failure: unknown;
  const filling = fill(archive, files, { signal, onProgress, reader }).then(
    () => archive.finalize(),
    (error: unknown) => {
      failure = error;
      archive.destroy();
    },
  );
  try {
    // Proof: a pack is a readable stream of buffers; its types do not say so.
    for await (const chunk of archive as AsyncIterable<Buffer>) {
      digest.update(chunk);
      lengthBytes += chunk.length;
      await writer.write(chunk);
    }
    // An archive that was destroyed ends like one that is whole.
    await filling;
    if (failure !== undefined) throw failure;
    await writer.commit();
  } catch (error) {
    throw failure ?? error;
  } finally {
    reader.hasLeft = true;
    reader.left.resolve();
    archive.destroy();
    await filling;
    await writer.discard();
  }
  return { lengthBytes, sha256: digest.digest('hex') };
}

const BARE = { mode: 0o644, mtime: new Date(0), uid: 0, gid: 0, uname: '', gname: '', type: 'file' } as const;

/** Who takes what the archive gives. */
interface Reader {
  hasLeft: boolean;
  readonly left: PromiseWithResolvers<void>;
}

interface Filling {
  readonly signal: AbortSignal;
  readonly onProgress: ((bytes: number) => void) | undefined;
  readonly reader: Reader;
}

async function fill(archive: Pack, files: readonly BundleFile[], { signal, onProgress, reader }: Filling): Promise<void> {
  let done = 0;
  for (const { name, lengthBytes, open } of files) {
    if (reader.hasLeft) return;
    const entry = archive.entry({ ...BARE, name, size: lengthBytes });
    // It fails when the archive does, which says why.
    entry.on('error', () => undefined);
    for await (const chunk of open()) {
      refuseAborted(signal);
      if (!entry.write(chunk)) await Promise.race([room(entry), reader.left.promise]);
      if (reader.hasLeft) return;
      done += chunk.length;
      onProgress?.(done);
    }
    entry.end(new Uint8Array());
  }
}

async function room(entry: ReturnType<Pack['entry']>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  entry.once('drain', resolve);
  await promise;
}

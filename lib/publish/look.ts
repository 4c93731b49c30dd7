/**
 * After publishing, look as a host does: with the client library, from the oldest root, through the public URL.
 *
 * Rules:
 * - what was published is live whatever is found here; a failure says so, and how to go on;
 * - caches may show the publication before for as long as `timestamp.json` may be kept: that is waited out, and only that;
 * - without a public URL the store itself is read.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openRepository, type RepositoryClient, type VerifiedTarget } from '../client/index.ts';
import { abortedBy, GantryError, isGantryError, named } from '../errors.ts';
import { createHttpClient } from '../http/request.ts';
import { MANIFEST_PATH } from '../repository/draft.ts';
import { verifyUnder } from '../repository/trusted.ts';
import { TIMESTAMP_MAX_AGE_SECONDS } from '../store/cache-control.ts';
import { targetPath } from '../store/layout.ts';
import type { Store } from '../store/store.ts';
import { readSignedRole } from '../tuf/role.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { requireRootChain } from '../workspace/root-files.ts';
import type { Workspace } from '../workspace/workspace.ts';
import type { LiveState } from './live-state.ts';
import type { PublicationPlan } from './plan.ts';
import { STORE_URL, storeTransport } from './store-transport.ts';

/** `metadata` without the files, `changed` with those of this publication, `all` with every target. */
export type LookDepth = 'none' | 'metadata' | 'changed' | 'all';

export interface LookOptions {
  readonly depth: Exclude<LookDepth, 'none'>;
  readonly signal: AbortSignal;
  /** Once, when a cache shows the publication before. */
  readonly onWait?: (seconds: number) => void;
  readonly onProgress?: (bytes: number, totalBytes: number) => void;
  /** How long caches are waited for; by default as long as they may keep `timestamp.json`, and a little. */
  readonly patienceMs?: number;
}

export interface Look {
  readonly url: string;
  readonly timestamp: number;
  readonly targets: number;
  readonly bytes: number;
  readonly waitedMs: number;
}

const POLL_MS = 2000;
const SLACK_SECONDS = 15;
const TIMESTAMP_MAX_BYTES = 16_384;

/** Where hosts find a repository and its targets: the public URL of `gantry.toml`, or the store itself. */
function placesOf({ config }: Workspace, { variant, arch }: RepositoryName): { readonly metadata: URL; readonly targets: URL } {
  const base = new URL(config.url ?? STORE_URL);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return { metadata: new URL(`${variant}/${arch}/`, base), targets: new URL('targets/', base) };
}

/**
 * Before anything is written: what the public URL shows must be of this repository, and not ahead of the store.
 *
 * @throws GantryError `publish/wrong-url`, `http/…`, `aborted`
 */
export async function refuseWrongUrl(workspace: Workspace, live: LiveState, signal: AbortSignal): Promise<void> {
  const { published, chain } = live.trusted;
  if (workspace.config.url === undefined) return;
  const url = new URL('timestamp.json', placesOf(workspace, live.repository).metadata);
  const wrong = (problem: string, cause?: unknown): GantryError =>
    new GantryError('publish/wrong-url', `Cannot publish: ${url.href} ${problem}`, { url: url.href }, { cause });
  const http = createHttpClient();
  try {
    const bytes = await http.fetchBytes(url, { maxBytes: TIMESTAMP_MAX_BYTES, signal });
    const timestamp = readSignedRole(bytes, 'timestamp');
    if (published === undefined) throw wrong('answers already, and the store has no publication yet; expected a 404');
    const isOurs = chain.roots.some(({ role }) => holds(() => verifyUnder(role, 'timestamp', timestamp)));
    if (!isOurs) throw wrong('is not signed by a key of this repository; expected what is in the store');
    if (timestamp.role.version > published.timestamp.role.version) {
      throw wrong(
        `has version ${timestamp.role.version}, and the store has ${published.timestamp.role.version}; expected what is in the store`,
      );
    }
  } catch (error) {
    if (isGantryError(error, 'http/missing')) {
      if (published === undefined) return;
      throw wrong('is missing there, and the store has it; expected what is in the store', error);
    }
    if (isGantryError(error, 'tuf/not-json') || isGantryError(error, 'tuf/malformed')) throw wrong('is no timestamp role', error);
    throw error;
  } finally {
    http.close();
  }
}

function holds(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

/**
 * Looks until the publication is there, then at its files.
 *
 * @param plan what was published; its repository must have a publication
 * @throws GantryError `publish/not-visible`, `aborted`
 */
export async function lookAsHost(
  workspace: Workspace,
  store: Store,
  { plan, timestamp }: { readonly plan: PublicationPlan; readonly timestamp: number },
  options: LookOptions,
): Promise<Look> {
  const { repository } = plan;
  const places = placesOf(workspace, repository);
  const chain = await requireRootChain(workspace);
  const [oldest = chain.latest] = chain.roots;
  const stateDirectory = await mkdtemp(join(tmpdir(), 'gantry-look-'));
  const client = await openRepository({
    root: oldest.bytes,
    metadataUrl: places.metadata,
    targetsUrl: places.targets,
    stateDirectory,
    ...(workspace.config.url === undefined ? { transport: storeTransport(store) } : {}),
  });
  const shown = workspace.config.url === undefined ? `${store.description}/${repository.variant}/${repository.arch}` : places.metadata.href;
  try {
    const waitedMs = await untilVisible(client, timestamp, options);
    const targets = await targetsToCheck(client, plan, options);
    return { url: shown, timestamp, targets: targets.length, bytes: await checkTargets(client, targets, options), waitedMs };
  } catch (error) {
    if (!isGantryError(error) || error.code === 'aborted') throw error;
    const name = `${named(repository.variant)}/${named(repository.arch)}`;
    throw new GantryError(
      'publish/not-visible',
      `${name} is published (timestamp ${timestamp}), but a host that looks at ${shown} cannot use it: ${error.message}`,
      { repository: name, timestamp, url: shown },
      { cause: error },
    );
  } finally {
    client.close();
    await rm(stateDirectory, { recursive: true, force: true });
  }
}

/** A cache, or an edge that is behind, shows what was there before. @returns milliseconds that it took */
async function untilVisible(client: RepositoryClient, timestamp: number, options: LookOptions): Promise<number> {
  const started = performance.now();
  const patienceMs = options.patienceMs ?? (TIMESTAMP_MAX_AGE_SECONDS + SLACK_SECONDS) * 1000;
  let told = false;
  for (;;) {
    const waitedMs = Math.round(performance.now() - started);
    const { seen, problem } = await glance(client, options.signal);
    if (seen !== undefined && seen >= timestamp) return waitedMs;
    if (waitedMs >= patienceMs) {
      if (problem !== undefined) throw problem;
      const is = `timestamp.json has version ${seen} after ${Math.round(waitedMs / 1000)} s; expected ${timestamp}`;
      throw new GantryError('client/rollback', `Cannot see the publication: ${is}`, { role: 'timestamp' });
    }
    if (!told) options.onWait?.(Math.round(patienceMs / 1000));
    told = true;
    await delay(Math.min(POLL_MS, patienceMs), undefined, { signal: options.signal }).catch(() => undefined);
    if (options.signal.aborted) throw abortedBy(options.signal);
  }
}

/** What a host sees now. Only a network may pass; what is wrong stays wrong. */
async function glance(client: RepositoryClient, signal: AbortSignal): Promise<{ readonly seen?: number; readonly problem?: GantryError }> {
  try {
    await client.refresh({ signal });
    return { seen: client.roles().timestamp.version };
  } catch (problem) {
    if (isGantryError(problem) && (problem.code.startsWith('http/') || problem.code.startsWith('store/'))) return { problem };
    throw problem;
  }
}

async function targetsToCheck(
  client: RepositoryClient,
  { writes }: PublicationPlan,
  { depth, signal }: LookOptions,
): Promise<readonly VerifiedTarget[]> {
  if (depth === 'metadata') return [await client.target(MANIFEST_PATH, { signal })];
  const targets = await client.allTargets({ signal });
  if (depth === 'all') return targets;
  const names = new Set<string>(writes.flatMap(({ kind, path }) => (kind === 'target' ? [path] : [])));
  // The manifest is what hosts decide by: it is always looked at.
  return targets.filter(({ path, sha256 }) => {
    if (path.memberName() === MANIFEST_PATH) return true;
    return sha256 !== undefined && path.publishedNames(sha256).some((name) => names.has(targetPath(name)));
  });
}

/** Compressed and decompressed, as a host does. */
async function checkTargets(client: RepositoryClient, targets: readonly VerifiedTarget[], options: LookOptions): Promise<number> {
  const totalBytes = targets.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  return client.check(targets, { signal: options.signal, onProgress: (bytes) => options.onProgress?.(bytes, totalBytes) });
}

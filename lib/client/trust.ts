/**
 * The trust decision: tuf-js 6 makes it (design D1). Ours is what surrounds it: a fetcher with limits, a session directory that
 * is only promoted with what tuf-js accepted, and errors that say what happened.
 */
import { Updater, type Fetcher } from 'tuf-js';
import { DownloadHTTPError } from 'tuf-js/dist/error.js';
import { GantryError, isGantryError } from '../errors.ts';
import { withLock } from '../files/lock.ts';
import type { HttpClient } from '../http/request.ts';
import { readSignedRole } from '../tuf/role.ts';
import type { Root, SignedRole, Snapshot, Targets, Timestamp } from '../tuf/types.ts';
import { explainRefusal, type Received } from './refusal.ts';
import type { ClientState, RoleFiles } from './state.ts';

/** The four top roles that tuf-js has accepted, as one set. */
export interface TrustedRoles {
  readonly root: SignedRole<Root>;
  readonly timestamp: SignedRole<Timestamp>;
  readonly snapshot: SignedRole<Snapshot>;
  readonly targets: SignedRole<Targets>;
}

export interface RefreshOptions {
  readonly http: HttpClient;
  /** Ends with a slash. */
  readonly metadataUrl: URL;
  readonly signal?: AbortSignal;
  readonly onNotice: (notice: string) => void;
}

/** The caps of every client (tuf-interop rule 19); the snapshot's is tough's, the smallest. */
const LIMITS = { rootMaxLength: 512_000, timestampMaxLength: 16_384, snapshotMaxLength: 1 << 20, targetsMaxLength: 5_000_000 };
/** A refresh is a few small requests, and each has its own deadline on progress. */
const LOCK_WAIT_MS = 120_000;

/**
 * Walks the root chain, then timestamp, snapshot and targets. What was accepted before a refusal is kept: a newer root counts
 * even when the timestamp behind it is refused.
 *
 * @throws GantryError `client/untrusted`, `client/expired`, `client/rollback`, `http/…`, `files/locked`, `aborted`
 */
export async function refreshTrust(state: ClientState, options: RefreshOptions): Promise<TrustedRoles> {
  const lock = { waitMs: LOCK_WAIT_MS, ...(options.signal === undefined ? {} : { signal: options.signal }) };
  return withLock(`${state.directory}/lock.sqlite`, lock, async () => {
    const session = await state.openSession();
    try {
      const before = await session.read();
      const received: Received = {};
      try {
        await updaterFor(session.directory, options, received).refresh();
      } catch (error) {
        throw explainRefusal(error, received, { before, accepted: await session.read(), now: new Date() });
      }
      return trustedRoles(await session.read());
    } finally {
      await session.close();
    }
  });
}

function updaterFor(directory: string, options: RefreshOptions, received: Received): Updater {
  return new Updater({
    metadataDir: directory,
    metadataBaseUrl: options.metadataUrl.href.replace(/\/$/u, ''),
    fetcher: fetcherFor(options, received),
    config: LIMITS,
  });
}

/** Limits, deadlines and the difference between *missing* and *failed*; what came last is kept to explain a refusal. */
function fetcherFor({ http, signal, onNotice }: RefreshOptions, received: Received): Fetcher {
  const downloadBytes = async (url: string, maxLength: number): Promise<Buffer> => {
    received.file = url.slice(url.lastIndexOf('/') + 1);
    delete received.bytes;
    delete received.error;
    try {
      const bytes = await http.fetchBytes(new URL(url), { maxBytes: maxLength, ...(signal === undefined ? {} : { signal }) });
      received.bytes = bytes;
      return Buffer.from(bytes);
    } catch (error) {
      if (isGantryError(error, 'http/missing') && received.file.endsWith('.root.json')) {
        if (error.details.status !== 404) onNotice(`${error.message}; taken as the end of the root chain, although only 404 says so`);
        // The error by which tuf-js recognises the last root.
        throw new DownloadHTTPError('no newer root', 404);
      }
      received.error = error;
      throw error;
    }
  };
  return {
    downloadBytes,
    // Targets are ours (design D1), so tuf-js never asks for one.
    downloadFile: async () => Promise.reject(new TypeError('targets are not downloaded by tuf-js')),
  };
}

function trustedRoles(files: RoleFiles): TrustedRoles {
  const { root, timestamp, snapshot, targets } = files;
  if (root === undefined || timestamp === undefined || snapshot === undefined || targets === undefined) {
    throw new GantryError('client/untrusted', 'Cannot use the repository: the metadata that was accepted is no longer on disk', {
      role: 'targets',
    });
  }
  return {
    root: readSignedRole(root, 'root'),
    timestamp: readSignedRole(timestamp, 'timestamp'),
    snapshot: readSignedRole(snapshot, 'snapshot'),
    targets: readSignedRole(targets, 'targets'),
  };
}

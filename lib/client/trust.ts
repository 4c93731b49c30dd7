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
import type { ClientState, Session } from './state.ts';

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
/** Every refresh walks from the trust anchor, stored roots first, so this bounds the life of a repository, not one visit. */
const ROOT_ROTATIONS = 1024;
/** A refresh is a few small requests, and each has its own deadline on progress. */
const LOCK_WAIT_MS = 120_000;
const ROOT_FILE = /^([1-9][0-9]*)\.root\.json$/u;

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
    let trusted: TrustedRoles;
    try {
      await refreshSession(session, state.directory, options);
      trusted = await trustedRoles(session);
    } catch (refusal) {
      await session.close().catch((problem: unknown) => {
        options.onNotice(`What was accepted could not be kept: ${problem instanceof Error ? problem.message : String(problem)}`);
      });
      throw refusal;
    }
    await session.close();
    return trusted;
  });
}

async function refreshSession(session: Session, directory: string, options: RefreshOptions): Promise<void> {
  const before = await session.read();
  for (;;) {
    const received: Received = {};
    try {
      await updaterFor(session, options, received).refresh();
      return;
    } catch (error) {
      const refusal = explainRefusal(error, received, { before, accepted: await session.read(), now: new Date(), directory });
      if (received.storedRoot === undefined || !isGantryError(refusal, 'client/untrusted')) throw refusal;
      // Ours was damaged, or of another repository: go on with what the server has in its place. One file less each time.
      await session.discardRoot(received.storedRoot, refusal.message);
    }
  }
}

function updaterFor(session: Session, options: RefreshOptions, received: Received): Updater {
  return new Updater({
    metadataDir: session.directory,
    metadataBaseUrl: options.metadataUrl.href.replace(/\/$/u, ''),
    fetcher: fetcherFor(session, options, received),
    config: { ...LIMITS, maxRootRotations: ROOT_ROTATIONS },
  });
}

/** Limits, deadlines and the difference between *missing* and *failed*; what came last is kept to explain a refusal. */
function fetcherFor(session: Session, { http, signal, onNotice }: RefreshOptions, received: Received): Fetcher {
  const fetchBytes = async (url: string, maxBytes: number): Promise<Uint8Array> =>
    http.fetchBytes(new URL(url), { maxBytes, ...(signal === undefined ? {} : { signal }) });
  const downloadRoot = async (url: string, maxBytes: number, version: number): Promise<Uint8Array> => {
    const stored = await session.storedRoot(version);
    if (stored !== undefined) {
      received.storedRoot = version;
      return stored;
    }
    try {
      const bytes = await fetchBytes(url, maxBytes);
      session.offerRoot(version, bytes);
      return bytes;
    } catch (error) {
      if (!endsRootChain(error)) throw error;
      if (error.details.status !== 404) onNotice(`${error.message}; taken as the end of the root chain, although only 404 says so`);
      // The error by which tuf-js recognises the last root.
      throw new DownloadHTTPError('no newer root', 404);
    }
  };
  const downloadBytes = async (url: string, maxLength: number): Promise<Buffer> => {
    const file = url.slice(url.lastIndexOf('/') + 1);
    const version = ROOT_FILE.exec(file)?.[1];
    for (const key of ['bytes', 'error', 'storedRoot'] as const) delete received[key];
    received.file = file;
    try {
      received.bytes = version === undefined ? await fetchBytes(url, maxLength) : await downloadRoot(url, maxLength, Number(version));
      return Buffer.from(received.bytes);
    } catch (error) {
      if (!(error instanceof DownloadHTTPError)) received.error = error;
      throw error;
    }
  };
  return {
    downloadBytes,
    // Targets are ours (design D1), so tuf-js never asks for one.
    downloadFile: async () => Promise.reject(new TypeError('targets are not downloaded by tuf-js')),
  };
}

/** A store behind a CDN may say 403 for what is not there; 410 says that something was. */
function endsRootChain(error: unknown): error is GantryError<'http/missing'> {
  return isGantryError(error, 'http/missing') && error.details.status !== 410;
}

/** tuf-js has accepted them; our parser is stricter, and what it cannot read is not used. */
async function trustedRoles(session: Session): Promise<TrustedRoles> {
  const problems: string[] = [];
  const { root, timestamp, snapshot, targets } = await session.read((problem) => problems.push(problem));
  if (root === undefined || timestamp === undefined || snapshot === undefined || targets === undefined) {
    const role = root === undefined ? 'root' : timestamp === undefined ? 'timestamp' : snapshot === undefined ? 'snapshot' : 'targets';
    throw new GantryError('client/untrusted', `Cannot use the repository, although it is signed: ${problems.join('; ')}`, { role });
  }
  return {
    root: readSignedRole(root, 'root'),
    timestamp: readSignedRole(timestamp, 'timestamp'),
    snapshot: readSignedRole(snapshot, 'snapshot'),
    targets: readSignedRole(targets, 'targets'),
  };
}

/**
 * Metadata from the network, for tuf-js: limits, deadlines, and the difference between *missing* and *failed*.
 *
 * Rules:
 * - a length that is signed is the limit, and no signed length is above ours;
 * - only *missing* ends the root chain; a root that was accepted in an earlier session is not asked for again;
 * - one visit walks 256 roots of the server's; the next one goes on from there.
 */
import type { Fetcher } from 'tuf-js';
import { DownloadHTTPError } from 'tuf-js/dist/error.js';
import { isGantryError, type GantryError } from '../errors.ts';
import type { Mirror, Mirrors } from './mirrors.ts';
import type { Session } from './state.ts';
import { ROLE_MAX_BYTES } from './state.ts';

/** The last file that was asked for, and what came of it. */
export interface FetchedFile {
  file?: string;
  bytes?: Uint8Array;
  error?: unknown;
  /** The version of a root that came from our own directory, not from the server. */
  storedRoot?: number;
  /** Who sent it. */
  mirror?: Mirror;
}

/** What one refresh, or one look-up, shares with the fetcher. */
export interface Visit {
  signal?: AbortSignal | undefined;
  received?: FetchedFile;
  fetchedRoots: number;
}

interface FetcherOptions {
  readonly mirrors: Mirrors;
  readonly onNotice: (notice: string) => void;
}

/** Roots of the server's in one visit (TUF 1.0.34 §5.3 leaves the number to the client). */
const ROOT_STEPS = 256;

/**
 * The caps of every client (tuf-interop rule 19); the snapshot's is tough's, the smallest. The number of roots is ours to count:
 * every refresh walks from the trust anchor, stored roots first.
 */
export const LIMITS: Readonly<
  Record<`${'root' | 'timestamp' | 'snapshot' | 'targets'}MaxLength` | 'maxRootRotations' | 'maxDelegations', number>
> = {
  rootMaxLength: 512_000,
  timestampMaxLength: 16_384,
  snapshotMaxLength: 1 << 20,
  targetsMaxLength: 5_000_000,
  maxRootRotations: Number.MAX_SAFE_INTEGER,
  maxDelegations: 32,
};
const ROOT_FILE = /^([1-9][0-9]*)\.root\.json$/u;

export function createFetcher(session: Session, { mirrors, onNotice }: FetcherOptions, visit: Visit): Fetcher {
  const fetchBytes = async (file: string, maxLength: number, absence: 'expected' | 'failure'): Promise<Uint8Array> => {
    const { signal, received } = visit;
    const request = { maxBytes: Math.min(maxLength, ROLE_MAX_BYTES), absence, ...(signal === undefined ? {} : { signal }) };
    const { bytes, mirror } = await mirrors.fetchMetadata(file, request);
    if (received !== undefined) received.mirror = mirror;
    return bytes;
  };
  const fetchRoot = async (file: string, maxLength: number, version: number, received: FetchedFile): Promise<Uint8Array> => {
    const stored = await session.storedRoot(version);
    if (stored !== undefined) {
      received.storedRoot = version;
      return stored;
    }
    if (visit.fetchedRoots >= ROOT_STEPS) {
      onNotice(`The root chain goes on beyond version ${version - 1}: ${ROOT_STEPS} steps are one refresh, the next one continues`);
      throw endOfRoots();
    }
    try {
      const bytes = await fetchBytes(file, maxLength, 'expected');
      visit.fetchedRoots += 1;
      return bytes;
    } catch (error) {
      if (!endsRootChain(error)) throw error;
      if (error.details.status !== 404) onNotice(`${error.message}; taken as the end of the root chain, although only 404 says so`);
      throw endOfRoots();
    }
  };
  return {
    async downloadBytes(url, maxLength) {
      const file = url.slice(url.lastIndexOf('/') + 1);
      const version = ROOT_FILE.exec(file)?.[1];
      const received: FetchedFile = forgetting(visit, file);
      try {
        received.bytes =
          version === undefined
            ? await fetchBytes(file, maxLength, 'failure')
            : await fetchRoot(file, maxLength, Number(version), received);
        return Buffer.from(received.bytes);
      } catch (error) {
        if (!(error instanceof DownloadHTTPError)) received.error = error;
        throw error;
      }
    },
    // Targets are ours (design D1), so tuf-js never asks for one.
    downloadFile: async () => Promise.reject(new TypeError('targets are not downloaded by tuf-js')),
  };
}

function forgetting(visit: Visit, file: string): FetchedFile {
  const received = visit.received ?? {};
  for (const member of ['bytes', 'error', 'storedRoot', 'mirror'] as const) delete received[member];
  visit.received = Object.assign(received, { file });
  return received;
}

/** The error by which tuf-js recognises the last root. */
function endOfRoots(): DownloadHTTPError {
  return new DownloadHTTPError('no newer root', 404);
}

/** A store behind a CDN may say 403 for what is not there; 410 says that something was. */
function endsRootChain(error: unknown): error is GantryError<'http/missing'> {
  return isGantryError(error, 'http/missing') && error.details.status !== 410;
}

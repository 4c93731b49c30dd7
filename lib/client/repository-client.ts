/** The host's side of a repository: what is trusted, what is on offer, and verified bytes. */
import { GantryError, isGantryError, quote } from '../errors.ts';
import { printableUrl } from '../http/failures.ts';
import type { HttpClient, HttpOptions, Traffic } from '../http/request.ts';
import { checkManifestLength, parseManifest, type Manifest, type Update } from '../release/manifest.ts';
import { availableUpdates, type HostDescription } from '../release/select.ts';
import type { TopRoleName } from '../tuf/types.ts';
import { toleranceOf, type ExpiredRole } from './aged-media.ts';
import { readTrustAnchor } from './anchor.ts';
import type { RollbackStore } from './rollback.ts';
import { Mirrors } from './mirrors.ts';
import { openClientState, type ClientState } from './state.ts';
import { verifiedTarget, type VerifiedTarget } from './target.ts';
import type { TelemetryOptions } from './telemetry.ts';
import { sourceOf, type MirrorUrls } from './transports.ts';
import { refreshTrust, type Trusted } from './trust.ts';
import { downloadTarget, type DownloadOptions, type DownloadReport } from './download.ts';
import { manifestBytes } from './kept-manifest.ts';
import type { StreamOptions, TargetSource } from './receive.ts';
import { checkTargets, verifiedImageStream, verifiedStream } from './verified-stream.ts';

const MANIFEST = 'manifest.json';

/** What a host brings: a root that it trusts, where the repository is, and a place to remember what was trusted. */
export interface OpenOptions extends HttpOptions {
  /** Any `N.root.json` that is trusted, as bytes or as the path of a file: all that a host must bring. */
  readonly root: Uint8Array | string | URL;
  /** The folder of `timestamp.json`: a URL, or a folder of this machine as a `file:` URL or a path that starts with `/`, `./` or `../`. */
  readonly metadataUrl: URL | string;
  /** `../../targets/` from the metadata by default. */
  readonly targetsUrl?: URL | string;
  /** Other places of the same repository, to be asked when the first one fails, in this order. */
  readonly mirrors?: readonly MirrorUrls[];
  /** What this host tells about itself; nothing by default. */
  readonly telemetry?: TelemetryOptions;
  /** A directory of this repository's own; what was trusted before is remembered there. */
  readonly stateDirectory: string;
  /** A place that an attacker who clears the state directory cannot reset; trusted versions are kept there too. */
  readonly rollbackStore?: RollbackStore;
  /** This machine's clock by default. No time before the last refresh that succeeded is believed. */
  readonly now?: () => Date;
  /** Where bytes come from; by default a server or a folder, as the URLs say. */
  readonly transport?: HttpClient;
}

/** A repository in one file that `gantry bundle create` wrote. */
export interface BundleOptions extends Pick<OpenOptions, 'root' | 'stateDirectory' | 'rollbackStore' | 'now'> {
  /** The path of the file. */
  readonly bundle: string;
  /**
   * How long ago its metadata may have expired, in milliseconds; 0 by default. What is accepted so is named in the notices, and is never
   * older than what was trusted before.
   */
  readonly acceptExpiredMs?: number;
}

/** Every call that may take long ends at once, with the code `aborted`, when its signal fires. */
export interface AbortOptions {
  readonly signal?: AbortSignal;
}

/** What is trusted of a role. */
export interface RoleSummary {
  readonly version: number;
  /** As it was signed. */
  readonly expires: string;
}

/** A repository as one host sees it. Not for use by two calls of `refresh` at once; two clients on one state directory wait for each other. */
export interface RepositoryClient {
  readonly traffic: Traffic;
  /** What was discarded or taken with a warning, in sentences. */
  readonly notices: readonly string[];
  /**
   * The trust decision. Everything else needs it once.
   *
   * @throws GantryError `client/untrusted`, `client/expired`, `client/rollback`, `http/…`, `files/…`, `aborted`
   */
  refresh(options?: AbortOptions): Promise<void>;
  /** Versions and dates of what is trusted. */
  roles(): Readonly<Record<TopRoleName, RoleSummary>>;
  /** What was accepted although it has expired: of a bundle, when that was asked for; delegated roles once they were looked at. */
  expired(): readonly ExpiredRole[];
  /** What the top-level role lists. Names that no file can have are left out, with a notice. */
  targets(): readonly VerifiedTarget[];
  /** What `target()` finds, delegated roles included; all of them are fetched for it. @throws GantryError like `target` */
  allTargets(options?: AbortOptions): Promise<readonly VerifiedTarget[]>;
  /**
   * Looks it up as the TUF specification says: in the top-level role, then in the roles to which its path is delegated. Those are
   * fetched when they are not there yet.
   *
   * @throws GantryError `client/target-unknown`, `client/untrusted`, `client/expired`, `http/…`, `files/…`, `aborted`
   */
  target(path: string, options?: AbortOptions): Promise<VerifiedTarget>;
  /** Fetched when it is another one than was kept. @throws GantryError `client/no-manifest`, `release/bad-manifest`, `client/target-altered`, `http/…` */
  manifest(options?: AbortOptions): Promise<Manifest>;
  /** Newest first; by the waves and the clock that `openRepository` was given. */
  availableUpdates(host: HostDescription, options?: AbortOptions): Promise<Update[]>;
  /**
   * The published bytes; every chunk was authenticated before it came out. Nothing is fetched before it is read, or read ahead of its
   * reader by more than a few frames; cancelling it, or leaving a loop over it, closes the connection. Node's `pipeline()` takes it as
   * it is, `Readable.fromWeb()` makes a stream of Node's of it.
   *
   * Errors of the stream: GantryError `client/…`, `http/…`, `image/…`, `files/…`, `aborted`
   */
  verifiedStream(target: VerifiedTarget, options?: StreamOptions): ReadableStream<Uint8Array>;
  /** The same for the decompressed image; a stream that ends without an error was right to its last byte. */
  verifiedImageStream(target: VerifiedTarget, options?: StreamOptions): ReadableStream<Uint8Array>;
  /**
   * Fetches these one after the other and compares them, compressed and decompressed, with everything that is signed.
   *
   * @param options progress counts the bytes of all
   * @returns how many bytes these were
   */
  check(targets: readonly VerifiedTarget[], options?: StreamOptions): Promise<number>;
  /**
   * Writes it to a file, which appears only when all of it was right, or into a slot or device. What was interrupted is gone on with
   * by the next call, in this process or another (docs/downloads.md).
   *
   * @throws GantryError `client/…`, `http/…`, `image/…`, `files/…`, `aborted`
   */
  download(target: VerifiedTarget, file: string, options?: DownloadOptions): Promise<DownloadReport>;
  /** Lets go of its connections. */
  close(): void;
  /** `close()`, at the end of the block of `using client = await openRepository(…)`. */
  [Symbol.dispose](): void;
}

/** See `openRepository`. */
export async function openClient(options: OpenOptions | BundleOptions): Promise<RepositoryClient> {
  const acceptExpiredMs = toleranceOf(options);
  const anchor = await readTrustAnchor(options.root);
  const { places, http } = await sourceOf(options);
  const notices: string[] = [];
  const state = await openClientState(options.stateDirectory, anchor, (notice) => notices.push(notice));
  const { rollbackStore, now = () => new Date() } = options;
  return new Client({
    state,
    http,
    mirrors: new Mirrors(places, { ...options, http, onNotice: (notice) => notices.push(notice) }),
    metadataUrl: places[0].metadataUrl,
    notices,
    now,
    acceptExpiredMs,
    ...(rollbackStore === undefined ? {} : { rollbackStore }),
  });
}

interface Parts {
  readonly state: ClientState;
  readonly http: HttpClient;
  readonly mirrors: Mirrors;
  /** Of the first mirror: what the repository is called in errors. */
  readonly metadataUrl: URL;
  readonly notices: string[];
  readonly now: () => Date;
  readonly acceptExpiredMs: number;
  readonly rollbackStore?: RollbackStore;
}

class Client implements RepositoryClient, TargetSource {
  readonly #parts: Parts;
  #trusted: Trusted | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get traffic(): Traffic {
    return this.#parts.http.traffic;
  }

  get notices(): readonly string[] {
    return this.#parts.notices;
  }

  get mirrors(): Mirrors {
    return this.#parts.mirrors;
  }

  get stateDirectory(): string {
    return this.#parts.state.directory;
  }

  async refresh({ signal }: AbortOptions = {}): Promise<void> {
    const { state, notices, ...options } = this.#parts;
    this.#trusted = await refreshTrust(state, { ...options, onNotice: (notice) => notices.push(notice) }, signal);
  }

  roles(): Readonly<Record<TopRoleName, RoleSummary>> {
    const { root, timestamp, snapshot, targets } = this.#needTrusted().roles;
    const summary = ({ version, expires }: RoleSummary): RoleSummary => ({ version, expires });
    return { root: summary(root), timestamp: summary(timestamp), snapshot: summary(snapshot), targets: summary(targets) };
  }

  expired(): readonly ExpiredRole[] {
    return this.#needTrusted().expired;
  }

  targets(): readonly VerifiedTarget[] {
    const { targets } = this.#needTrusted().roles.targets;
    return Object.values(targets).flatMap((file) => this.#usable(() => verifiedTarget(file)));
  }

  async allTargets({ signal }: AbortOptions = {}): Promise<readonly VerifiedTarget[]> {
    const found = await this.#needTrusted().findAll(signal);
    return found.flatMap((file) => this.#usable(() => verifiedTarget(file)));
  }

  async target(path: string, { signal }: AbortOptions = {}): Promise<VerifiedTarget> {
    const trusted = this.#needTrusted();
    const file = await trusted.find(path, signal);
    if (file !== undefined) return verifiedTarget(file);
    const { targets, delegations } = trusted.roles.targets;
    const listed = `${Object.keys(targets).length} targets${delegations === undefined ? '' : ', or one of a role that it delegates to'}`;
    throw new GantryError(
      'client/target-unknown',
      `Cannot find the target ${quote(path)}: the signed metadata does not name it; expected one of its ${listed}`,
      { path },
    );
  }

  async manifest({ signal }: AbortOptions = {}): Promise<Manifest> {
    // A role that is delegated to does not say what hosts run (design D2).
    const { targets } = this.#needTrusted().roles.targets;
    const file = Object.hasOwn(targets, MANIFEST) ? targets[MANIFEST] : undefined;
    if (file === undefined) {
      const url = printableUrl(this.#parts.metadataUrl);
      throw new GantryError('client/no-manifest', `Cannot look for updates at ${url}: the repository has no ${MANIFEST}`, { url });
    }
    const target = verifiedTarget(file);
    checkManifestLength(target.lengthBytes);
    return parseManifest(await manifestBytes(this, target, signal === undefined ? {} : { signal }));
  }

  async availableUpdates(host: HostDescription, options: AbortOptions = {}): Promise<Update[]> {
    return availableUpdates(await this.manifest(options), host, this.#parts.now());
  }

  verifiedStream(target: VerifiedTarget, options: StreamOptions = {}): ReadableStream<Uint8Array> {
    return ReadableStream.from(verifiedStream(this, target, options));
  }

  verifiedImageStream(target: VerifiedTarget, options: StreamOptions = {}): ReadableStream<Uint8Array> {
    return ReadableStream.from(verifiedImageStream(this, target, options));
  }

  async check(targets: readonly VerifiedTarget[], options: StreamOptions = {}): Promise<number> {
    return checkTargets(this, targets, options);
  }

  async download(target: VerifiedTarget, file: string, options: DownloadOptions = {}): Promise<DownloadReport> {
    return downloadTarget(this, target, file, options);
  }

  notice(text: string): void {
    this.#parts.notices.push(text);
  }

  close(): void {
    this.#parts.http.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What is signed and cannot be used is left out of a list, and said once. */
  #usable(make: () => VerifiedTarget): readonly VerifiedTarget[] {
    try {
      return [make()];
    } catch (error) {
      if (!isGantryError(error)) throw error;
      const { notices } = this.#parts;
      if (!notices.includes(error.message)) notices.push(error.message);
      return [];
    }
  }

  #needTrusted(): Trusted {
    if (this.#trusted === undefined) throw new TypeError('refresh the repository before you ask it for anything');
    return this.#trusted;
  }
}

/**
 * The client library: verify a repository and stream its images. It loads nothing of signing, publishing or any store.
 *
 * @module gantry-tuf/client
 */
export { GantryError, isGantryError, type ErrorCode, type ErrorDetails, type LintFinding, type MissingSignatures } from '../errors.ts';
export type { DownloadOptions, DownloadReport } from './download.ts';
export type { FetchOptions, HttpClient, HttpOptions, RangeAnswer, RangeOptions, Traffic } from '../http/request.ts';
export { readyAt, scheduleOf, updateReady, type WaveRule, type WaveSchedule } from '../release/eligibility.ts';
export type { Images, Manifest, Update, UpdateExtras } from '../release/manifest.ts';
export { isOffered } from '../release/rollout.ts';
export type { HostDescription } from '../release/select.ts';
export { openRepository } from './open.ts';
export type { AbortOptions, BundleOptions, OpenOptions, RepositoryClient, RoleSummary } from './repository-client.ts';
export type { ExpiredRole } from './aged-media.ts';
export type { MirrorUrls } from './transports.ts';
export type { RollbackStore } from './rollback.ts';
export type { TargetDigest, VerifiedTarget } from './target.ts';
export type { TelemetryOptions } from './telemetry.ts';
export type { StreamOptions } from './receive.ts';
export type { TargetPath } from '../tuf/target-path.ts';
export type { JsonObject, JsonValue, Sha256Hex, Sha512Hex, TopRoleName } from '../tuf/types.ts';

/**
 * What S3 says when it does not do what it was asked, in the words of a store.
 *
 * Rules:
 * - a refused condition is a conflict; a missing object is missing; a denied one is never "missing";
 * - only an answer that names a missing object says so: a 404 of a web server does not;
 * - an answer that did not arrive is an unknown outcome (`store/failed`): whoever wrote must look, and never guess;
 * - names and statuses are told, requests and credentials are not.
 */
import { describeFailedCall, isCredentialProblem, isRegionMissing } from '../../aws/answers.ts';
import { abortedBy, GantryError, isGantryError, quote } from '../../errors.ts';
import { permissionFor } from './permissions.ts';

export interface Attempt {
  /** The object, or the bucket where no object is meant. */
  readonly path: string;
  /** S3's name of the call: `PutObject`. */
  readonly call: string;
  readonly store: string;
  /** As it is configured; absent for AWS. */
  readonly endpoint: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

const MISSING = new Set(['NoSuchKey', 'NotFound']);

/** A page of a listing says that more follows, and not where, or nowhere new: what is missing of it must not be taken for absent. */
export class CutListing extends Error {}

const VERBS: Readonly<Record<string, string>> = {
  GetObject: 'read',
  HeadObject: 'look up',
  PutObject: 'write',
  CreateMultipartUpload: 'write',
  UploadPart: 'write',
  CompleteMultipartUpload: 'write',
  ListObjectsV2: 'list',
  ListMultipartUploads: 'list the unfinished uploads of',
  AbortMultipartUpload: 'remove the unfinished upload of',
  DeleteObject: 'remove',
};

/** True when a condition of a write was not met. An If-Match on what is not there is answered with "no such key". */
export function isRefusedCondition(error: unknown): boolean {
  const { name, status } = describeFailedCall(error);
  return status === 412 || name === 'PreconditionFailed' || name === 'ConditionalRequestConflict' || MISSING.has(name);
}

export function isMissing(error: unknown): boolean {
  return MISSING.has(describeFailedCall(error).name);
}

/** True when the upload that a call belongs to was ended by somebody else, or holds somebody else's part. */
export function isUploadGone(error: unknown): boolean {
  const { name } = describeFailedCall(isGantryError(error, 'store/failed') ? error.cause : error);
  return name === 'NoSuchUpload' || name === 'InvalidPart';
}

/** True for an answer that says no to this request; a HEAD's is without the words that say why. */
export function isRefusal(error: unknown): boolean {
  const { status } = describeFailedCall(error);
  return status !== undefined && status >= 400 && status < 500;
}

/** @returns a GantryError of the family `store`, or `aborted` */
export function storeFailure(error: unknown, attempt: Attempt): GantryError {
  if (error instanceof GantryError) return error;
  if (attempt.signal?.aborted === true) return abortedBy(attempt.signal);
  const { path, call, store, endpoint = 'AWS' } = attempt;
  const { name, status, code } = describeFailedCall(error);
  const cannot = `Cannot ${VERBS[call] ?? call} ${quote(path)} in ${quote(store)}`;
  const cause = { cause: error };
  if (isMissing(error)) return new GantryError('store/missing', `${cannot}: it is not in the store`, { path }, cause);
  if (isNotS3(error)) return notS3(attempt, cause);
  const configured = misconfigured(error, cannot, attempt);
  if (configured !== undefined) return configured;
  if (status === 403) {
    const needed = permissionFor(call);
    const expected = needed === undefined ? '' : `; expected credentials that have ${needed}`;
    return new GantryError('store/denied', `${cannot}: ${call} was denied${expected}`, { path }, cause);
  }
  if (error instanceof CutListing) {
    const problem = `the listing of ${endpoint} breaks off and does not say where it goes on; expected all of it`;
    return new GantryError('store/failed', `${cannot}: ${problem}`, { path, call }, cause);
  }
  const what = status === undefined ? `no answer from ${endpoint} (${code})` : `${endpoint} answered with status ${status}, ${name}`;
  return new GantryError('store/failed', `${cannot}: ${what}`, { path, call }, cause);
}

/** The answer came from something else, such as a web site or the console of a server. */
export function notS3({ path, call, store, endpoint = 'AWS' }: Attempt, cause: { readonly cause?: unknown } = {}): GantryError {
  const cannot = `Cannot ${VERBS[call] ?? call} ${quote(path)} in ${quote(store)}`;
  return new GantryError(
    'store/not-s3',
    `${cannot}: what answers at ${endpoint} does not speak S3; expected the address of an S3 server`,
    { location: endpoint },
    cause,
  );
}

/** The SDK could not read the answer; S3's own errors have the names that S3 gives them. A 5xx may be a proxy's. */
function isNotS3(error: unknown): boolean {
  const { name, status } = describeFailedCall(error);
  return status !== undefined && status < 500 && (name === 'Error' || name === 'SyntaxError');
}

function misconfigured(error: unknown, cannot: string, { path, store }: Attempt): GantryError | undefined {
  const { name, status } = describeFailedCall(error);
  const cause = { cause: error };
  if (name === 'NoSuchBucket') {
    return new GantryError('store/no-bucket', `${cannot}: there is no such bucket; expected one that exists`, { location: store }, cause);
  }
  if (name === 'RequestTimeTooSkewed') {
    return new GantryError(
      'store/clock',
      `${cannot}: the clock of this machine is too far from the server's; expected it within 15 minutes`,
      { path },
      cause,
    );
  }
  if (isCredentialProblem(error)) {
    return new GantryError(
      'store/credentials',
      `${cannot}: the credentials are not accepted (${name}); expected ones that are valid now`,
      { path },
      cause,
    );
  }
  const isElsewhere = name === 'PermanentRedirect' || name === 'AuthorizationHeaderMalformed' || status === 301;
  if (isElsewhere || isRegionMissing(error)) {
    const what = isElsewhere ? `the bucket is in another region (${name}); expected its own region` : 'no region is set; expected one';
    return new GantryError('store/region', `${cannot}: ${what}`, { location: store }, cause);
  }
  return undefined;
}

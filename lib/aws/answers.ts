/**
 * What the AWS SDK throws, told apart: for every service alike.
 *
 * Rules: names and statuses are taken, and nothing else. A message of a service may quote the request that it refuses, credentials
 * included, so it is looked into for what went wrong and never shown.
 */

/** What is known of a call that failed. */
export interface FailedCall {
  /** The service's name of the error: `AccessDeniedException`. */
  readonly name: string;
  /** Absent when there was no answer. */
  readonly status: number | undefined;
  /** Of the system where there is one (`ECONNREFUSED`), otherwise the name. */
  readonly code: string;
  /** How often it was made. */
  readonly attempts: number;
}

const CREDENTIALS: ReadonlySet<string> = new Set([
  'CredentialsProviderError',
  'ExpiredToken',
  'ExpiredTokenException',
  'IncompleteSignature',
  'IncompleteSignatureException',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidSignatureException',
  'InvalidToken',
  'MissingAuthenticationToken',
  'MissingAuthenticationTokenException',
  'SignatureDoesNotMatch',
  'TokenProviderError',
  'TokenRefreshRequired',
  'UnrecognizedClientException',
]);

export function describeFailedCall(error: unknown): FailedCall {
  if (!(error instanceof Error)) return { name: 'unknown', status: undefined, code: 'it failed', attempts: 1 };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  // The proof: every member is looked at before it counts.
  const metadata = ('$metadata' in error ? (error.$metadata ?? {}) : {}) as {
    readonly httpStatusCode?: unknown;
    readonly attempts?: unknown;
  };
  const { httpStatusCode: status, attempts } = metadata;
  return {
    name: error.name,
    status: typeof status === 'number' ? status : undefined,
    code,
    attempts: typeof attempts === 'number' ? attempts : 1,
  };
}

/** True when there are no credentials, or none that are accepted; what they may do is another question. */
export function isCredentialProblem(error: unknown): boolean {
  return CREDENTIALS.has(describeFailedCall(error).name);
}

/** True when the SDK found no region in its settings, the environment and the profile. */
export function isRegionMissing(error: unknown): boolean {
  return error instanceof Error && error.message === 'Region is missing';
}

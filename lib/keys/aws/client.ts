/**
 * What the clients of AWS's services are set up with, and what they say when they do not do what they were asked, in the words of keys.
 *
 * Rules:
 * - profile, region, endpoint and credentials are found as the AWS SDK finds them, in the environment and the files of the process;
 * - retries and time limits are the SDK's: five tries with back-off and jitter, each with an end;
 * - a denied call, credentials that are not accepted and a service that does not answer have a code each: all else is about the key.
 */
import { describeFailedCall, isCredentialProblem, isRegionMissing } from '../../aws/answers.ts';
import { GantryError, named, quote } from '../../errors.ts';
import { signerFailed } from '../reference.ts';

const MAX_ATTEMPTS = 5;
const CONNECT_MS = 5000;
const REQUEST_MS = 15_000;

/** The library prints nothing, and neither does what it calls. */
const quiet = (): void => undefined;
const SILENCE: Readonly<Record<'trace' | 'debug' | 'info' | 'warn' | 'error', () => void>> = {
  trace: quiet,
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: quiet,
};

interface ClientSettings {
  readonly maxAttempts: number;
  readonly requestHandler: { readonly connectionTimeout: number; readonly requestTimeout: number; readonly throwOnRequestTimeout: true };
  readonly logger: typeof SILENCE;
  readonly profile?: string;
  readonly region?: string;
}

/** @param region where something names it that is nearer than the environment */
export function clientSettings({ profile, region }: { readonly profile?: string; readonly region?: string | undefined }): ClientSettings {
  return {
    maxAttempts: MAX_ATTEMPTS,
    requestHandler: { connectionTimeout: CONNECT_MS, requestTimeout: REQUEST_MS, throwOnRequestTimeout: true },
    logger: SILENCE,
    ...(profile === undefined ? {} : { profile }),
    ...(region === undefined ? {} : { region }),
  };
}

export interface AwsCall {
  /** What a person calls the key. */
  readonly name: string;
  /** `AWS KMS` */
  readonly service: string;
  /** As IAM writes what it permits: `kms:Sign`. */
  readonly action: string;
  readonly profile?: string | undefined;
  readonly region: () => Promise<string>;
  /** Where a region may come from, for whoever has set none. */
  readonly regionFrom: string;
  /** What the service's own errors say about a key, by their names; a text ends with what should be. */
  readonly about: (error: { readonly name: string; readonly message: string; readonly region: string }) => string | undefined;
}

/** Runs a call and tells what went wrong in our words. @throws GantryError `keys/…` */
export async function attempt<T>(call: AwsCall, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw await callFailure(error, call);
  }
}

async function callFailure(error: unknown, call: AwsCall): Promise<GantryError> {
  if (error instanceof GantryError) return error;
  const { name, service, action } = call;
  const cause = { cause: error };
  const cannot = `Cannot use the key ${quote(name)}`;
  const { name: said, status, code, attempts } = describeFailedCall(error);
  const message = error instanceof Error ? error.message : '';
  if (isCredentialProblem(error)) {
    return new GantryError('keys/credentials', `${cannot}: ${credentialProblem(said, message, call.profile)}`, { name }, cause);
  }
  if (isRegionMissing(error)) {
    return signerFailed(name, `no region is set; expected ${call.regionFrom}`, error);
  }
  if (message.startsWith('Region not accepted')) {
    return signerFailed(name, 'the region that is set is none; expected one like eu-west-1', error);
  }
  const known = call.about({ name: said, message, region: await regionIn(call) });
  if (known !== undefined) return signerFailed(name, known, error);
  if (said === 'AccessDeniedException' || status === 403) {
    const denied = /\bnot authorized to perform: ([a-z-]+:[A-Za-z]+)/u.exec(message)?.[1] ?? action;
    return new GantryError(
      'keys/denied',
      `${cannot}: ${denied} was denied; expected credentials that have it for this key`,
      { name, action: denied },
      cause,
    );
  }
  if (status !== undefined && status >= 400 && status < 500 && !isBusy(error)) {
    return signerFailed(name, `${service} answered with status ${status}, ${named(said)}; expected it to do ${action}`, error);
  }
  const answer =
    status === undefined ? `no answer from ${service} (${named(code)})` : `${service} answered with status ${status}, ${named(said)}`;
  return new GantryError(
    'keys/no-answer',
    `${cannot}: ${answer}${attempts > 1 ? `, in ${attempts} tries` : ''}; expected one that says yes or no`,
    { name, action },
    cause,
  );
}

async function regionIn({ region }: AwsCall): Promise<string> {
  try {
    return await region();
  } catch {
    // What is wrong with it is in the error that is being told.
    return 'this region';
  }
}

function credentialProblem(said: string, message: string, profile: string | undefined): string {
  const whose = profile === undefined ? '' : ` of the profile ${quote(profile)}`;
  if (said.startsWith('ExpiredToken') || (said === 'CredentialsProviderError' && /expired/iu.test(message))) {
    return `the AWS credentials${whose} have expired; expected ones that are valid now`;
  }
  if (/^Signature (?:expired|not yet current)/u.test(message)) {
    return "the clock of this machine is too far from AWS's; expected it within 5 minutes";
  }
  if (said === 'CredentialsProviderError')
    return `no AWS credentials${whose} were found; expected a profile, variables or a role that has some`;
  return `the AWS credentials${whose} are not accepted (${named(said)}); expected ones that are valid now`;
}

/** The SDK marks what it may try again because there was too much. */
function isBusy(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { name } = error;
  return (
    /Throttl|TooManyRequests|LimitExceeded|RequestLimit|SlowDown/u.test(name) ||
    ('$metadata' in error && describeFailedCall(error).status === 429)
  );
}

/** What can go wrong with a request, in our codes and words; user, password and query of a URL never appear. */
import { GantryError, named, quote } from '../errors.ts';

const URL_LENGTH = 300;
const MISSING = new Set([403, 404, 410]);
/** The other side was there, and then the connection broke. */
const BROKEN = /^(?:ECONNRESET|EPIPE|HPE_.*)$/u;

/** What OpenSSL and Node call what is wrong with a certificate. */
const CERTIFICATE_PROBLEMS: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'has expired'],
  ['CERT_NOT_YET_VALID', 'is not valid yet'],
  ['CERT_REVOKED', 'was revoked'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'is signed by itself'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'comes from an authority that this machine does not know'],
  ['UNABLE_TO_GET_ISSUER_CERT', 'comes from an authority that this machine does not know'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'comes from an authority that this machine does not know'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'comes without the certificates between it and an authority that this machine knows'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'is for another name'],
]);

/** The URL without user, password and query. */
export function printableUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`.slice(0, URL_LENGTH);
}

export function statusError(url: URL, status: number): GantryError {
  const shown = printableUrl(url);
  return MISSING.has(status)
    ? new GantryError('http/missing', `Cannot fetch ${shown}: the server says that it is missing (${status})`, { url: shown, status })
    : new GantryError('http/status', `Cannot fetch ${shown}: the server answered ${status}; expected 200`, { url: shown, status });
}

/** No answer began: nobody is there, or somebody who does not speak HTTP to its end. */
export function noAnswer(url: URL, cause: Error): GantryError {
  const code = 'code' in cause ? String(cause.code) : cause.message;
  const problem = CERTIFICATE_PROBLEMS.get(code);
  if (problem !== undefined) return badCertificate(url, problem, cause);
  if (BROKEN.test(code)) return interrupted(url, 0, cause);
  return new GantryError('http/unreachable', `Cannot reach ${url.origin}: ${code}`, { url: printableUrl(url) }, { cause });
}

function badCertificate(url: URL, problem: string, cause: Error): GantryError {
  return new GantryError(
    'http/certificate',
    `Cannot reach ${url.origin}: its certificate ${problem}; expected a valid one for ${named(url.hostname)}, from an authority that this machine knows`,
    { url: printableUrl(url), problem },
    { cause },
  );
}

export function interrupted(url: URL, receivedBytes: number, cause: unknown): GantryError {
  return new GantryError(
    'http/interrupted',
    `Cannot fetch ${printableUrl(url)}: the connection broke off after ${receivedBytes} bytes`,
    { url: printableUrl(url), receivedBytes },
    { cause },
  );
}

export function stalled(url: URL, idleMs: number): GantryError {
  const shown = printableUrl(url);
  return new GantryError('http/stalled', `Cannot fetch ${shown}: no byte came for ${idleMs / 1000} s`, { url: shown, idleMs });
}

export function tooSlow(url: URL, idleMs: number, came: number, expected: number): GantryError {
  const shown = printableUrl(url);
  return new GantryError(
    'http/stalled',
    `Cannot fetch ${shown}: only ${came} bytes came in ${idleMs / 1000} s; expected at least ${expected}`,
    { url: shown, idleMs },
  );
}

export function tooLong(url: URL, maxBytes: number): GantryError {
  const shown = printableUrl(url);
  return new GantryError('http/too-long', `Cannot fetch ${shown}: the answer has more than ${maxBytes} bytes; expected at most that`, {
    url: shown,
    maxBytes,
  });
}

export function tooShort(url: URL, expectedBytes: number, receivedBytes: number): GantryError {
  const shown = printableUrl(url);
  return new GantryError('http/too-short', `Cannot fetch ${shown}: the answer has ${receivedBytes} bytes; expected ${expectedBytes}`, {
    url: shown,
    expectedBytes,
    receivedBytes,
  });
}

export function encoded(url: URL, encoding: string): GantryError {
  const shown = printableUrl(url);
  return new GantryError(
    'http/encoded',
    `Cannot use ${shown}: the server sent it encoded as ${quote(encoding)}; expected the bytes as they are`,
    { url: shown, encoding },
  );
}

export function badScheme(url: URL): GantryError {
  const shown = printableUrl(url);
  return new GantryError('http/bad-url', `Cannot fetch ${quote(shown)}: its scheme is ${url.protocol}; expected http: or https:`, {
    url: shown,
  });
}

/** @param to undefined when the location is not a URL */
export function redirected(from: URL, to: URL | undefined, location: string): GantryError {
  const where = to === undefined ? quote(location) : printableUrl(to);
  return new GantryError(
    'http/redirected',
    `Cannot fetch ${printableUrl(from)}: the server sends us to ${where}; expected an answer, or a redirect within ${from.origin}`,
    { url: printableUrl(from), location: where },
  );
}

export function aborted(signal: AbortSignal | undefined): GantryError {
  return new GantryError('aborted', 'Cannot go on: the download was cancelled', {}, { cause: signal?.reason });
}

/** What can go wrong with a request, in our codes and words; user, password and query of a URL never appear. */
import { maxHeaderSize } from 'node:http';
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

/** What a look-up fails with when a server sends us to a name that leads to an address of our own network. */
export class PrivateAddressError extends Error {
  readonly address: string;

  constructor(address: string) {
    super(`leads to ${address}`);
    this.address = address;
  }
}

/** A proxy made no tunnel; the message says why, and holds nothing of its user and password. */
export class ProxyError extends Error {
  /** What it answered, if it did. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

/** The URL without user, password and query. */
export function printableUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`.slice(0, URL_LENGTH);
}

/** @param retryAfterMs when the server would like to be asked again */
export function statusError(url: URL, status: number, retryAfterMs?: number): GantryError {
  const shown = printableUrl(url);
  const details = { url: shown, status, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  return MISSING.has(status)
    ? new GantryError('http/missing', `Cannot fetch ${shown}: the server says that it is missing (${status})`, { url: shown, status })
    : new GantryError('http/status', `Cannot fetch ${shown}: the server answered ${status}; expected 200`, details);
}

/**
 * No answer began: nobody is there, or somebody who does not speak HTTP to its end.
 *
 * @param proxy who was asked in the place of the server
 */
export function noAnswer(url: URL, cause: Error, proxy?: URL): GantryError {
  const code = 'code' in cause ? String(cause.code) : cause.message;
  if (cause instanceof PrivateAddressError) return privateRedirect(url, cause.address);
  if (cause instanceof ProxyError && proxy !== undefined) return proxyFailure(url, proxy, cause.message, cause.status);
  if (code === 'HPE_HEADER_OVERFLOW') return longHeader(url, cause);
  const problem = CERTIFICATE_PROBLEMS.get(code);
  if (problem !== undefined) return badCertificate(url, problem, cause);
  if (BROKEN.test(code)) return interrupted(url, 0, cause);
  if (proxy !== undefined) return proxyFailure(url, proxy, code);
  return new GantryError('http/unreachable', `Cannot reach ${url.origin}: ${code}`, { url: printableUrl(url) }, { cause });
}

export function proxyFailure(url: URL, proxy: URL, problem: string, status?: number): GantryError {
  const shown = printableUrl(proxy);
  return new GantryError('http/proxy', `Cannot reach ${url.origin} through the proxy ${proxy.origin}: ${problem}; expected a connection`, {
    url: printableUrl(url),
    proxy: shown,
    ...(status === undefined ? {} : { status }),
  });
}

function longHeader(url: URL, cause: Error): GantryError {
  const shown = printableUrl(url);
  return new GantryError(
    'http/too-long',
    `Cannot fetch ${shown}: the header of the answer has more than ${maxHeaderSize} bytes; expected at most that`,
    { url: shown, maxBytes: maxHeaderSize },
    { cause },
  );
}

/** A server sent us to an address that only we can reach. */
export function privateRedirect(url: URL, address: string): GantryError {
  const shown = printableUrl(url);
  return new GantryError(
    'http/redirected',
    `Cannot follow a redirect to ${shown}: it leads to ${quote(address)}; expected an address of the public internet`,
    { url: shown, location: shown },
  );
}

/** @param setting the option or the variable of the environment */
export function badSetting(setting: string, message: string, cause?: unknown): GantryError {
  return new GantryError('http/bad-setting', message, { setting }, { cause });
}

/** The answer to a question for a part is no such part. */
export function badRange(url: URL, asked: string, found: string): GantryError {
  const shown = printableUrl(url);
  return new GantryError('http/range', `Cannot fetch a part of ${shown}: the server sent ${found}; expected ${asked}`, {
    url: shown,
    asked,
    found,
  });
}

/** @param found undefined when the answer does not say which file it is of */
export function changed(url: URL, expected: string, found: string | undefined): GantryError {
  const shown = printableUrl(url);
  const is = found === undefined ? 'without an ETag' : `of a file with the ETag ${quote(found)}`;
  return new GantryError('http/changed', `Cannot go on with ${shown}: the server sent a part ${is}; expected ${quote(expected)}`, {
    url: shown,
    expected,
    ...(found === undefined ? {} : { found }),
  });
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
export function redirected(from: URL, to: URL | undefined, location: string, expected: string): GantryError {
  const where = to === undefined ? quote(location) : printableUrl(to);
  return new GantryError(
    'http/redirected',
    `Cannot fetch ${printableUrl(from)}: the server sends us to ${where}; expected an answer, or ${expected}`,
    { url: printableUrl(from), location: where },
  );
}

export function aborted(signal: AbortSignal | undefined): GantryError {
  return new GantryError('aborted', 'Cannot go on: the download was cancelled', {}, { cause: signal?.reason });
}

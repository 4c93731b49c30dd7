/**
 * Bounded HTTP requests: the one place that talks HTTP.
 *
 * Rules:
 * - every answer has a limit in bytes and a deadline on progress, not on total time;
 * - *missing* (404, 403, 410) and *failed* are different answers;
 * - a redirect is followed only within its origin; bytes that were encoded on the way are refused;
 * - on refusal the connection is closed, not only forgotten;
 * - credentials in a URL never reach an error text.
 */
import { Agent as HttpAgent, get as httpGet, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, get as httpsGet } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { GantryError, isGantryError } from '../errors.ts';

export interface HttpOptions {
  /** No byte for so long ends a request. 30 s by default. */
  readonly idleTimeoutMs?: number;
  /** Tries of a request that failed before its first byte; 3 by default. */
  readonly tries?: number;
  readonly userAgent?: string;
}

export interface FetchOptions {
  /** More is refused as soon as it comes. */
  readonly maxBytes: number;
  /** When the exact length is signed. */
  readonly expectedBytes?: number;
  readonly signal?: AbortSignal;
}

/** What went over the wire so far, metadata and targets alike. */
export interface Traffic {
  readonly requests: number;
  readonly bytesReceived: number;
}

export interface HttpClient {
  readonly traffic: Traffic;
  /** @throws GantryError `http/…`, `aborted` */
  fetchBytes(url: URL, options: FetchOptions): Promise<Uint8Array>;
  /** The body, to be consumed once; ending early closes the connection. @throws GantryError `http/…`, `aborted` */
  fetchStream(url: URL, options: FetchOptions): AsyncGenerator<Uint8Array, void, undefined>;
  close(): void;
}

const DEFAULTS = { idleTimeoutMs: 30_000, tries: 3, userAgent: 'gantry' };
const MAX_REDIRECTS = 3;
const RETRY_BASE_MS = 200;
const MISSING = new Set([403, 404, 410]);

interface Connection {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
  readonly idleTimeoutMs: number;
  readonly userAgent: string;
}

export function createHttpClient(options: HttpOptions = {}): HttpClient {
  const { tries = DEFAULTS.tries } = options;
  const connection: Connection = {
    http: new HttpAgent({ keepAlive: true }),
    https: new HttpsAgent({ keepAlive: true }),
    idleTimeoutMs: options.idleTimeoutMs ?? DEFAULTS.idleTimeoutMs,
    userAgent: options.userAgent ?? DEFAULTS.userAgent,
  };
  const traffic = { requests: 0, bytesReceived: 0 };
  const send = async (url: URL, fetch: FetchOptions): Promise<IncomingMessage> => {
    traffic.requests += 1;
    return open(connection, url, fetch);
  };
  const read = (response: IncomingMessage, url: URL, fetch: FetchOptions): AsyncGenerator<Uint8Array, void, undefined> =>
    bounded(response, url, fetch, connection.idleTimeoutMs, traffic);
  return {
    traffic,
    async *fetchStream(url, fetch) {
      yield* read(await withRetries(tries, fetch.signal, async () => send(url, fetch)), url, fetch);
    },
    async fetchBytes(url, fetch) {
      // A small answer that broke off is asked for again as a whole.
      return withRetries(tries, fetch.signal, async () => {
        const chunks: Uint8Array[] = [];
        for await (const chunk of read(await send(url, fetch), url, fetch)) chunks.push(chunk);
        return Buffer.concat(chunks);
      });
    },
    close() {
      connection.http.destroy();
      connection.https.destroy();
    },
  };
}

/** Tries again what may pass: refused connections, 5xx, broken answers. */
async function withRetries<T>(tries: number, signal: AbortSignal | undefined, attempt: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (tried >= tries || !mayPass(error)) throw error;
    }
    await delay(Math.random() * RETRY_BASE_MS * 2 ** tried, undefined, signal === undefined ? {} : { signal }).catch(() => {
      throw aborted(signal);
    });
  }
}

function mayPass(error: unknown): boolean {
  return (
    isGantryError(error, 'http/unreachable') ||
    isGantryError(error, 'http/interrupted') ||
    (isGantryError(error, 'http/status') && error.details.status >= 500)
  );
}

async function open(connection: Connection, url: URL, options: FetchOptions): Promise<IncomingMessage> {
  let current = url;
  for (let redirects = 0; ; redirects += 1) {
    const response = await request(connection, current, options.signal);
    const status = response.statusCode ?? 0;
    if (status === 200) return checked(response, url, options);
    response.destroy();
    if (status < 300 || status >= 400 || status === 304) throw statusError(url, status);
    current = redirectOf(response, current, redirects);
  }
}

async function request(connection: Connection, url: URL, signal: AbortSignal | undefined): Promise<IncomingMessage> {
  const secure = url.protocol === 'https:';
  if (!secure && url.protocol !== 'http:') {
    throw new GantryError('http/bad-url', `Cannot fetch ${printable(url)}: its scheme is ${url.protocol}; expected http: or https:`, {
      url: printable(url),
    });
  }
  return new Promise((resolve, reject) => {
    const settings = {
      agent: secure ? connection.https : connection.http,
      headers: { 'accept-encoding': 'identity', 'user-agent': connection.userAgent },
      ...(signal === undefined ? {} : { signal }),
    };
    const sent = secure ? httpsGet(url, settings, resolve) : httpGet(url, settings, resolve);
    sent.setTimeout(connection.idleTimeoutMs, () => sent.destroy(stalled(url, connection.idleTimeoutMs)));
    sent.once('error', (error) => {
      if (signal?.aborted === true) reject(aborted(signal));
      else if (error instanceof GantryError) reject(error);
      else reject(unreachable(url, error));
    });
  });
}

function checked(response: IncomingMessage, url: URL, options: FetchOptions): IncomingMessage {
  const encoding = response.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity' && encoding !== 'aws-chunked') {
    response.destroy();
    throw new GantryError(
      'http/encoded',
      `Cannot use ${printable(url)}: the server sent it encoded as ${JSON.stringify(encoding)}; expected the bytes as they are`,
      {
        url: printable(url),
        encoding,
      },
    );
  }
  const stated = Number(response.headers['content-length'] ?? Number.NaN);
  if (stated > options.maxBytes) {
    response.destroy();
    throw tooLong(url, options.maxBytes);
  }
  if (options.expectedBytes !== undefined && stated < options.expectedBytes) {
    response.destroy();
    throw tooShort(url, options.expectedBytes, stated);
  }
  return response;
}

function redirectOf(response: IncomingMessage, from: URL, redirects: number): URL {
  const location = response.headers.location ?? '';
  const to = URL.canParse(location, from) ? new URL(location, from) : undefined;
  if (to !== undefined && to.origin === from.origin && redirects < MAX_REDIRECTS) return to;
  const where = to === undefined ? JSON.stringify(location.slice(0, 120)) : printable(to);
  throw new GantryError(
    'http/redirected',
    `Cannot fetch ${printable(from)}: the server sends us to ${where}; expected an answer, or a redirect within ${from.origin}`,
    {
      url: printable(from),
      location: where,
    },
  );
}

async function* bounded(
  response: IncomingMessage,
  url: URL,
  options: FetchOptions,
  idleTimeoutMs: number,
  traffic: { bytesReceived: number },
): AsyncGenerator<Uint8Array, void, undefined> {
  const { maxBytes, expectedBytes, signal } = options;
  let received = 0;
  // The socket's own timeout goes on counting while nobody reads, which would punish a slow disk; this one counts waiting only.
  response.socket.setTimeout(0);
  const chunks: AsyncIterator<Buffer> = response[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await inTime(chunks.next(), idleTimeoutMs, () => response.destroy(stalled(url, idleTimeoutMs)));
      if (next.done === true) break;
      received += next.value.length;
      traffic.bytesReceived += next.value.length;
      if (received > maxBytes) throw tooLong(url, maxBytes);
      yield next.value;
    }
  } catch (error) {
    if (signal?.aborted === true) throw aborted(signal);
    if (error instanceof GantryError) throw error;
    throw new GantryError(
      'http/interrupted',
      `Cannot fetch ${printable(url)}: the connection broke off after ${received} bytes`,
      { url: printable(url), receivedBytes: received },
      { cause: error },
    );
  } finally {
    if (!response.complete || received > maxBytes) response.destroy();
  }
  if (expectedBytes !== undefined && received < expectedBytes) throw tooShort(url, expectedBytes, received);
}

async function inTime<T>(work: Promise<T>, ms: number, onLate: () => void): Promise<T> {
  const timer = setTimeout(onLate, ms);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

/** The URL without user, password and query. */
function printable(url: URL): string {
  return `${url.origin}${url.pathname}`.slice(0, 300);
}

function statusError(url: URL, status: number): GantryError {
  const shown = printable(url);
  return MISSING.has(status)
    ? new GantryError('http/missing', `Cannot fetch ${shown}: the server says that it is missing (${status})`, { url: shown, status })
    : new GantryError('http/status', `Cannot fetch ${shown}: the server answered ${status}; expected 200`, { url: shown, status });
}

function unreachable(url: URL, cause: Error): GantryError {
  const code = 'code' in cause ? String(cause.code) : cause.message;
  return new GantryError('http/unreachable', `Cannot reach ${url.origin}: ${code}`, { url: printable(url) }, { cause });
}

function stalled(url: URL, idleMs: number): GantryError {
  return new GantryError('http/stalled', `Cannot fetch ${printable(url)}: no byte came for ${idleMs / 1000} s`, {
    url: printable(url),
    idleMs,
  });
}

function tooLong(url: URL, maxBytes: number): GantryError {
  return new GantryError(
    'http/too-long',
    `Cannot fetch ${printable(url)}: the answer has more than ${maxBytes} bytes; expected at most that`,
    {
      url: printable(url),
      maxBytes,
    },
  );
}

function tooShort(url: URL, expectedBytes: number, receivedBytes: number): GantryError {
  return new GantryError(
    'http/too-short',
    `Cannot fetch ${printable(url)}: the answer has ${receivedBytes} bytes; expected ${expectedBytes}`,
    {
      url: printable(url),
      expectedBytes,
      receivedBytes,
    },
  );
}

function aborted(signal: AbortSignal | undefined): GantryError {
  return new GantryError('aborted', 'Cannot go on: the download was cancelled', {}, { cause: signal?.reason });
}

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
import { Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { isGantryError, type GantryError } from '../errors.ts';
import { readBody } from './body.ts';
import { aborted, encoded, redirected, statusError, tooLong, tooShort } from './failures.ts';
import { sendGet } from './send.ts';

export interface HttpOptions {
  /** How long an answer, or the next bytes of it, may take, in milliseconds; less than 512 bytes a second counts as none. 30 s by default. */
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

interface Connection {
  readonly agents: { readonly http: HttpAgent; readonly https: HttpsAgent };
  readonly idleTimeoutMs: number;
  readonly userAgent: string;
  readonly traffic: { requests: number; bytesReceived: number };
}

export function createHttpClient(options: HttpOptions = {}): HttpClient {
  const { tries = DEFAULTS.tries } = options;
  const connection: Connection = {
    agents: { http: new HttpAgent({ keepAlive: true }), https: new HttpsAgent({ keepAlive: true }) },
    idleTimeoutMs: options.idleTimeoutMs ?? DEFAULTS.idleTimeoutMs,
    userAgent: options.userAgent ?? DEFAULTS.userAgent,
    traffic: { requests: 0, bytesReceived: 0 },
  };
  return {
    traffic: connection.traffic,
    async *fetchStream(url, fetch) {
      const response = await withRetries(tries, fetch.signal, async () => open(connection, url, fetch));
      yield* counted(connection, response, url, fetch);
    },
    async fetchBytes(url, fetch) {
      // A small answer that broke off is asked for again as a whole.
      return withRetries(tries, fetch.signal, async () => {
        const chunks: Uint8Array[] = [];
        for await (const chunk of counted(connection, await open(connection, url, fetch), url, fetch)) chunks.push(chunk);
        return Buffer.concat(chunks);
      });
    },
    close() {
      connection.agents.http.destroy();
      connection.agents.https.destroy();
    },
  };
}

async function* counted(
  { traffic, idleTimeoutMs }: Connection,
  response: IncomingMessage,
  url: URL,
  options: FetchOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of readBody(response, url, options, idleTimeoutMs)) {
    traffic.bytesReceived += chunk.length;
    yield chunk;
  }
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
  const { traffic, agents, userAgent, idleTimeoutMs } = connection;
  traffic.requests += 1;
  return sendGet(url, { agents, headers: { 'accept-encoding': 'identity', 'user-agent': userAgent }, idleTimeoutMs, signal });
}

function checked(response: IncomingMessage, url: URL, options: FetchOptions): IncomingMessage {
  const refusal = refusalOf(response, url, options);
  if (refusal === undefined) return response;
  response.destroy();
  throw refusal;
}

/** What the header alone gives away. */
function refusalOf({ headers }: IncomingMessage, url: URL, { maxBytes, expectedBytes }: FetchOptions): GantryError | undefined {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity' && encoding !== 'aws-chunked') return encoded(url, encoding);
  const stated = Number(headers['content-length'] ?? Number.NaN);
  if (stated > maxBytes) return tooLong(url, maxBytes);
  if (expectedBytes !== undefined && stated < expectedBytes) return tooShort(url, expectedBytes, stated);
  return undefined;
}

function redirectOf(response: IncomingMessage, from: URL, redirects: number): URL {
  const location = response.headers.location ?? '';
  const to = URL.canParse(location, from) ? new URL(location, from) : undefined;
  if (to?.origin !== from.origin || redirects >= MAX_REDIRECTS) throw redirected(from, to, location);
  // The same server, so the same credentials.
  to.username = from.username;
  to.password = from.password;
  return to;
}

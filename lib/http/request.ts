/**
 * Bounded HTTP requests: the one place that talks HTTP.
 *
 * Rules:
 * - every answer has a limit in bytes and a deadline on progress, not on total time;
 * - *missing* (404, 403, 410) and *failed* are different answers;
 * - a redirect is followed within its origin; to another host only when that is allowed, and then only to a public address, never
 *   from https to http, and without our credentials;
 * - bytes that were encoded on the way are refused;
 * - on refusal the connection is closed, not only forgotten;
 * - credentials in a URL never reach an error text.
 */
import type { IncomingMessage } from 'node:http';
import type { GantryError } from '../errors.ts';
import { readBody } from './body.ts';
import { badRange, encoded, redirected, statusError, tooLong, tooShort } from './failures.ts';
import { freeAsItIsParsed, freeMemory } from './memory.ts';
import { createPatience, DEFAULT_PATIENCE_MS, retryAfterMs, type Patience, type PatienceOptions } from './patience.ts';
import { withoutCredentials } from './proxy.ts';
import { isWhole, partRefusal, rangeHeaders, strongEtag, type ByteRange } from './ranges.ts';
import { createRoutes, type RouteOptions, type Routes } from './routes.ts';
import { sendGet } from './send.ts';

/** How servers are talked to: patience, proxies, authorities, redirects. */
export interface HttpOptions extends RouteOptions {
  /** How long an answer, or the next bytes of it, may take, in milliseconds; less than 512 bytes a second counts as none. 30 s by default. */
  readonly idleTimeoutMs?: number;
  /** How long to try again without any progress, in milliseconds; 0 is one try. A minute by default. */
  readonly patienceMs?: number;
  /** Told before each new try. */
  readonly onRetry?: NonNullable<PatienceOptions['onRetry']>;
  readonly userAgent?: string;
  /** `same-origin` by default; `any-host` also follows to public addresses of other hosts, as some CDNs want it. */
  readonly redirects?: 'same-origin' | 'any-host';
}

/** The limits of one request. */
export interface FetchOptions {
  /** More is refused as soon as it comes. */
  readonly maxBytes: number;
  /** When the exact length is signed. */
  readonly expectedBytes?: number;
  readonly signal?: AbortSignal;
  /** `patient` by default; `once` for who has another server to ask. */
  readonly tries?: 'once' | 'patient';
}

/** One part of a file. */
export interface RangeOptions extends ByteRange, Pick<FetchOptions, 'signal' | 'tries'> {}

/** The header of an answer, and the bytes that follow. */
export interface RangeAnswer {
  /** `whole` when the server sends the file from its beginning although a part was asked for: it knows no ranges, or the ETag is another. */
  readonly kind: 'asked' | 'whole';
  /** To be asked for again with; never to be compared with another server's. */
  readonly etag?: string;
  /** Exactly as many bytes as were asked for, or as the whole file has; to be consumed once. @throws GantryError `http/…`, `aborted` */
  readonly body: AsyncGenerator<Uint8Array, void, undefined>;
  /** Closes the connection of a body that nobody reads. */
  cancel(): void;
}

/** What went over the wire so far, metadata and targets alike. */
export interface Traffic {
  readonly requests: number;
  readonly bytesReceived: number;
}

/** Where published bytes come from: a server as a rule, and whatever else can stand for one. */
export interface HttpClient {
  readonly traffic: Traffic;
  /** @throws GantryError `http/…`, `aborted` */
  fetchBytes(url: URL, options: FetchOptions): Promise<Uint8Array>;
  /** The body, to be consumed once; ending early closes the connection. @throws GantryError `http/…`, `aborted` */
  fetchStream(url: URL, options: FetchOptions): AsyncGenerator<Uint8Array, void, undefined>;
  /** One part of a file whose length is known. @throws GantryError `http/range`, `http/changed`, `http/…`, `aborted` */
  fetchRange(url: URL, options: RangeOptions): Promise<RangeAnswer>;
  /** Takes back the memory of a chunk of `fetchRange` at once; it is empty then. Who keeps its chunks has no such method. */
  release?(chunk: Uint8Array): void;
  /** Lets go of its connections. */
  close(): void;
}

const DEFAULTS = { idleTimeoutMs: 30_000, userAgent: 'gantry' };
const MAX_REDIRECTS = 3;
const PARTIAL = 206;
const NOT_SATISFIABLE = 416;

interface Connection {
  readonly routes: Routes;
  readonly idleTimeoutMs: number;
  readonly userAgent: string;
  readonly redirects: NonNullable<HttpOptions['redirects']>;
  readonly traffic: { requests: number; bytesReceived: number };
}

interface Question {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** @throws GantryError `http/bad-setting` */
export function createHttpClient(options: HttpOptions = {}): HttpClient {
  const connection: Connection = {
    routes: createRoutes(options),
    idleTimeoutMs: options.idleTimeoutMs ?? DEFAULTS.idleTimeoutMs,
    userAgent: options.userAgent ?? DEFAULTS.userAgent,
    redirects: options.redirects ?? 'same-origin',
    traffic: { requests: 0, bytesReceived: 0 },
  };
  const contact = { made: false };
  const patienceFor = ({ tries = 'patient', signal }: Pick<FetchOptions, 'signal' | 'tries'>): Patience => {
    const patienceMs = tries === 'once' ? 0 : (options.patienceMs ?? DEFAULT_PATIENCE_MS);
    return createPatience({ patienceMs, signal, onRetry: options.onRetry, contact });
  };
  return {
    traffic: connection.traffic,
    async *fetchStream(url, fetch) {
      const response = await persist(patienceFor(fetch), async () => openWhole(connection, url, fetch));
      contact.made = true;
      yield* counted(connection, response, url, fetch);
    },
    async fetchBytes(url, fetch) {
      // A small answer that broke off is asked for again as a whole.
      const bytes = await persist(patienceFor(fetch), async () => {
        const chunks: Uint8Array[] = [];
        for await (const chunk of counted(connection, await openWhole(connection, url, fetch), url, fetch)) chunks.push(chunk);
        return Buffer.concat(chunks);
      });
      contact.made = true;
      return bytes;
    },
    async fetchRange(url, range) {
      checkRange(range);
      const answer = await persist(patienceFor(range), async () => openRange(connection, url, range));
      contact.made = true;
      return answer;
    },
    release: freeMemory,
    close() {
      connection.routes.close();
    },
  };
}

/** Tries again what may pass: refused connections, 5xx, broken answers. */
async function persist<T>(patience: Patience, attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      await patience.wait(error);
    }
  }
}

function counted(
  { traffic, idleTimeoutMs }: Connection,
  response: IncomingMessage,
  url: URL,
  options: FetchOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const onBytes = (bytes: number): void => {
    traffic.bytesReceived += bytes;
  };
  return readBody(response, url, options, { idleTimeoutMs, onBytes });
}

async function openWhole(connection: Connection, url: URL, options: FetchOptions): Promise<IncomingMessage> {
  const response = await open(connection, url, { signal: options.signal });
  return response.statusCode === 200 ? checked(response, bodyRefusal(response, url, options)) : refuse(response, statusOf(response, url));
}

async function openRange(connection: Connection, url: URL, range: RangeOptions): Promise<RangeAnswer> {
  const { signal, length, totalBytes } = range;
  const response = await open(connection, url, { headers: rangeHeaders(range), signal });
  const isPart = response.statusCode === PARTIAL && !isWhole(range);
  if (!isPart && response.statusCode !== 200) refuse(response, rangeFailure(response, url, range));
  const expectedBytes = isPart ? length : totalBytes;
  const limits = { maxBytes: expectedBytes, expectedBytes, ...(signal === undefined ? {} : { signal }) };
  checked(response, (isPart ? partRefusal(url, response.headers, range) : undefined) ?? bodyRefusal(response, url, limits));
  const etag = strongEtag(response.headers);
  freeAsItIsParsed(response);
  return {
    kind: isPart || isWhole(range) ? 'asked' : 'whole',
    ...(etag === undefined ? {} : { etag }),
    body: counted(connection, response, url, limits),
    cancel: () => void response.destroy(),
  };
}

function rangeFailure(response: IncomingMessage, url: URL, { offset, length, totalBytes }: ByteRange): GantryError {
  if (response.statusCode !== NOT_SATISFIABLE) return statusOf(response, url);
  const last = offset + length - 1;
  return badRange(url, `"bytes ${offset}-${last}/${totalBytes}"`, 'that it has no such part (416)');
}

function checkRange({ offset, length, totalBytes }: ByteRange): void {
  const isInside = [offset, length, totalBytes].every(Number.isSafeInteger) && offset >= 0 && length > 0 && offset + length <= totalBytes;
  if (!isInside && !(offset === 0 && length === 0 && totalBytes === 0)) {
    throw new RangeError(`no part of ${totalBytes} bytes begins at ${offset} and has ${length}`);
  }
}

/** Up to an answer that is no redirect. */
async function open(connection: Connection, url: URL, question: Question): Promise<IncomingMessage> {
  let current = url;
  for (let redirects = 0; ; redirects += 1) {
    const response = await request(connection, current, current.origin === url.origin ? 'us' : 'server', question);
    const status = response.statusCode ?? 0;
    if (status < 300 || status >= 400 || status === 304) return response;
    response.destroy();
    current = redirectOf(response, { from: current, first: url, redirects, policy: connection.redirects });
  }
}

async function request(
  { traffic, routes, userAgent, idleTimeoutMs }: Connection,
  url: URL,
  namedBy: 'us' | 'server',
  { headers, signal }: Question,
): Promise<IncomingMessage> {
  const route = routes.to(url, namedBy);
  traffic.requests += 1;
  return sendGet(url, { route, headers: { 'accept-encoding': 'identity', 'user-agent': userAgent, ...headers }, idleTimeoutMs, signal });
}

function statusOf(response: IncomingMessage, url: URL): GantryError {
  return statusError(url, response.statusCode ?? 0, retryAfterMs(response.headers['retry-after'], Date.now()));
}

function checked(response: IncomingMessage, refusal: GantryError | undefined): IncomingMessage {
  return refusal === undefined ? response : refuse(response, refusal);
}

function refuse(response: IncomingMessage, refusal: GantryError): never {
  response.destroy();
  throw refusal;
}

/** What the header alone gives away. */
function bodyRefusal({ headers }: IncomingMessage, url: URL, { maxBytes, expectedBytes }: FetchOptions): GantryError | undefined {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity' && encoding !== 'aws-chunked') return encoded(url, encoding);
  const stated = Number(headers['content-length'] ?? Number.NaN);
  if (stated > maxBytes) return tooLong(url, maxBytes);
  if (expectedBytes !== undefined && stated < expectedBytes) return tooShort(url, expectedBytes, stated);
  return undefined;
}

interface Hop {
  readonly from: URL;
  /** Where we were told to ask: its credentials are for its origin only. */
  readonly first: URL;
  readonly redirects: number;
  readonly policy: NonNullable<HttpOptions['redirects']>;
}

function redirectOf(response: IncomingMessage, { from, first, redirects, policy }: Hop): URL {
  const location = response.headers.location ?? '';
  const to = URL.canParse(location, from) ? new URL(location, from) : undefined;
  const isNear = to?.origin === first.origin && from.origin === first.origin;
  const isFar = policy === 'any-host' && (to?.protocol === from.protocol || to?.protocol === 'https:');
  if (to === undefined || !(isNear || isFar) || redirects >= MAX_REDIRECTS) {
    const expected = policy === 'any-host' ? 'a few redirects to https: or the same scheme' : `a redirect within ${from.origin}`;
    throw redirected(from, to, location, expected);
  }
  const next = withoutCredentials(to);
  // The same server, so the same credentials.
  if (isNear) Object.assign(next, { username: first.username, password: first.password });
  return next;
}

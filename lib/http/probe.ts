/**
 * One question to a server and its answer as it came: what somebody looks at who examines the server, not what it serves.
 *
 * Rules:
 * - every question has a connection of its own, so that it may meet another machine behind the same name;
 * - no redirect is followed, no status is an error, nothing is decoded;
 * - no proxy is asked: it is the server that is examined;
 * - the body is read up to a limit, then the connection is closed; a body that breaks off is an answer too.
 */
import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { LookupFunction } from 'node:net';
import { TLSSocket } from 'node:tls';
import { isGantryError } from '../errors.ts';
import { readBody } from './body.ts';
import { sendGet } from './send.ts';

export interface ProbeOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** The body is read to here. */
  readonly maxBytes: number;
  /** `any` goes on where a certificate is not trusted; `verified` by default. */
  readonly certificate?: 'verified' | 'any';
  /** PEM, as `checkedAuthorities` gives it: the only authorities whose certificates are trusted. */
  readonly ca?: string;
  /** Which of the addresses of the host is tried first, modulo how many there are. 0 by default. */
  readonly address?: number;
  readonly idleTimeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ProbedAnswer {
  readonly url: URL;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
  /** `cut` at `maxBytes` by us; `broken` off before its end by the server. */
  readonly end: 'whole' | 'cut' | 'broken';
  /** Who answered. */
  readonly address: string;
  readonly certificateExpires?: Date;
  /** This machine's clock around the header of the answer, in milliseconds since 1970. */
  readonly askedMs: number;
  readonly answeredMs: number;
}

const IDLE_MS = 30_000;

/** @throws GantryError `http/bad-url`, `http/unreachable`, `http/certificate`, `http/interrupted`, `http/stalled`, `aborted` */
export async function probe(url: URL, options: ProbeOptions): Promise<ProbedAnswer> {
  const { idleTimeoutMs = IDLE_MS, signal, address = 0 } = options;
  const askedMs = Date.now();
  const response = await sendGet(url, {
    route: { agent: false, lookup: lookupFrom(address) },
    headers: { 'accept-encoding': 'identity', 'user-agent': 'gantry doctor', ...options.headers },
    idleTimeoutMs,
    signal,
    tls: { rejectUnauthorized: options.certificate !== 'any', ...(options.ca === undefined ? {} : { ca: options.ca }) },
  });
  const answeredMs = Date.now();
  const { socket } = response;
  // What a closed socket forgets.
  const seen = { address: socket.remoteAddress ?? '', ...certificateOf(socket) };
  const body = await bodyOf(response, url, options.maxBytes, idleTimeoutMs, signal);
  return { url, status: response.statusCode ?? 0, headers: response.headers, ...body, ...seen, askedMs, answeredMs };
}

function certificateOf(socket: unknown): { readonly certificateExpires?: Date } {
  if (!(socket instanceof TLSSocket)) return {};
  const expires = new Date(socket.getPeerCertificate().valid_to);
  return Number.isNaN(expires.getTime()) ? {} : { certificateExpires: expires };
}

async function bodyOf(
  response: IncomingMessage,
  url: URL,
  maxBytes: number,
  idleTimeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Pick<ProbedAnswer, 'body' | 'end'>> {
  const chunks: Uint8Array[] = [];
  let received = 0;
  const limits = { maxBytes: Number.POSITIVE_INFINITY, ...(signal === undefined ? {} : { signal }) };
  const bodySoFar = (): Uint8Array => Buffer.concat(chunks).subarray(0, maxBytes);
  try {
    for await (const chunk of readBody(response, url, limits, { idleTimeoutMs, onBytes: () => undefined })) {
      chunks.push(chunk);
      received += chunk.length;
      if (received > maxBytes) return { body: bodySoFar(), end: 'cut' };
    }
  } catch (error) {
    if (!isGantryError(error, 'http/interrupted')) throw error;
    return { body: bodySoFar(), end: 'broken' };
  }
  return { body: bodySoFar(), end: 'whole' };
}

/** The addresses of a name, beginning with another one: a resolver gives the same order again and again. */
export function rotate<T>(items: readonly T[], first: number): readonly T[] {
  const at = items.length === 0 ? 0 : first % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

function lookupFrom(first: number): LookupFunction {
  return (hostname: string, options: LookupOptions, callback) => {
    dnsLookup(hostname, { ...options, all: true }, (error, found: readonly LookupAddress[]) => {
      const addresses = error === null ? rotate(found, first) : [];
      const [chosen] = addresses;
      if (options.all === true || chosen === undefined) callback(error, [...addresses]);
      else callback(error, chosen.address, chosen.family);
    });
  };
}

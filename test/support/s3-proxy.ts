/**
 * A proxy in front of a real S3 server that lies: it strips conditions, fails before or after a request took effect, serves what was
 * there before, hides part of a listing, or denies what is missing.
 *
 * Requests pass as they are, signature included: the server checks the `Host` that the client has signed. What has to be changed is
 * sent anew with the server's own credentials.
 */
import { once } from 'node:events';
import { createServer, request as send, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { Cleanup } from './engineer.ts';
import type { S3Server } from './s3-server.ts';

export interface Asked {
  readonly method: string;
  /** The key, without the bucket. */
  readonly key: string;
  readonly query: URLSearchParams;
  /** How often this method and key were asked for, this time included. */
  readonly time: number;
}

export type Lie =
  /** Tells the truth. */
  | { readonly kind: 'none' }
  /** Sends a write of a whole object on without its conditions. */
  | { readonly kind: 'unconditional' }
  /** Answers with this status and code; the request goes on first, or never. */
  | { readonly kind: 'error'; readonly status: number; readonly code: string; readonly effect: 'before' | 'never' }
  /** The request takes effect, and the connection breaks instead of an answer. */
  | { readonly kind: 'no answer' }
  /** What was answered to the first request of this kind. */
  | { readonly kind: 'stale' }
  /** The answer, changed. */
  | { readonly kind: 'changed'; readonly change: (answer: Answer) => Answer };

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export const TRUTH: Lie = { kind: 'none' };

/** Strips `If-Match` and `If-None-Match`, as servers do that do not know them. */
export function withoutConditions({ method }: Asked): Lie {
  return method === 'PUT' ? { kind: 'unconditional' } : TRUTH;
}

export function errorAnswer(status: number, code: string): Answer {
  const body = Buffer.from(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>so it says</Message></Error>`);
  return { status, headers: { 'content-type': 'application/xml', 'content-length': String(body.length) }, body };
}

/** @returns the endpoint to use instead of the server's */
export async function startS3Proxy(t: Cleanup, server: S3Server, lieTo: (asked: Asked) => Lie): Promise<string> {
  const times = new Map<string, number>();
  const first = new Map<string, Answer>();
  const answerTo = async (request: IncomingMessage, body: Buffer): Promise<Answer | undefined> => {
    const asked = describe(request, times);
    const lie = lieTo(asked);
    const name = `${asked.method} ${asked.key}`;
    if (lie.kind === 'error' && lie.effect === 'never') return errorAnswer(lie.status, lie.code);
    const stale = lie.kind === 'stale' ? first.get(name) : undefined;
    if (stale !== undefined) return stale;
    const isSentAnew = lie.kind === 'unconditional' && isConditional(request);
    const answer = isSentAnew ? await sendAnew(server, request, asked, body) : await forward(server.endpoint, request, body);
    if (!first.has(name)) first.set(name, answer);
    if (lie.kind === 'error') return errorAnswer(lie.status, lie.code);
    if (lie.kind === 'no answer') return undefined;
    return lie.kind === 'changed' ? lie.change(answer) : answer;
  };
  const proxy = createServer((request, response) => {
    void read(request)
      .then(async (body) => answerTo(request, body))
      .then((answer) => reply(response, answer))
      .catch(() => response.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.after(async () => {
    proxy.close();
    proxy.closeAllConnections();
    await once(proxy, 'close');
  });
  // Proof: it listens on a TCP port, so its address is not a pipe's name.
  const { port } = proxy.address() as AddressInfo;
  return `http://127.0.0.1:${port}`;
}

function describe({ method = 'GET', url = '/' }: IncomingMessage, times: Map<string, number>): Asked {
  const { pathname, searchParams } = new URL(url, 'http://proxy');
  const key = decodeURIComponent(pathname).split('/').slice(2).join('/');
  const time = (times.get(`${method} ${key}`) ?? 0) + 1;
  times.set(`${method} ${key}`, time);
  return { method, key, query: searchParams, time };
}

function isConditional({ headers }: IncomingMessage): boolean {
  return headers['if-match'] !== undefined || headers['if-none-match'] !== undefined;
}

async function read(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function forward(endpoint: string, { method = 'GET', url = '/', headers }: IncomingMessage, body: Buffer): Promise<Answer> {
  const { hostname, port } = new URL(endpoint);
  // The body is whole by now: whoever asked the client to wait for a 100 has had it.
  const { expect: _, ...passed } = headers;
  const onward = send({ hostname, port, method, path: url, headers: passed });
  onward.end(body);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  onward.once('response', resolve);
  onward.once('error', reject);
  const response = await promise;
  const bytes = await read(response);
  return { status: response.statusCode ?? 502, headers: response.headers, body: bytes };
}

async function sendAnew({ client }: S3Server, { url = '/', headers }: IncomingMessage, { key }: Asked, body: Buffer): Promise<Answer> {
  const Bucket = decodeURIComponent(new URL(url, 'http://proxy').pathname.split('/')[1] ?? '');
  const { ETag } = await client.send(
    new PutObjectCommand({
      Bucket,
      Key: key,
      Body: body,
      CacheControl: headers['cache-control'],
      ContentType: headers['content-type'],
      Metadata: { sha256: String(headers['x-amz-meta-sha256']) },
    }),
  );
  return { status: 200, headers: { etag: ETag }, body: Buffer.alloc(0) };
}

function reply(response: ServerResponse, answer: Answer | undefined): void {
  if (answer === undefined) {
    response.destroy();
    return;
  }
  // Bytes go out as a whole, and so does their length; that of a HEAD is the object's.
  const { 'transfer-encoding': _, connection: __, ...headers } = answer.headers;
  response.writeHead(answer.status, headers);
  response.end(answer.body);
}

/**
 * A static server for a directory store: what a CDN's origin does, on a laptop.
 *
 * Rules (tuf-interop rule 17):
 * - what is not there is 404, never an error page with 200;
 * - query strings are ignored, bytes are never transformed, ranges are served;
 * - `N.ROLE.json` and `targets/` are immutable, what else there is is revalidated;
 * - an ETag tells two files with the same size and date apart, or a host would be told that a new `timestamp.json` is its old one;
 * - nothing outside the directory, no dot file and no symbolic link is ever served.
 */
import { createServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Stats } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { AddressInfo } from 'node:net';
import send from 'send';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { parseStorePath } from '../store/path.ts';

export interface StaticServerOptions {
  readonly directory: string;
  /** 127.0.0.1 by default. */
  readonly host?: string;
  /** 0, the default, takes a free one. */
  readonly port?: number;
  /** How long `close` waits for downloads under way, in milliseconds; 3000 by default. */
  readonly graceMs?: number;
  /** Told of every answer once it has ended. */
  readonly onRequest?: (request: ServedRequest) => void;
}

export interface ServedRequest {
  readonly method: string;
  /** As it was asked for, query string included. */
  readonly url: string;
  readonly status: number;
  readonly bytesSent: number;
  readonly durationMs: number;
}

export interface StaticServer {
  readonly url: URL;
  readonly host: string;
  readonly port: number;
  /** How many requests came so far, refused ones included. */
  requests(): number;
  /** Takes no new requests and waits for downloads under way, for `graceMs` at most. */
  close(): Promise<void>;
}

const YEAR_SECONDS = 365 * 24 * 3600;
const GRACE_MS = 3000;
const CANNOT_LISTEN: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program uses that port',
  EACCES: 'this user may not use that port',
  EADDRNOTAVAIL: 'this machine does not have that address',
  ENOTFOUND: 'there is no such address',
  EAI_AGAIN: 'there is no such address',
};

/** @throws GantryError `server/port-in-use`, `server/not-a-store` */
export async function startStaticServer(options: StaticServerOptions): Promise<StaticServer> {
  const directory = resolve(options.directory);
  await refuseNoDirectory(directory);
  const { host = '127.0.0.1', port = 0, graceMs = GRACE_MS, onRequest } = options;
  let requests = 0;
  const server = createServer((request, response) => {
    requests += 1;
    // A connection that was kept alive would hold up `close` after its last answer.
    response.once('close', () => {
      if (!server.listening) server.closeIdleConnections();
    });
    if (onRequest !== undefined) observe(request, response, onRequest);
    void answer(directory, request, response);
  });
  const bound = await listen(server, host, port);
  const name = host.includes(':') ? `[${host}]` : host;
  return {
    url: new URL(`http://${name}:${bound}/`),
    host,
    port: bound,
    requests: () => requests,
    close: async () => closeGracefully(server, graceMs),
  };
}

async function refuseNoDirectory(directory: string): Promise<void> {
  const found = await stat(directory).catch(() => undefined);
  if (found?.isDirectory() === true) return;
  throw new GantryError(
    'server/not-a-store',
    `Cannot serve ${quote(directory)}: it is ${found === undefined ? 'not there' : 'not a directory'}; expected a directory store`,
    { path: directory },
  );
}

async function listen(server: Server, host: string, port: number): Promise<number> {
  await new Promise<void>((listening, refused) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const is = CANNOT_LISTEN[error.code ?? ''];
      if (is === undefined) {
        refused(error);
        return;
      }
      const message = `Cannot serve on ${quote(`${host}:${port}`)}: ${is}; expected a free one`;
      refused(new GantryError('server/port-in-use', message, { host, port }, { cause: error }));
    });
    server.listen({ host, port }, listening);
  });
  // A TCP server has an address of this shape once it listens.
  return (server.address() as AddressInfo).port;
}

async function answer(directory: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    refuse(response, 405, 'only GET and HEAD are served');
    return;
  }
  const path = pathOf(request.url ?? '/');
  if (path === undefined || !(await isServed(directory, path))) {
    refuse(response, 404, 'not found');
    return;
  }
  response.setHeader(
    'Cache-Control',
    isImmutable(path) ? `public, max-age=${YEAR_SECONDS}, immutable` : 'public, max-age=0, must-revalidate',
  );
  response.setHeader('Content-Type', path.endsWith('.json') ? 'application/json' : 'application/octet-stream');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  send(request, path, { root: directory, dotfiles: 'ignore', index: false, cacheControl: false, lastModified: true })
    .on('headers', (_: ServerResponse, __: string, found: Stats) => {
      response.setHeader('ETag', etagOf(found));
    })
    .on('error', (error: { readonly status?: number }) => {
      const status = error.status ?? 500;
      refuse(response, status, STATUS_CODES[status]?.toLowerCase() ?? 'error');
    })
    .on('directory', () => refuse(response, 404, 'not found'))
    .pipe(response);
}

/** A variant may be called `targets` too, so `timestamp.json` goes first. */
function isImmutable(path: string): boolean {
  const name = basename(path);
  return name !== 'timestamp.json' && (path.startsWith('targets/') || /^[0-9]+\.[^/]+\.json$/u.test(name));
}

/** A publication renames a new file into place, and a new file has another inode. */
function etagOf({ ino, size, mtimeMs }: Stats): string {
  return `"${ino.toString(36)}-${size.toString(36)}-${mtimeMs.toString(36)}"`;
}

/** The name that is asked for, or undefined when a store has no such names. */
function pathOf(url: string): string | undefined {
  const [encoded = ''] = url.split(/[?#]/u, 1);
  try {
    return parseStorePath(decodeURIComponent(encoded).replace(/^\//u, ''));
  } catch (error) {
    if (error instanceof URIError || isGantryError(error, 'store/bad-path')) return undefined;
    throw error;
  }
}

/** A regular file that is reached without following a link. */
async function isServed(directory: string, path: string): Promise<boolean> {
  const segments = path.split('/');
  for (let depth = 1; depth <= segments.length; depth += 1) {
    const found = await lstat(join(directory, ...segments.slice(0, depth))).catch(() => undefined);
    const wanted = depth === segments.length ? found?.isFile() : found?.isDirectory();
    if (wanted !== true) return false;
  }
  return true;
}

function refuse(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  for (const header of response.getHeaderNames()) {
    if (header !== 'allow' && header !== 'content-range') response.removeHeader(header);
  }
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' });
  response.end(`${text}\n`);
}

function observe(request: IncomingMessage, response: ServerResponse, onRequest: (request: ServedRequest) => void): void {
  const started = performance.now();
  const before = request.socket.bytesWritten;
  response.once('close', () => {
    onRequest({
      method: request.method ?? '',
      url: request.url ?? '',
      status: response.statusCode,
      bytesSent: request.socket.bytesWritten - before,
      durationMs: performance.now() - started,
    });
  });
}

async function closeGracefully(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((done) => {
    server.close(() => done());
  });
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}

/** A web server for a published repository that does everything as hosts want it, but for the one ailment that it is given. */
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createHash } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Cleanup } from './engineer.ts';

export interface Answer {
  readonly status: number;
  /** Lower-case names; undefined leaves one out. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
  /** Breaks the connection off after so many bytes. */
  readonly cutAt?: number;
  /** Never answers. */
  readonly silent?: true;
}

export interface Asked {
  /** With a slash in front, without a query. */
  readonly path: string;
  readonly hasQuery: boolean;
  readonly headers: IncomingHttpHeaders;
  /** How often this path was asked for, this time included. */
  readonly time: number;
  /** The client's, one for each connection. */
  readonly port: number | undefined;
}

/** Makes the healthy answer ill, or leaves it as it is. */
export type Ailment = (answer: Answer, asked: Asked) => Answer;

export interface AilingServerOptions {
  /** By path, without a slash in front. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly ailment?: Ailment;
  /** PEM. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

/** @returns its URL, with a slash at the end */
export async function startAilingServer(t: Cleanup, { files, ailment = (answer) => answer, tls }: AilingServerOptions): Promise<URL> {
  const times = new Map<string, number>();
  const listener: RequestListener = (request, response) => {
    const { pathname, search } = new URL(request.url ?? '/', 'http://localhost');
    const path = decodeURIComponent(pathname);
    const time = (times.get(path) ?? 0) + 1;
    times.set(path, time);
    const healthy = answerOf(files, path, request);
    send(response, ailment(healthy, { path, hasQuery: search !== '', headers: request.headers, time, port: request.socket.remotePort }));
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  // The proof of the cast: it listens on a TCP port, so its address is not a pipe's name.
  const { port } = server.address() as AddressInfo;
  return new URL(`${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/`);
}

function answerOf(files: ReadonlyMap<string, Buffer>, path: string, request: IncomingMessage): Answer {
  const file = files.get(path.slice(1));
  if (file === undefined) {
    return { status: 404, headers: { 'cache-control': 'no-store', 'content-type': 'text/plain' }, body: Buffer.from('not found\n') };
  }
  const etag = `"${createHash('sha256').update(file).digest('hex').slice(0, 16)}"`;
  const headers = {
    'accept-ranges': 'bytes',
    'cache-control': path.endsWith('/timestamp.json') ? 'public, max-age=60, must-revalidate' : 'public, max-age=31536000, immutable',
    'content-type': path.endsWith('.json') ? 'application/json' : 'application/octet-stream',
    etag,
  };
  const range = /^bytes=(\d+)-(\d*)$/u.exec(request.headers.range ?? '');
  if (range === null || (request.headers['if-range'] ?? etag) !== etag) return { status: 200, headers, body: file };
  const first = Number(range[1]);
  const last = range[2] === '' ? file.length - 1 : Number(range[2]);
  return {
    status: 206,
    headers: { ...headers, 'content-range': `bytes ${first}-${last}/${file.length}` },
    body: file.subarray(first, last + 1),
  };
}

function send(response: ServerResponse, { status, headers, body, cutAt, silent }: Answer): void {
  if (silent === true) return;
  const all = { 'content-length': String(body.length), ...headers };
  for (const [name, value] of Object.entries(all)) if (value !== undefined) response.setHeader(name, value);
  response.writeHead(status);
  if (cutAt === undefined) response.end(body);
  else response.write(body.subarray(0, cutAt), () => response.destroy());
}

/** Every file of a folder, as `files` wants them. */
export async function filesOf(directory: string): Promise<ReadonlyMap<string, Buffer>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(paths.map(async (path) => [path.slice(directory.length + 1), await readFile(path)] as const)));
}

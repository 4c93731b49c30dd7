/** A server of files in memory that lies where it is told to: what stands between a repository and a host. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { TestContext } from 'node:test';

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export interface LyingServer {
  /** Ends in a slash. */
  readonly url: URL;
  /** `METHOD /path`, in the order in which they came. */
  readonly requests: string[];
  /** Connections that are open now. */
  readonly sockets: ReadonlySet<Socket>;
  /** Connections that were ever made. */
  connections(): number;
  /** What this path answers from now on. @param path without a leading slash */
  lie(path: string, answer: Answer): void;
  honest(): void;
  /** Resolves once no connection is open. */
  deserted(): Promise<void>;
}

export async function startLyingServer(t: TestContext, files: ReadonlyMap<string, Uint8Array> = new Map()): Promise<LyingServer> {
  const lies = new Map<string, Answer>();
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((request, response) => {
    requests.push(`${request.method ?? ''} ${request.url ?? ''}`);
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname.slice(1));
    const lie = lies.get(path);
    const bytes = files.get(path);
    if (lie !== undefined) lie(request, response);
    else if (bytes === undefined) response.writeHead(404).end('not found\n');
    else response.writeHead(200, { 'Content-Length': bytes.length }).end(bytes);
  });
  server.on('connection', (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      if (sockets.size === 0) server.emit('deserted');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.close();
    server.closeAllConnections();
    if (server.listening) await once(server, 'close');
  });
  // The proof of the cast: it listens on a TCP port, so its address is not a pipe's name.
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(`http://127.0.0.1:${port}/`),
    requests,
    sockets,
    connections: () => connections,
    lie: (path, answer) => lies.set(path, answer),
    honest: () => lies.clear(),
    async deserted() {
      if (sockets.size > 0) await once(server, 'deserted');
    },
  };
}

/** Sends bytes and no more, whatever it has promised, without ending. */
export function stallAfter(bytes: Uint8Array, promised: number): Answer {
  return (_, response) => {
    response.writeHead(200, { 'Content-Length': promised });
    response.write(bytes);
  };
}

/** Cuts the connection after these bytes. */
export function cutAfter(bytes: Uint8Array, promised: number): Answer {
  return (_, response) => {
    response.writeHead(200, { 'Content-Length': promised });
    response.write(bytes, () => response.destroy());
  };
}

/** Never stops sending. */
export const endless: Answer = (_, response) => {
  response.writeHead(200);
  const chunk = Buffer.alloc(64 << 10, ' ');
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', more);
  more();
};

export function send(status: number, headers: Readonly<Record<string, string>>, body: Uint8Array | string = ''): Answer {
  return (_, response) => {
    response.writeHead(status, headers).end(body);
  };
}

export const errorPage: Answer = send(200, { 'Content-Type': 'text/html' }, '<!doctype html><title>Welcome to our network</title>\n');

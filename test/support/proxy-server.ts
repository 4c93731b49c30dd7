/** An HTTP proxy for tests: plain requests and tunnels, a user and password if wanted, and bad manners if told. */
import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';

export interface ProxyServer {
  readonly url: URL;
  /** What was asked for: `CONNECT host:port`, or `GET http://…`. */
  readonly requests: string[];
  /** Every header that it saw. */
  readonly headers: string[];
  /** Resolves once no connection is open. */
  deserted(): Promise<void>;
}

export interface ProxyOptions {
  readonly user?: string;
  readonly password?: string;
  /** In the place of a tunnel. */
  readonly instead?: (socket: Duplex) => void;
  /** Where names lead, as `host:port`; without it they are looked up. */
  readonly hosts?: ReadonlyMap<string, number>;
}

export async function startProxy(t: TestContext, options: ProxyOptions = {}): Promise<ProxyServer> {
  const [requests, headers]: [string[], string[]] = [[], []];
  const sockets = new Set<Duplex>();
  const wanted = options.user === undefined ? undefined : `Basic ${Buffer.from(`${options.user}:${options.password}`).toString('base64')}`;
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    headers.push(...request.rawHeaders);
    if (wanted !== undefined && request.headers['proxy-authorization'] !== wanted) {
      response.writeHead(407).end();
      return;
    }
    const to = new URL(request.url ?? '');
    const port = options.hosts?.get(to.host) ?? to.port;
    const onward = httpRequest({ host: '127.0.0.1', port, path: to.pathname + to.search, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.writeHead(502).end());
    onward.end();
  });
  server.on('connect', (request, socket) => {
    requests.push(`CONNECT ${request.url}`);
    headers.push(...request.rawHeaders);
    if (wanted !== undefined && request.headers['proxy-authorization'] !== wanted) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n');
    } else if (options.instead === undefined) {
      const port = options.hosts?.get(request.url ?? '') ?? Number((request.url ?? '').split(':').at(-1));
      track(tunnel(socket, port), sockets, server);
    } else {
      // Otherwise it would not notice that the other side has gone.
      socket.resume();
      socket.once('end', () => socket.end());
      options.instead(socket);
    }
  });
  server.on('connection', (socket: Socket) => track(socket, sockets, server));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  // The proof of the cast: it listens on a TCP port.
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(`http://127.0.0.1:${port}`),
    requests,
    headers,
    async deserted() {
      while (sockets.size > 0) await once(server, 'left');
    },
  };
}

function track(socket: Duplex, sockets: Set<Duplex>, server: ReturnType<typeof createServer>): void {
  sockets.add(socket);
  socket.on('error', () => undefined);
  socket.once('close', () => {
    sockets.delete(socket);
    server.emit('left');
  });
}

/** @returns the connection to the other side */
function tunnel(socket: Duplex, port: number): Duplex {
  const onward = connect(port, '127.0.0.1', () => {
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    socket.pipe(onward).pipe(socket);
  });
  onward.once('close', () => socket.destroy());
  onward.on('error', () => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'));
  socket.once('close', () => onward.destroy());
  return onward;
}

/** A server that is honest until it is told to lie: cut, stall, redirect, answer with anything. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** Answers a request; `file` is what an honest server would send. */
export type Lie = (response: ServerResponse, file: Buffer | undefined, request: IncomingMessage) => void;

export interface HostileServer {
  readonly url: URL;
  /** Paths asked for, in order, without the leading slash. */
  readonly requests: string[];
  /** By path, or by the end of it; the first that fits is used. */
  readonly lies: Map<string, Lie>;
  /** How many connections the clients have closed before an answer was complete. */
  cutByClient(): number;
  /** Connections that were made so far. */
  connections(): number;
  /** Resolves once no connection is open. */
  deserted(): Promise<void>;
}

/** @param source a directory, or files in memory by their path */
export async function startHostileServer(t: TestContext, source: string | ReadonlyMap<string, Uint8Array>): Promise<HostileServer> {
  const requests: string[] = [];
  const lies = new Map<string, Lie>();
  let cut = 0;
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '/').split('?')[0] ?? '/').slice(1);
    requests.push(path);
    response.once('close', () => {
      if (!response.writableFinished) cut += 1;
    });
    void answer(source, path, lies, request, response);
  });
  const connections = countConnections(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { url: new URL(`http://127.0.0.1:${port}/`), requests, lies, cutByClient: () => cut, ...connections };
}

function countConnections(server: Server): Pick<HostileServer, 'connections' | 'deserted'> {
  let made = 0;
  let open = 0;
  server.on('connection', (socket) => {
    made += 1;
    open += 1;
    socket.once('close', () => {
      open -= 1;
      if (open === 0) server.emit('deserted');
    });
  });
  return {
    connections: () => made,
    async deserted() {
      if (open > 0) await once(server, 'deserted');
    },
  };
}

async function answer(
  source: string | ReadonlyMap<string, Uint8Array>,
  path: string,
  lies: ReadonlyMap<string, Lie>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const file = await contentOf(source, path);
  const lie = [...lies].find(([where]) => path === where || path.endsWith(where))?.[1];
  if (lie !== undefined) {
    lie(response, file, request);
  } else if (file === undefined) {
    response.writeHead(404).end('not found\n');
  } else {
    response.writeHead(200, { 'Content-Length': file.length }).end(file);
  }
}

async function contentOf(source: string | ReadonlyMap<string, Uint8Array>, path: string): Promise<Buffer | undefined> {
  if (typeof source === 'string') return readFile(join(source, path)).catch(() => undefined);
  const bytes = source.get(path);
  // A copy: a lie may change it.
  return bytes === undefined ? undefined : Buffer.from(bytes);
}

/** The whole answer, with its true length. */
export function send(bytes: Uint8Array, status = 200): Lie {
  return (response) => {
    response.writeHead(status, { 'Content-Length': bytes.length }).end(bytes);
  };
}

/** The first bytes, then the connection breaks. */
export function cutAfter(length: number): Lie {
  return (response, file = Buffer.alloc(0)) => {
    response.writeHead(200, { 'Content-Length': file.length });
    response.write(file.subarray(0, length), () => response.destroy());
  };
}

/** The first bytes, then nothing, for ever. */
export function stallAfter(length: number): Lie {
  return (response, file = Buffer.alloc(0)) => {
    response.writeHead(200, { 'Content-Length': file.length });
    response.write(file.subarray(0, length));
  };
}

/** Bytes without an end, and without a length. */
export function endless(): Lie {
  return (response) => {
    response.writeHead(200);
    const pump = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(1 << 16, 'x')));
    };
    response.on('drain', pump);
    pump();
  };
}

export function redirectTo(location: string): Lie {
  return (response) => {
    response.writeHead(302, { Location: location }).end();
  };
}

/** The honest bytes with one bit flipped. */
export function flipBit(position: (length: number) => number): Lie {
  return (response, file = Buffer.alloc(1)) => {
    const at = position(file.length);
    file.writeUInt8(file.readUInt8(at) ^ 1, at);
    response.writeHead(200, { 'Content-Length': file.length }).end(file);
  };
}

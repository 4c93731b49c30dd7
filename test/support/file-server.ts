import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import send from 'send';

export interface FileServer {
  /** Ends in a slash. */
  readonly url: URL;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Serves a folder over loopback as any web server would: the far side in tests of the client. */
export async function startFileServer(directory: string): Promise<FileServer> {
  const server = createServer((request, response) => {
    send(request, new URL(request.url ?? '/', 'http://localhost').pathname, { root: directory }).pipe(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // The proof of the cast: it listens on a TCP port, so its address is not a pipe's name.
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(`http://127.0.0.1:${port}/`),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** Requests to a server that is slow, broken or dishonest. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createHttpClient, type HttpClient, type HttpOptions } from '../../lib/http/request.ts';
import {
  cutAfter,
  endless,
  redirectTo,
  send,
  stallAfter,
  startHostileServer,
  type HostileServer,
  type Lie,
} from '../support/hostile-server.ts';

const IDLE_MS = 300;
const FILE = Buffer.alloc(100_000, 'gantry ');

interface Scene {
  readonly server: HostileServer;
  readonly http: HttpClient;
  readonly url: URL;
}

async function scene(t: TestContext, lie?: Lie, options: HttpOptions = {}): Promise<Scene> {
  const server = await startHostileServer(t, new Map([['file', FILE]]));
  if (lie !== undefined) server.lies.set('file', lie);
  return { server, http: client(t, options), url: new URL('file', server.url) };
}

function client(t: TestContext, options: HttpOptions = {}): HttpClient {
  const http = createHttpClient({ idleTimeoutMs: IDLE_MS, patienceMs: 0, ...options });
  t.after(() => http.close());
  return http;
}

/** A server of bytes, for what no HTTP server would send. */
async function rawServer(t: TestContext, onConnection: (socket: Socket) => void): Promise<URL> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  // The proof of the cast: it listens on a TCP port.
  const { port } = server.address() as AddressInfo;
  return new URL(`http://127.0.0.1:${port}/file`);
}

/** One piece after the other, with a pause between them, until the other side has gone. */
function trickle(socket: { write(piece: string): unknown; readonly destroyed: boolean }, piece: string): void {
  const more = async (): Promise<void> => {
    while (!socket.destroyed) {
      socket.write(piece);
      await delay(40);
    }
  };
  void more();
}

test('fetchBytes() gives the bytes and counts them when the server is honest', async (t) => {
  const { http, url, server } = await scene(t);
  assert.deepEqual(Buffer.from(await http.fetchBytes(url, { maxBytes: FILE.length, expectedBytes: FILE.length })), FILE);
  await http.fetchBytes(url, { maxBytes: FILE.length });
  assert.deepEqual(http.traffic, { requests: 2, bytesReceived: 2 * FILE.length });
  assert.equal(server.connections(), 1);
});

for (const status of [403, 404, 410]) {
  test(`fetchBytes() throws http/missing when the server answers ${status}`, async (t) => {
    const { http, url, server } = await scene(t, send(FILE, status));
    await assert.rejects(http.fetchBytes(url, { maxBytes: 10 }), { code: 'http/missing', details: { url: url.href, status } });
    await server.deserted();
  });
}

for (const status of [204, 206, 304, 400, 401, 429, 500, 503]) {
  test(`fetchBytes() throws http/status when the server answers ${status}`, async (t) => {
    const { http, url } = await scene(t, (response) => response.writeHead(status).end());
    await assert.rejects(http.fetchBytes(url, { maxBytes: 10 }), { code: 'http/status', details: { url: url.href, status } });
  });
}

test('fetchBytes() throws http/too-long before it reads a byte when the stated length is beyond the limit', async (t) => {
  const { http, url, server } = await scene(t);
  await assert.rejects(http.fetchBytes(url, { maxBytes: FILE.length - 1 }), {
    code: 'http/too-long',
    details: { url: url.href, maxBytes: FILE.length - 1 },
  });
  assert.equal(http.traffic.bytesReceived, 0);
  await server.deserted();
});

test('fetchBytes() throws http/too-long and closes the connection when the answer does not end', async (t) => {
  const { http, url, server } = await scene(t, endless());
  await assert.rejects(http.fetchBytes(url, { maxBytes: 1000 }), { code: 'http/too-long' });
  await server.deserted();
});

test('fetchBytes() throws http/too-short when the answer is complete and less than was signed', async (t) => {
  const { http, url } = await scene(t, (response) => {
    response.writeHead(200);
    response.write('half ');
    response.end('of it');
  });
  await assert.rejects(http.fetchBytes(url, { maxBytes: 20, expectedBytes: 20 }), {
    code: 'http/too-short',
    details: { url: url.href, expectedBytes: 20, receivedBytes: 10 },
  });
});

test('fetchBytes() throws http/interrupted when the connection breaks in the body', async (t) => {
  const { http, url } = await scene(t, cutAfter(1000));
  await assert.rejects(http.fetchBytes(url, { maxBytes: FILE.length }), {
    code: 'http/interrupted',
    details: { url: url.href, receivedBytes: 1000 },
  });
});

test('fetchBytes() throws http/interrupted when the connection breaks before the answer', async (t) => {
  const url = await rawServer(t, (socket) => socket.once('data', () => socket.destroy()));
  await assert.rejects(client(t).fetchBytes(url, { maxBytes: 10 }), {
    code: 'http/interrupted',
    details: { url: url.href, receivedBytes: 0 },
  });
});

test('fetchBytes() throws http/interrupted when the answer is no HTTP', async (t) => {
  const url = await rawServer(t, (socket) => socket.once('data', () => socket.end('SSH-2.0-OpenSSH_9.9\r\n\r\n')));
  await assert.rejects(client(t).fetchBytes(url, { maxBytes: 10 }), { code: 'http/interrupted' });
});

test('fetchBytes() throws http/unreachable when nobody listens', async (t) => {
  const url = await rawServer(t, () => undefined);
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  url.port = String((closed.address() as AddressInfo).port);
  closed.close();
  await once(closed, 'close');
  await assert.rejects(client(t).fetchBytes(url, { maxBytes: 10 }), {
    code: 'http/unreachable',
    details: { url: url.href },
    message: /ECONNREFUSED/u,
  });
});

test('fetchBytes() throws http/stalled when the server takes the request and says nothing', async (t) => {
  const url = await rawServer(t, () => undefined);
  await assert.rejects(client(t).fetchBytes(url, { maxBytes: 10 }), { code: 'http/stalled', details: { url: url.href, idleMs: IDLE_MS } });
});

test('fetchBytes() throws http/stalled when the header comes letter by letter', async (t) => {
  const url = await rawServer(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nX-Padding: ');
    trickle(socket, 'x');
  });
  await assert.rejects(client(t).fetchBytes(url, { maxBytes: 10 }), { code: 'http/stalled', details: { url: url.href, idleMs: IDLE_MS } });
});

test('fetchBytes() throws http/too-long when the header does not end, and does not keep it', async (t) => {
  const url = await rawServer(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    const pump = (): void => {
      while (!socket.destroyed && socket.write(`X-Padding: ${'x'.repeat(4000)}\r\n`));
    };
    socket.on('drain', pump);
    pump();
  });
  await assert.rejects(client(t, { patienceMs: 5000 }).fetchBytes(url, { maxBytes: 10 }), {
    code: 'http/too-long',
    details: { url: url.href, maxBytes: 16_384 },
  });
});

for (const [what, extra] of [
  ['trailer', `0\r\n${`X-Padding: ${'x'.repeat(4000)}\r\n`.repeat(100)}\r\n`],
  ['chunk extension', `3;${'x'.repeat(100_000)}\r\nabc\r\n0\r\n\r\n`],
] as const) {
  test(`fetchBytes() throws one of our errors when a ${what} does not end`, async (t) => {
    const url = await rawServer(t, (socket) =>
      socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${extra}`)),
    );
    await assert.rejects(client(t).fetchBytes(url, { maxBytes: 10 }), { name: 'GantryError', code: 'http/interrupted' });
  });
}

test('fetchBytes() throws http/stalled and closes the connection when the body stops', async (t) => {
  const { http, url, server } = await scene(t, stallAfter(1000));
  await assert.rejects(http.fetchBytes(url, { maxBytes: FILE.length }), { code: 'http/stalled', message: /no byte came for 0\.3 s/u });
  await server.deserted();
});

test('fetchBytes() throws http/stalled when the body comes byte by byte', async (t) => {
  const { http, url, server } = await scene(t, (response) => {
    response.writeHead(200, { 'Content-Length': FILE.length });
    trickle(response, 'x');
  });
  await assert.rejects(http.fetchBytes(url, { maxBytes: FILE.length }), {
    code: 'http/stalled',
    details: { url: url.href, idleMs: IDLE_MS },
    message: /only \d+ bytes came in 0\.3 s; expected at least 154$/u,
  });
  await server.deserted();
});

test('fetchStream() waits for a slow reader as long as it takes', async (t) => {
  const { http, url } = await scene(t, undefined, { idleTimeoutMs: 60 });
  const chunks: Uint8Array[] = [];
  for await (const chunk of http.fetchStream(url, { maxBytes: FILE.length })) {
    chunks.push(chunk);
    if (chunks.length === 1) await delay(150);
  }
  assert.deepEqual(Buffer.concat(chunks), FILE);
});

test('fetchBytes() follows a redirect within the origin, with the same credentials', async (t) => {
  const { http, url, server } = await scene(t, (response, _, request) => {
    assert.equal(request.headers.authorization, `Basic ${Buffer.from('reader:sesame').toString('base64')}`);
    response.writeHead(302, { Location: '/file?again' }).end();
    server.lies.set('file', (again, file, next) =>
      send(next.headers.authorization === undefined ? Buffer.alloc(0) : (file ?? Buffer.alloc(0)))(again, file, next),
    );
  });
  url.username = 'reader';
  url.password = 'sesame';
  assert.deepEqual(Buffer.from(await http.fetchBytes(url, { maxBytes: FILE.length })), FILE);
  assert.equal(http.traffic.requests, 2);
});

for (const [what, location] of [
  ['to another host', 'http://evil.example/file'],
  ['to another port', 'http://127.0.0.1:1/file'],
  ['to another scheme', 'https://127.0.0.1/file'],
  ['to no URL', 'http://[::'],
  ['to nowhere', ''],
] as const) {
  test(`fetchBytes() throws http/redirected when the server sends it ${what}`, async (t) => {
    const { http, url, server } = await scene(t, redirectTo(location));
    await assert.rejects(http.fetchBytes(url, { maxBytes: FILE.length }), { code: 'http/redirected' });
    await server.deserted();
  });
}

test('fetchBytes() throws http/redirected when the redirects do not end', async (t) => {
  const { http, url } = await scene(t, redirectTo('/file'));
  await assert.rejects(http.fetchBytes(url, { maxBytes: FILE.length }), { code: 'http/redirected' });
  assert.equal(http.traffic.requests, 4);
});

test('fetchBytes() asks for the bytes as they are, and throws http/encoded when they are not', async (t) => {
  const { http, url, server } = await scene(t, (response, _, request) => {
    assert.equal(request.headers['accept-encoding'], 'identity');
    response.writeHead(200, { 'Content-Encoding': `gzip, ${'x'.repeat(500)}` }).end(FILE);
  });
  await assert.rejects(http.fetchBytes(url, { maxBytes: FILE.length }), { code: 'http/encoded', message: /^.{0,300}$/u });
  await server.deserted();
});

test('fetchBytes() throws http/bad-url when the scheme is another', async (t) => {
  await assert.rejects(client(t).fetchBytes(new URL('ftp://reader:sesame@host/file'), { maxBytes: 1 }), {
    code: 'http/bad-url',
    details: { url: 'ftp://host/file' },
  });
});

test('fetchStream() closes the connection when its reader stops early, also when the whole answer is there', async (t) => {
  const { http, url, server } = await scene(t);
  for await (const _ of http.fetchStream(url, { maxBytes: FILE.length })) break;
  await server.deserted();
  server.lies.set('file', send(Buffer.from('small')));
  for await (const _ of http.fetchStream(url, { maxBytes: FILE.length })) break;
  await server.deserted();
});

for (const [when, lie] of [
  ['before the answer', () => undefined],
  ['in the body', stallAfter(1000)],
] as const) {
  test(`fetchBytes() throws aborted and closes the connection when the signal fires ${when}`, async (t) => {
    const controller = new AbortController();
    const { http, url, server } = await scene(
      t,
      (...args) => {
        lie(...args);
        setImmediate(() => controller.abort());
      },
      { idleTimeoutMs: 60_000 },
    );
    await assert.rejects(http.fetchBytes(url, { maxBytes: FILE.length, signal: controller.signal }), {
      name: 'GantryError',
      code: 'aborted',
    });
    await server.deserted();
  });
}

test('fetchBytes() throws aborted without a request when the signal has fired before, and between two tries', async (t) => {
  const { http, url, server } = await scene(t, undefined, { patienceMs: 5000 });
  await assert.rejects(http.fetchBytes(url, { maxBytes: FILE.length, signal: AbortSignal.abort() }), { code: 'aborted' });
  assert.deepEqual(server.requests, []);
  const controller = new AbortController();
  server.lies.set('file', (response) => {
    response.once('close', () => controller.abort());
    response.writeHead(503).end();
  });
  await assert.rejects(http.fetchBytes(url, { maxBytes: FILE.length, signal: controller.signal }), { code: 'aborted' });
  assert.equal(server.requests.length, 1);
});

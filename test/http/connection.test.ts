/** What becomes of connections, and what of secrets in a URL. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import { createHttpClient, type HttpClient, type HttpOptions } from '../../lib/http/request.ts';
import { startAilingServer } from '../support/ailing-server.ts';
import { makeCertificate, trust } from '../support/certificates.ts';
import { drain } from '../support/host.ts';
import { cutAfter, redirectTo, send, stallAfter, startHostileServer, type Lie } from '../support/hostile-server.ts';
import { requireTool } from '../support/tools.ts';

const IDLE_MS = 250;
const BODY = Buffer.from('0123456789'.repeat(1000));

function newClient(t: TestContext, options: HttpOptions = {}): HttpClient {
  const client = createHttpClient({ idleTimeoutMs: IDLE_MS, patienceMs: 0, ...options });
  t.after(() => client.close());
  return client;
}

/** Speaks TCP only. @returns its port */
async function rawServer(t: TestContext, onData: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', () => onData(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  // The proof of the cast: it listens on a TCP port, so its address is not a pipe's name.
  return (server.address() as AddressInfo).port;
}

test('requests share a connection when every answer is read to its end', async (t) => {
  const server = await startHostileServer(t, new Map([['file', BODY]]));
  const client = newClient(t);
  const url = new URL('file', server.url);
  assert.deepEqual(await client.fetchBytes(url, { maxBytes: BODY.length }), BODY);
  assert.deepEqual(await drain(client.fetchStream(url, { maxBytes: BODY.length, expectedBytes: BODY.length })), BODY);
  assert.deepEqual(client.traffic, { requests: 2, bytesReceived: 2 * BODY.length });
  assert.equal(server.connections(), 1);
  client.close();
  await server.deserted();
});

test('a connection that the server has closed while nobody used it is replaced', async (t) => {
  const server = await startHostileServer(t, new Map([['file', BODY]]));
  const client = newClient(t, { patienceMs: 5000 });
  server.lies.set('file', (response) => response.end('x', () => setImmediate(() => response.req.socket.destroy())));
  for (let round = 0; round < 3; round += 1) {
    assert.equal(Buffer.from(await client.fetchBytes(new URL('file', server.url), { maxBytes: 1 })).toString(), 'x');
  }
  assert.ok(server.connections() > 1);
});

test('bytes behind the promised length are neither part of an answer nor of the next one', async (t) => {
  const port = await rawServer(t, (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdefghij'));
  const client = newClient(t);
  for (let round = 0; round < 2; round += 1) {
    assert.equal(Buffer.from(await client.fetchBytes(new URL(`http://127.0.0.1:${port}/file`), { maxBytes: 10 })).toString(), 'abc');
  }
});

test('a TLS handshake that is never answered is http/stalled', async (t) => {
  const port = await rawServer(t, () => undefined);
  const url = new URL(`https://127.0.0.1:${port}/file`);
  await assert.rejects(newClient(t).fetchBytes(url, { maxBytes: 1 }), {
    code: 'http/stalled',
    details: { url: url.href, idleMs: IDLE_MS },
  });
});

const FAILURES: Readonly<Record<string, Lie | undefined>> = {
  'is too long': undefined,
  'is cut': cutAfter(3),
  stalls: stallAfter(3),
  'is an error': send(BODY, 500),
  'is missing': send(BODY, 404),
  'is encoded': (response) => response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(),
  'sends us elsewhere': redirectTo('http://user:hunter2@elsewhere.example/?token=hunter2'),
};

for (const [what, lie] of Object.entries(FAILURES)) {
  test(`a password and a query are sent and never shown when the answer ${what}`, async (t) => {
    const server = await startHostileServer(t, new Map([['file', BODY]]));
    const sent: (string | undefined)[] = [];
    server.lies.set('file', (response, file, request) => {
      sent.push(request.url, request.headers.authorization);
      (lie ?? send(BODY))(response, file, request);
    });
    const url = new URL('file?token=hunter2', server.url);
    Object.assign(url, { username: 'user', password: 'hunter2' });
    await assert.rejects(newClient(t).fetchBytes(url, { maxBytes: lie === undefined ? 1 : BODY.length }), (error) => {
      assert.ok(isGantryError(error), String(error));
      assert.ok(!JSON.stringify([error.message, error.details]).includes('hunter2'), error.message);
      return true;
    });
    assert.deepEqual(sent, ['/file?token=hunter2', `Basic ${Buffer.from('user:hunter2').toString('base64')}`]);
  });
}

test('a certificate that is not trusted is http/certificate, and is not tried again', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const tls = await makeCertificate(t, 'DNS:updates.example.com', 30);
  const url = new URL('file', await startAilingServer(t, { files: new Map([['file', BODY]]), tls }));
  const client = newClient(t, { patienceMs: 5000 });
  const details = { url: url.href };
  await assert.rejects(client.fetchBytes(url, { maxBytes: BODY.length }), {
    code: 'http/certificate',
    message: `Cannot reach ${url.origin}: its certificate is signed by itself; expected a valid one for 127.0.0.1, from an authority that this machine knows`,
    details: { ...details, problem: 'is signed by itself' },
  });
  assert.equal(client.traffic.requests, 1);
  trust(t, tls);
  await assert.rejects(client.fetchBytes(url, { maxBytes: BODY.length }), {
    code: 'http/certificate',
    details: { ...details, problem: 'is for another name' },
  });
});

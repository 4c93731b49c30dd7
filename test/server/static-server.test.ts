import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, rename, symlink, utimes, writeFile } from 'node:fs/promises';
import { Agent, get, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startStaticServer, type ServedRequest, type StaticServer, type StaticServerOptions } from '../../lib/server/static-server.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { drain } from '../support/host.ts';

const IMAGE = Buffer.from('0123456789');
const FOREVER = 'public, max-age=31536000, immutable';
const REVALIDATE = 'public, max-age=0, must-revalidate';

/** A small store, something beside it, and what has no business in it. */
async function served(
  t: TestContext,
  options: Partial<StaticServerOptions> = {},
): Promise<{ readonly server: StaticServer; readonly directory: string }> {
  const directory = join(await temporaryDirectory(t), 'public');
  for (const folder of ['metal/x86_64', 'targets', '.gantry/uploads']) await mkdir(join(directory, folder), { recursive: true });
  const files: Readonly<Record<string, string>> = {
    'metal/x86_64/timestamp.json': '{}',
    'metal/x86_64/1.root.json': '{"signed":{}}',
    'targets/0a.root.img': IMAGE.toString(),
    'targets/0a.a+b-1.0.0.img': 'plus',
    'targets/.hidden': 'secret',
    '.gantry/lock.sqlite': 'secret',
    '../secret': 'secret',
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
  await symlink('../../secret', join(directory, 'targets', 'link'));
  await symlink('..', join(directory, 'metal', 'up'));
  const server = await startStaticServer({ directory, graceMs: 200, ...options });
  t.after(async () => server.close());
  return { server, directory };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** The path goes out as it is: `fetch` would tidy it up. */
async function ask(server: StaticServer, path: string, options: RequestOptions = {}): Promise<Answer> {
  const sent = httpRequest({ host: server.host, port: server.port, path, agent: false, ...options }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await drain(response) };
}

test('startStaticServer() serves an object as it is, with its type and how long it may be kept', async (t) => {
  const { server } = await served(t);
  const expected: readonly (readonly [path: string, type: string, cache: string, body: string])[] = [
    ['/metal/x86_64/timestamp.json', 'application/json', REVALIDATE, '{}'],
    ['/metal/x86_64/1.root.json', 'application/json', FOREVER, '{"signed":{}}'],
    ['/targets/0a.root.img', 'application/octet-stream', FOREVER, '0123456789'],
    ['/targets/0a.a%2Bb-1.0.0.img', 'application/octet-stream', FOREVER, 'plus'],
    ['/targets/0a.root.img?version=1.0.0&seed=7', 'application/octet-stream', FOREVER, '0123456789'],
    ['/targets/0a.root.img?x=/../../secret%00', 'application/octet-stream', FOREVER, '0123456789'],
  ];
  for (const [path, type, cache, body] of expected) {
    const answer = await ask(server, path, { headers: { 'accept-encoding': 'gzip, br' } });
    assert.equal(answer.status, 200, path);
    assert.equal(answer.headers['content-type'], type);
    assert.equal(answer.headers['cache-control'], cache);
    assert.equal(answer.headers['content-length'], String(body.length));
    assert.equal(answer.headers['content-encoding'], undefined);
    assert.equal(answer.headers['x-content-type-options'], 'nosniff');
    assert.equal(answer.body.toString(), body);
  }
});

test('startStaticServer() revalidates timestamp.json when it lies at the top', async (t) => {
  const { server, directory } = await served(t);
  await writeFile(join(directory, 'timestamp.json'), '{}');
  assert.equal((await ask(server, '/timestamp.json')).headers['cache-control'], REVALIDATE);
});

test('startStaticServer() lets nobody keep a name that is replaced', async (t) => {
  const { server, directory } = await served(t);
  await mkdir(join(directory, 'targets', 'x86_64'));
  for (const name of ['index.html', 'metal/x86_64/root.json', 'metal/x86_64/1.json', 'targets/x86_64/timestamp.json']) {
    await writeFile(join(directory, name), '{}');
    assert.equal((await ask(server, `/${name}`)).headers['cache-control'], REVALIDATE, name);
  }
});

test('startStaticServer() answers HEAD with the headers alone', async (t) => {
  const { server } = await served(t);
  const { status, headers, body } = await ask(server, '/targets/0a.root.img', { method: 'HEAD' });
  assert.deepEqual([status, headers['content-length'], body.length], [200, '10', 0]);
});

test('startStaticServer() serves parts when ranges are asked for', async (t) => {
  const { server } = await served(t);
  for (const [range, part, contentRange] of [
    ['bytes=0-0', '0', 'bytes 0-0/10'],
    ['bytes=4-', '456789', 'bytes 4-9/10'],
    ['bytes=-3', '789', 'bytes 7-9/10'],
    ['bytes=8-100', '89', 'bytes 8-9/10'],
  ] as const) {
    const answer = await ask(server, '/targets/0a.root.img', { headers: { range } });
    assert.deepEqual([answer.status, answer.body.toString(), answer.headers['content-range']], [206, part, contentRange], range);
  }
  const beyond = await ask(server, '/targets/0a.root.img', { headers: { range: 'bytes=10-' } });
  assert.deepEqual(
    [beyond.status, beyond.headers['content-range'], beyond.headers['cache-control'], beyond.body.toString()],
    [416, 'bytes */10', 'no-store', 'range not satisfiable\n'],
  );
});

test('startStaticServer() answers 304 when the caller has the object already, and 200 once it was replaced', async (t) => {
  const { server, directory } = await served(t);
  const path = '/metal/x86_64/timestamp.json';
  const { etag = '' } = (await ask(server, path)).headers;
  const again = await ask(server, path, { headers: { 'if-none-match': etag } });
  assert.deepEqual([again.status, again.body.length, again.headers.etag, again.headers['cache-control']], [304, 0, etag, REVALIDATE]);
  await writeFile(join(directory, path), '{"new":1}');
  const renewed = await ask(server, path, { headers: { 'if-none-match': etag } });
  assert.deepEqual([renewed.status, renewed.body.toString()], [200, '{"new":1}']);
});

test('startStaticServer() gives a new strong ETag when a file of the same size and date takes the name', async (t) => {
  const { server, directory } = await served(t);
  const path = '/metal/x86_64/timestamp.json';
  const file = join(directory, path);
  await utimes(file, 1000, 1000);
  const { etag = '', ...headers } = (await ask(server, path)).headers;
  assert.match(etag, /^"[0-9a-z.-]+"$/u);
  const part = await ask(server, path, { headers: { range: 'bytes=1-', 'if-range': etag } });
  assert.deepEqual([part.status, part.body.toString()], [206, '}']);
  await writeFile(`${file}.new`, '[]');
  await utimes(`${file}.new`, 1000, 1000);
  await rename(`${file}.new`, file);
  const renewed = await ask(server, path, { headers: { 'if-none-match': etag } });
  assert.deepEqual([renewed.status, renewed.body.toString(), renewed.headers['last-modified']], [200, '[]', headers['last-modified']]);
  const whole = await ask(server, path, { headers: { range: 'bytes=1-', 'if-range': etag } });
  assert.deepEqual([whole.status, whole.body.toString()], [200, '[]']);
});

test('startStaticServer() answers 404 that nobody may keep when there is nothing to serve', async (t) => {
  const { server } = await served(t);
  const paths = [
    '/',
    '//',
    '/metal/x86_64/2.root.json',
    '/metal',
    '/metal/',
    '/metal/x86_64/timestamp.json/',
    '/metal/x86_64/timestamp.json/x',
    '//metal/x86_64/timestamp.json',
    '/../secret',
    '/metal/../../secret',
    '/%2e%2e/secret',
    '/metal/%2e%2e/%2e%2e/secret',
    '/..%2fsecret',
    '/%2e%2e%2fsecret',
    '/..%5csecret',
    '/metal%2fx86_64%00/timestamp.json',
    '/targets/0a.root.img%00',
    '/targets/%',
    '/targets/%ff',
    '/targets/.hidden',
    '/.gantry/lock.sqlite',
    '/%2egantry/lock.sqlite',
    '/targets/link',
    '/metal/up/metal/x86_64/timestamp.json',
    `/${'a/'.repeat(600)}a`,
  ];
  for (const path of paths) {
    const { status, headers, body } = await ask(server, path);
    assert.deepEqual([status, headers['cache-control'], body.toString()], [404, 'no-store', 'not found\n'], path);
  }
});

test('startStaticServer() answers 405 when the method would change something', async (t) => {
  const { server } = await served(t);
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    const { status, headers } = await ask(server, '/targets/0a.root.img', { method });
    assert.deepEqual([status, headers.allow, headers['cache-control']], [405, 'GET, HEAD', 'no-store'], method);
  }
});

test('startStaticServer() tells of every answer once it has ended', async (t) => {
  const seen: ServedRequest[] = [];
  const { server } = await served(t, { onRequest: (request) => seen.push(request) });
  await ask(server, '/targets/0a.root.img?seed=1');
  await ask(server, '/nothing');
  await server.close();
  assert.equal(server.requests(), 2);
  assert.deepEqual(
    seen.map(({ method, url, status }) => [method, url, status]),
    [
      ['GET', '/targets/0a.root.img?seed=1', 200],
      ['GET', '/nothing', 404],
    ],
  );
  for (const { bytesSent, durationMs } of seen) assert.ok(bytesSent > 10 && durationMs >= 0);
});

test('startStaticServer() throws server/port-in-use when it cannot listen', async (t) => {
  const { server, directory } = await served(t);
  await assert.rejects(startStaticServer({ directory, port: server.port }), {
    code: 'server/port-in-use',
    details: { host: '127.0.0.1', port: server.port },
    message: `Cannot serve on "127.0.0.1:${server.port}": another program uses that port; expected a free one`,
  });
  await assert.rejects(startStaticServer({ directory, host: '192.0.2.1' }), {
    code: 'server/port-in-use',
    message: /does not have that address/u,
  });
  await assert.rejects(startStaticServer({ directory, port: 70_000 }), RangeError);
});

test('startStaticServer() throws server/not-a-store when there is no directory', async (t) => {
  const directory = await temporaryDirectory(t);
  const file = join(directory, 'file');
  await writeFile(file, '');
  await symlink(file, join(directory, 'link'));
  for (const [name, problem] of [
    ['nowhere', 'it is not there'],
    ['file', 'it is not a directory'],
    ['link', 'it is not a directory'],
  ] as const) {
    const path = join(directory, name);
    const message = `Cannot serve ${JSON.stringify(path)}: ${problem}; expected a directory store`;
    await assert.rejects(startStaticServer({ directory: path }), { code: 'server/not-a-store', details: { path }, message });
  }
});

test('startStaticServer() serves a directory that is reached over a link', async (t) => {
  const { directory } = await served(t);
  const link = join(directory, '..', 'current');
  await symlink(directory, link);
  const server = await startStaticServer({ directory: link });
  t.after(async () => server.close());
  assert.equal((await ask(server, '/targets/0a.root.img')).status, 200);
});

test('close() lets a download under way end and ends with it', async (t) => {
  // Far longer than the test may take: it is the end of the download that ends the server.
  const { server, directory } = await served(t, { graceMs: 600_000 });
  const large = Buffer.alloc(16 << 20, 'x');
  await writeFile(join(directory, 'targets', '0b.large'), large);
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const sent = get({ host: server.host, port: server.port, path: '/targets/0b.large', agent });
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const closed = server.close();
  await assert.rejects(ask(server, '/targets/0a.root.img'), { code: 'ECONNREFUSED' });
  assert.deepEqual(await drain(response), large);
  await closed;
});

test('close() gives up on a client that does not read when the grace is over', async (t) => {
  const { server, directory } = await served(t, { graceMs: 20 });
  await writeFile(join(directory, 'targets', '0b.large'), Buffer.alloc(32 << 20));
  const socket = connect(server.port, server.host);
  socket.on('error', () => undefined);
  socket.write('GET /targets/0b.large HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'readable');
  await server.close();
  socket.destroy();
});

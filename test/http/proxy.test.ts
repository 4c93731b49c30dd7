/** Through proxies, and past them. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { inspect } from 'node:util';
import { isGantryError } from '../../lib/errors.ts';
import { proxyChooser } from '../../lib/http/proxy.ts';
import { createHttpClient, type HttpClient, type HttpOptions } from '../../lib/http/request.ts';
import { startAilingServer } from '../support/ailing-server.ts';
import { makeCertificate } from '../support/certificates.ts';
import { startHostileServer } from '../support/hostile-server.ts';
import { startProxy } from '../support/proxy-server.ts';
import { requireTool } from '../support/tools.ts';

const FILE = Buffer.from('the file');
const FILES = new Map([['file', FILE]]);
const IDLE_MS = 300;

function newClient(t: TestContext, options: HttpOptions): HttpClient {
  const http = createHttpClient({ idleTimeoutMs: IDLE_MS, patienceMs: 0, ...options });
  t.after(() => http.close());
  return http;
}

const EXEMPTIONS: readonly (readonly [list: string, url: string, isExempt: boolean])[] = [
  ['', 'http://example.com/', false],
  ['*', 'http://example.com/', true],
  ['example.com', 'http://example.com/', true],
  ['example.com', 'http://EXAMPLE.com./', true],
  ['Example.COM.', 'http://example.com/', true],
  ['example.com', 'http://www.example.com/', true],
  ['.example.com', 'http://www.example.com/', true],
  ['.example.com', 'http://example.com/', true],
  ['*.example.com', 'http://www.example.com/', true],
  ['example.com', 'http://notexample.com/', false],
  ['example.com', 'http://example.com.evil/', false],
  ['www.example.com', 'http://example.com/', false],
  ['a.example, b.example', 'http://b.example/', true],
  ['a.example b.example', 'http://b.example/', true],
  ['a.example,,', 'http://b.example/', false],
  ['.', 'http://example.com/', false],
  ['example.com:8080', 'http://example.com:8080/', true],
  ['example.com:8080', 'http://example.com/', false],
  ['example.com:80', 'http://example.com/', true],
  ['example.com:443', 'https://example.com/', true],
  ['example.com:80', 'https://example.com/', false],
  ['127.0.0.1', 'http://127.0.0.1:8080/', true],
  ['127.0.0.1:8080', 'http://127.0.0.1:8080/', true],
  ['127.0.0.1:8081', 'http://127.0.0.1:8080/', false],
  ['0.0.1', 'http://127.0.0.1/', false],
  ['10.0.0.0/8', 'http://10.200.0.1/', true],
  ['10.0.0.0/8', 'http://11.0.0.1/', false],
  ['10.0.0.0/33', 'http://10.0.0.1/', false],
  ['10.0.0.0/x', 'http://10.0.0.0/', false],
  ['192.168.0.0/16,localhost', 'http://localhost:3000/', true],
  ['[::1]', 'http://[::1]:80/', true],
  ['::1', 'http://[::1]/', true],
  ['[::1]:8080', 'http://[::1]:8080/', true],
  ['[::1]:8080', 'http://[::1]/', false],
  ['fd00::/8', 'http://[fd12::1]/', true],
  ['fd00::/8', 'http://[fe80::1]/', false],
  ['10.0.0.0/8', 'http://[fd12::1]/', false],
];

test('no_proxy means what it means to curl', () => {
  const proxy = new URL('http://proxy.example:3128');
  for (const [noProxy, url, isExempt] of EXEMPTIONS) {
    const chosen = proxyChooser({ proxy, noProxy }, {})(new URL(url));
    assert.equal(chosen === undefined, isExempt, `${noProxy} and ${url}`);
    const environment = { http_proxy: 'http://p.example', https_proxy: 'http://p.example', NO_PROXY: noProxy };
    assert.equal(proxyChooser({}, environment)(new URL(url)) === undefined, isExempt, `NO_PROXY=${noProxy} and ${url}`);
  }
});

test('the proxy comes from the variable for the scheme, in lower case first, and from all_proxy otherwise', () => {
  const [http, https] = [new URL('http://a.example/'), new URL('https://a.example/')];
  const chosen = (environment: Readonly<Record<string, string>>): (string | undefined)[] =>
    [http, https].map((url) => proxyChooser({}, environment)(url)?.host);
  assert.deepEqual(chosen({}), [undefined, undefined]);
  assert.deepEqual(chosen({ HTTP_PROXY: 'http://one:1' }), ['one:1', undefined]);
  assert.deepEqual(chosen({ HTTPS_PROXY: 'http://two:2' }), [undefined, 'two:2']);
  assert.deepEqual(chosen({ HTTP_PROXY: 'http://one:1', http_proxy: 'http://lower:1' }), ['lower:1', undefined]);
  assert.deepEqual(chosen({ HTTP_PROXY: 'http://one:1', http_proxy: '' }), ['one:1', undefined]);
  assert.deepEqual(chosen({ ALL_PROXY: 'http://all:3', https_proxy: 'http://two:2' }), ['all:3', 'two:2']);
  assert.deepEqual(chosen({ https_proxy: 'two:2' }), [undefined, 'two:2']);
  assert.deepEqual(chosen({ HTTP_PROXY: 'http://header:1', REQUEST_METHOD: 'GET' }), [undefined, undefined]);
  assert.deepEqual(chosen({ http_proxy: 'http://own:1', REQUEST_METHOD: 'GET' }), ['own:1', undefined]);
  assert.equal(proxyChooser({ proxy: 'none' }, { http_proxy: 'http://one:1' })(http), undefined);
  assert.equal(proxyChooser({ proxy: new URL('http://given:1') }, { http_proxy: 'http://one:1', no_proxy: '*' })(http)?.host, 'given:1');
});

test('a proxy that is none of HTTP is http/bad-setting, and its password is not shown', () => {
  for (const text of ['socks5://user:hunter2@proxy:1080', 'http://user:hunter2@:99999', 'ftp://user:hunter2@proxy']) {
    assert.throws(
      () => proxyChooser({}, { http_proxy: text })(new URL('http://a.example/')),
      (error) =>
        isGantryError(error, 'http/bad-setting') &&
        error.details.setting === 'http_proxy' &&
        !inspect(error, { depth: null }).includes('hunter2'),
    );
  }
  assert.throws(() => createHttpClient({ proxy: new URL('socks5://proxy') }), { code: 'http/bad-setting', details: { setting: 'proxy' } });
});

test('plain HTTP goes to the proxy with its whole URL, our credentials and the proxy\u2019s apart', async (t) => {
  const server = await startHostileServer(t, FILES);
  const proxy = await startProxy(t, { user: 'us@er', password: 'p:w%' });
  Object.assign(proxy.url, { username: 'us%40er', password: 'p:w%' });
  const http = newClient(t, { proxy: proxy.url });
  const url = new URL('file?a=1', server.url);
  Object.assign(url, { username: 'reader', password: 'sesame' });
  for (let round = 0; round < 2; round += 1) assert.deepEqual(Buffer.from(await http.fetchBytes(url, { maxBytes: 100 })), FILE);
  assert.deepEqual(proxy.requests, [`GET ${server.url.href}file?a=1`, `GET ${server.url.href}file?a=1`]);
  assert.ok(proxy.headers.includes(`Basic ${Buffer.from('reader:sesame').toString('base64')}`));
  const direct = newClient(t, { proxy: proxy.url, noProxy: '127.0.0.1' });
  await direct.fetchBytes(url, { maxBytes: 100 });
  assert.equal(proxy.requests.length, 2);
});

test('https goes through a tunnel that is used again, and the proxy sees nothing of it', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const tls = await makeCertificate(t, 'DNS:updates.example', 30);
  const origin = await startAilingServer(t, { files: FILES, tls });
  const proxy = await startProxy(t, { user: 'user', password: 'pass', hosts: new Map([['updates.example:443', Number(origin.port)]]) });
  Object.assign(proxy.url, { username: 'user', password: 'pass' });
  const url = new URL('https://reader:sesame@updates.example/file?secret');
  const http = newClient(t, { proxy: proxy.url, ca: tls.cert, idleTimeoutMs: 5000 });
  for (let round = 0; round < 2; round += 1) assert.deepEqual(Buffer.from(await http.fetchBytes(url, { maxBytes: 100 })), FILE);
  assert.deepEqual(proxy.requests, ['CONNECT updates.example:443']);
  assert.ok(!proxy.headers.join(' ').includes(Buffer.from('reader:sesame').toString('base64')));
  http.close();
  await proxy.deserted();
  const distrusting = newClient(t, { proxy: proxy.url, idleTimeoutMs: 5000 });
  await assert.rejects(distrusting.fetchBytes(url, { maxBytes: 100 }), { code: 'http/certificate' });
  url.hostname = 'other.example';
  const hosts = new Map([['other.example:443', Number(origin.port)]]);
  const elsewhere = await startProxy(t, { hosts });
  const misled = newClient(t, { proxy: elsewhere.url, ca: tls.cert, idleTimeoutMs: 5000 });
  await assert.rejects(misled.fetchBytes(url, { maxBytes: 100 }), {
    code: 'http/certificate',
    message: /is for another name/u,
  });
});

for (const scheme of ['http', 'https']) {
  test(`a proxy that wants another password is http/proxy for ${scheme}, and no password is shown, not even in its cause`, async (t) => {
    const proxy = await startProxy(t, { user: 'user', password: 'right' });
    Object.assign(proxy.url, { username: 'user', password: 'hunter2' });
    const http = newClient(t, { proxy: proxy.url, patienceMs: 5000 });
    await assert.rejects(http.fetchBytes(new URL(`${scheme}://a.example/file`), { maxBytes: 1 }), (error) => {
      assert.ok(isGantryError(error, 'http/proxy'));
      assert.equal(error.details.status, 407);
      assert.ok(!inspect(error, { depth: null }).includes('hunter2'));
      return true;
    });
    assert.equal(proxy.requests.length, 1);
    await proxy.deserted();
  });

  test(`a proxy that nobody listens at is http/proxy for ${scheme}`, async (t) => {
    const http = newClient(t, { proxy: new URL('http://user:hunter2@127.0.0.1:1') });
    await assert.rejects(http.fetchBytes(new URL(`${scheme}://a.example/file`), { maxBytes: 1 }), {
      code: 'http/proxy',
      message: `Cannot reach ${scheme}://a.example through the proxy http://127.0.0.1:1: ECONNREFUSED; expected a connection`,
    });
  });
}

test('a proxy that never opens the tunnel is given up, and its connection is closed', async (t) => {
  const proxy = await startProxy(t, { instead: () => undefined });
  const url = new URL('https://a.example/file');
  await assert.rejects(newClient(t, { proxy: proxy.url }).fetchBytes(url, { maxBytes: 1 }), { code: 'http/stalled' });
  await proxy.deserted();
  const http = newClient(t, { proxy: proxy.url, idleTimeoutMs: 60_000 });
  await assert.rejects(http.fetchBytes(url, { maxBytes: 1, signal: AbortSignal.timeout(100) }), { code: 'aborted' });
  await proxy.deserted();
});

const REFUSALS: readonly (readonly [what: string, answer: string, code: string, message: RegExp])[] = [
  ['refuses', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nforbidden', 'http/proxy', /it answered 403;/u],
  ['wants a password and says 401', 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\npage', 'http/proxy', /password \(401\);/u],
  ['breaks off', '', 'http/proxy', /ECONNRESET/u],
  ['speaks before we do', 'HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil', 'http/proxy', /spoke before/u],
  ['speaks no HTTP', 'SSH-2.0-OpenSSH_9.9\r\n\r\n', 'http/proxy', /HPE_/u],
  ['sends a header without an end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1 << 20)}`, 'http/proxy', /HPE_HEADER_OVERFLOW/u],
  ['opens a tunnel to nobody', 'HTTP/1.1 200 OK\r\n\r\n', 'http/interrupted', /broke off/u],
];

for (const [what, answer, code, message] of REFUSALS) {
  test(`a proxy that ${what} is ${code}`, async (t) => {
    const proxy = await startProxy(t, { instead: (socket) => socket.end(answer) });
    const http = newClient(t, { proxy: proxy.url, idleTimeoutMs: 5000 });
    await assert.rejects(http.fetchBytes(new URL('https://a.example/file'), { maxBytes: 100 }), { code, message });
    await proxy.deserted();
  });
}

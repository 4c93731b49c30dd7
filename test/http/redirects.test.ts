/** Where a server may send us when redirects to other hosts are allowed. */
import assert from 'node:assert/strict';
import type { LookupFunction } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createHttpClient, type HttpClient, type HttpOptions } from '../../lib/http/request.ts';
import { startAilingServer, type Answer } from '../support/ailing-server.ts';
import { makeCertificate } from '../support/certificates.ts';
import { redirectTo, send, startHostileServer, type HostileServer } from '../support/hostile-server.ts';
import { startProxy } from '../support/proxy-server.ts';
import { requireTool } from '../support/tools.ts';

const FILE = Buffer.from('the file');

/** Every name leads to these. */
function resolving(...addresses: readonly string[]): LookupFunction {
  return (_, options, callback) => {
    const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    const [first] = found;
    if (options.all === true || first === undefined) callback(null, found);
    else callback(null, first.address, first.family);
  };
}

interface Scene {
  readonly server: HostileServer;
  readonly http: HttpClient;
  readonly url: URL;
}

async function scene(t: TestContext, location: string, options: HttpOptions = {}): Promise<Scene> {
  const server = await startHostileServer(t, new Map([['there', FILE]]));
  server.lies.set('file', redirectTo(location.replace('PORT', server.url.port)));
  const http = createHttpClient({ idleTimeoutMs: 2000, patienceMs: 0, redirects: 'any-host', ...options });
  t.after(() => http.close());
  return { server, http, url: new URL('file', server.url) };
}

for (const [what, location, lookup] of [
  ['an address of this machine', 'http://127.0.0.2:PORT/there', undefined],
  ['the metadata service of a cloud', 'http://169.254.169.254/latest/meta-data/', undefined],
  ['an address in another spelling', 'http://0x7f.1:1/there', undefined],
  ['an IPv6 address of this machine', 'http://[::1]:PORT/there', undefined],
  ['an IPv4 address in IPv6 clothes', 'http://[::ffff:127.0.0.1]:PORT/there', undefined],
  ['a name of this machine', 'http://localhost:PORT/there', undefined],
  ['a name that leads to this machine', 'http://cdn.example:PORT/there', resolving('127.0.0.1')],
  ['a name that leads to the metadata service', 'http://cdn.example:PORT/there', resolving('169.254.169.254')],
  ['a name that leads to IPv4 in IPv6 clothes', 'http://cdn.example:PORT/there', resolving('::ffff:127.0.0.1')],
  ['a name that leads to public and private addresses', 'http://cdn.example:PORT/there', resolving('1.1.1.1', '10.0.0.1')],
] as const) {
  test(`fetchBytes() throws http/redirected when it is sent to ${what}`, async (t) => {
    const { http, url, server } = await scene(t, location, lookup === undefined ? {} : { lookup });
    await assert.rejects(http.fetchBytes(url, { maxBytes: 100 }), { code: 'http/redirected', message: /leads to|sends us to/u });
    assert.deepEqual(server.requests, ['file']);
  });
}

test('fetchBytes() takes private addresses that we name ourselves, and redirects within them', async (t) => {
  const { http, url, server } = await scene(t, '/there', { lookup: resolving('127.0.0.1') });
  assert.deepEqual(Buffer.from(await http.fetchBytes(url, { maxBytes: 100 })), FILE);
  url.hostname = 'updates.example';
  assert.deepEqual(Buffer.from(await http.fetchBytes(url, { maxBytes: 100 })), FILE);
  assert.equal(server.requests.length, 4);
});

for (const location of ['https://cdn.example/', 'ftp://cdn.example/', 'file:///etc/passwd', 'data:,x', 'javascript:1', '//']) {
  test(`a redirect to ${location} is followed only by https, and only where that is allowed`, async (t) => {
    const { http, url } = await scene(t, location, { lookup: resolving('10.0.0.1') });
    await assert.rejects(http.fetchBytes(url, { maxBytes: 100 }), { code: 'http/redirected' });
    const strict = await scene(t, location, { redirects: 'same-origin' });
    await assert.rejects(strict.http.fetchBytes(strict.url, { maxBytes: 100 }), { code: 'http/redirected', message: /sends us to/u });
  });
}

test('a redirect from https to http is not followed, even where other hosts are allowed', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const tls = await makeCertificate(t, 'IP:127.0.0.1', 30);
  const ailment = (answer: Answer): Answer => ({ ...answer, status: 302, headers: { location: 'http://1.1.1.1/file' } });
  const origin = await startAilingServer(t, { files: new Map(), tls, ailment });
  const http = createHttpClient({ patienceMs: 0, redirects: 'any-host', ca: tls.cert });
  t.after(() => http.close());
  await assert.rejects(http.fetchBytes(new URL('file', origin), { maxBytes: 100 }), {
    code: 'http/redirected',
    message: /sends us to http:\/\/1\.1\.1\.1\/file; expected/u,
  });
});

/** A redirect to a public host can be followed to its end here only through a proxy, which finds it where we say. */
test('fetchBytes() follows a redirect to another host when that is allowed, without our credentials, and not for ever', async (t) => {
  const server = await startHostileServer(t, new Map([['there', FILE]]));
  const port = Number(server.url.port);
  const hosts = new Map([
    ['updates.example', port],
    ['cdn.example', port],
  ]);
  const proxy = await startProxy(t, { hosts });
  const seen: (string | undefined)[] = [];
  server.lies.set('file', (response, file, request) => {
    seen.push(request.headers.authorization);
    redirectTo('http://user:other@cdn.example/there')(response, file, request);
  });
  server.lies.set('there', (response, file, request) => {
    seen.push(request.headers.authorization);
    send(FILE)(response, file, request);
  });
  const url = new URL('http://reader:sesame@updates.example/file');
  const fetch = async (redirects: 'any-host' | 'same-origin'): Promise<Uint8Array> => {
    const http = createHttpClient({ proxy: proxy.url, patienceMs: 0, redirects });
    t.after(() => http.close());
    return http.fetchBytes(url, { maxBytes: 100 });
  };
  assert.deepEqual(Buffer.from(await fetch('any-host')), FILE);
  assert.deepEqual(seen, [`Basic ${Buffer.from('reader:sesame').toString('base64')}`, undefined]);
  await assert.rejects(fetch('same-origin'), { code: 'http/redirected' });
  server.lies.set('there', redirectTo('http://updates.example/file'));
  await assert.rejects(fetch('any-host'), { code: 'http/redirected' });
  assert.equal(proxy.requests.length, 2 + 1 + 4);
  server.lies.set('file', redirectTo('http://169.254.169.254/latest'));
  await assert.rejects(fetch('any-host'), { code: 'http/redirected', message: /169\.254\.169\.254/u });
  assert.equal(proxy.requests.length, 8);
});

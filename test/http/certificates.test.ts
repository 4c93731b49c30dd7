/** Authorities of our own, and who we say we are. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createHttpClient, type HttpOptions } from '../../lib/http/request.ts';
import { startAilingServer } from '../support/ailing-server.ts';
import { makeCertificate } from '../support/certificates.ts';
import { requireTool } from '../support/tools.ts';

const FILE = Buffer.from('the file');
const FILES = new Map([['file', FILE]]);

async function fetchFrom(t: TestContext, origin: URL, options: HttpOptions): Promise<Uint8Array> {
  const http = createHttpClient({ patienceMs: 0, ...options });
  t.after(() => http.close());
  return http.fetchBytes(new URL('file', origin), { maxBytes: 100 });
}

test('ca names the only authorities that are trusted', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const [ours, theirs] = [await makeCertificate(t, 'IP:127.0.0.1', 30), await makeCertificate(t, 'IP:127.0.0.1', 30)];
  const origin = await startAilingServer(t, { files: FILES, tls: ours });
  assert.deepEqual(Buffer.from(await fetchFrom(t, origin, { ca: ours.cert })), FILE);
  assert.deepEqual(Buffer.from(await fetchFrom(t, origin, { ca: Buffer.from(`# ours\n${ours.cert}`) })), FILE);
  await assert.rejects(fetchFrom(t, origin, { ca: theirs.cert }), { code: 'http/certificate' });
  await assert.rejects(fetchFrom(t, origin, {}), { code: 'http/certificate' });
});

test('createHttpClient() throws http/bad-setting when ca holds no certificate, or one that cannot be read', () => {
  const torn = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
  for (const ca of ['', 'no PEM', '-----BEGIN CERTIFICATE-----\nMIIB', torn, new Uint8Array(4)]) {
    assert.throws(() => createHttpClient({ ca }), { code: 'http/bad-setting', details: { setting: 'ca' } });
  }
});

test('clientCertificate is shown to a server that asks, and a server that wants one refuses who has none', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const [server, host] = [await makeCertificate(t, 'IP:127.0.0.1', 30), await makeCertificate(t, 'DNS:host', 30)];
  const listener = createServer({ ...server, ca: host.cert, requestCert: true }, (_, response) => response.end(FILE)).listen(
    0,
    '127.0.0.1',
  );
  await once(listener, 'listening');
  t.after(() => {
    listener.close();
    listener.closeAllConnections();
  });
  // The proof of the cast: it listens on a TCP port.
  const origin = new URL(`https://127.0.0.1:${(listener.address() as AddressInfo).port}`);
  assert.deepEqual(Buffer.from(await fetchFrom(t, origin, { ca: server.cert, clientCertificate: host })), FILE);
  await assert.rejects(fetchFrom(t, origin, { ca: server.cert }), { name: 'GantryError', message: /^Cannot (?:reach|fetch) / });
});

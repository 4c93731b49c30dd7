/** The doctor's first contact: certificates, redirects to elsewhere, wrong URLs, nobody there; and that secrets stay out. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test, type TestContext } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import { examineRepository } from '../../lib/publish/doctor/doctor.ts';
import { filesOf, startAilingServer, type Ailment } from '../support/ailing-server.ts';
import { makeCertificate, trust, type Certificate } from '../support/certificates.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { publishedRepository } from '../support/published-repository.ts';
import { requireTool } from '../support/tools.ts';

const METADATA = '/metal/x86_64/';

let files: ReadonlyMap<string, Buffer>;
const cleanups: (() => Promise<void>)[] = [];
before(async () => {
  const directory = await temporaryDirectory({ after: (work) => cleanups.push(work) });
  await publishedRepository(directory);
  files = await filesOf(directory);
});
after(async () => {
  for (const cleanup of cleanups) await cleanup();
});

async function rulesAt(url: URL | string): Promise<readonly string[]> {
  const { findings } = await examineRepository(String(url));
  return findings.map(({ rule }) => rule);
}

async function secureServer(t: TestContext, tls: Certificate, ailment?: Ailment): Promise<URL> {
  return new URL(METADATA, await startAilingServer(t, { files, tls, ...(ailment === undefined ? {} : { ailment }) }));
}

test('examineRepository() finds nothing behind a good certificate', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const certificate = await makeCertificate(t, 'IP:127.0.0.1', 30);
  trust(t, certificate);
  assert.deepEqual(await rulesAt(await secureServer(t, certificate)), []);
});

test('examineRepository() finds certificate-expiring two weeks before the end', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const certificate = await makeCertificate(t, 'IP:127.0.0.1', 13);
  trust(t, certificate);
  const { findings } = await examineRepository((await secureServer(t, certificate)).href);
  assert.deepEqual(
    findings.map(({ rule }) => rule),
    ['certificate-expiring'],
  );
  assert.match(findings[0]?.message ?? '', /is valid for 12 more days; expected 14$/u);
});

for (const [what, name, days, isTrusted, message] of [
  ['signed by itself', 'IP:127.0.0.1', 30, 'unknown', /is signed by itself/u],
  ['expired', 'IP:127.0.0.1', -1, 'trusted', /has expired/u],
  ['for another name', 'DNS:updates.example.com', 30, 'trusted', /is for another name/u],
] as const) {
  test(`examineRepository() finds certificate when it is ${what}, and examines the rest all the same`, async (t) => {
    if (!requireTool(t, 'openssl')) return;
    const certificate = await makeCertificate(t, name, days);
    if (isTrusted === 'trusted') trust(t, certificate);
    const url = await secureServer(t, certificate, (answer, { path }) =>
      path.endsWith('/timestamp.json') ? { ...answer, headers: { ...answer.headers, age: '900' } } : answer,
    );
    const { findings, timestamps } = await examineRepository(url.href);
    assert.deepEqual(
      findings.map(({ rule }) => rule),
      ['certificate', 'timestamp-stale'],
    );
    assert.match(findings[0]?.message ?? '', message);
    assert.equal(timestamps.length, 5);
  });
}

test('examineRepository() tells nobody a password whose certificate is not trusted', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const heard: unknown[] = [];
  const url = await secureServer(t, await makeCertificate(t, 'IP:127.0.0.1', 30), (answer, { headers }) => {
    heard.push(headers.authorization);
    return answer;
  });
  url.username = 'engineer';
  url.password = 'hunter2';
  const report = await examineRepository(url.href);
  assert.deepEqual(
    report.findings.map(({ rule }) => rule),
    ['certificate'],
  );
  assert.deepEqual(heard, []);
  assert.doesNotMatch(JSON.stringify(report), /hunter2/u);
});

test('examineRepository() uses a password, and shows it nowhere', async (t) => {
  const url = new URL(
    METADATA,
    await startAilingServer(t, {
      files,
      ailment: (answer, { headers }) => (headers.authorization === undefined ? { ...answer, status: 500 } : { ...answer, headers: {} }),
    }),
  );
  url.username = 'engineer';
  url.password = 'hunter2';
  const report = await examineRepository(url.href);
  assert.equal(report.timestamps.length, 5);
  assert.notEqual(report.findings.length, 0);
  assert.doesNotMatch(JSON.stringify(report), /hunter2|engineer/u);
});

test('examineRepository() finds plain-http when the host is not this machine by name', async (t) => {
  const url = new URL(METADATA, await startAilingServer(t, { files }));
  // Leads to this machine, and is no loopback address.
  url.hostname = '0.0.0.0';
  assert.deepEqual(await rulesAt(url), ['plain-http']);
});

test('examineRepository() finds redirect-elsewhere once when everything has moved to another port', async (t) => {
  const right = await startAilingServer(t, { files });
  const moved: Ailment = (answer, { path }) => ({
    status: answer.status === 404 ? 404 : 301,
    headers: { location: new URL(path, right).href, 'cache-control': 'no-store' },
    body: Buffer.alloc(0),
  });
  const { findings } = await examineRepository(new URL(METADATA, await startAilingServer(t, { files, ailment: moved })).href);
  assert.deepEqual(
    findings.map(({ rule }) => rule),
    ['redirect-elsewhere'],
  );
  assert.equal(findings[0]?.message, `it redirects to ${right.origin}; expected the file itself`);
  assert.match(findings[0]?.at ?? '', /timestamp\.json and 6 more$/u);
});

test('examineRepository() throws http/unreachable when nobody listens', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(examineRepository(`http://127.0.0.1:${port}/`), { code: 'http/unreachable' });
});

test('examineRepository() throws http/bad-url for what is no URL', async () => {
  await assert.rejects(examineRepository('./public/metal/x86_64'), { code: 'http/bad-url' });
  await assert.rejects(examineRepository('http://127.0.0.1/', { targetsUrl: 'ftp://127.0.0.1/' }), { code: 'http/bad-url' });
});

test('examineRepository() throws http/status when the server fails', async (t) => {
  const url = await startAilingServer(t, { files, ailment: (answer) => ({ ...answer, status: 502 }) });
  await assert.rejects(examineRepository(new URL(METADATA, url).href), {
    code: 'http/status',
    details: { url: new URL(`${METADATA}timestamp.json`, url).href, status: 502 },
  });
});

test('examineRepository() throws aborted when it is cancelled', async (t) => {
  const url = new URL(METADATA, await startAilingServer(t, { files }));
  const controller = new AbortController();
  await assert.rejects(
    examineRepository(url.href, { signal: controller.signal, onStep: (step) => step.startsWith('Reading') && controller.abort() }),
    { code: 'aborted' },
  );
});

for (const [what, wrong, likely, right] of [
  ['the folder above', '/metal/', [], METADATA],
  ['a folder below', `${METADATA}targets/`, [], METADATA],
  ['two folders below', `${METADATA}a/b/`, [], METADATA],
  ['the file itself', `${METADATA}timestamp.json`, [], METADATA],
  ['the root of a store that the workspace knows', '/', ['vmware/aarch64', 'metal/x86_64'], METADATA],
  ['the folder of targets', '/targets/', ['metal/x86_64'], METADATA],
  ['something else altogether', '/', [], undefined],
] as const) {
  test(`examineRepository() throws store/missing for ${what}, and names the right URL where it can`, async (t) => {
    const server = await startAilingServer(t, { files });
    await assert.rejects(examineRepository(new URL(wrong, server).href, { likely }), (error) => {
      assert.ok(isGantryError(error, 'store/missing'));
      assert.match(error.message, /timestamp\.json is not there \(404\); expected the folder of timestamp\.json/u);
      assert.equal(/which (?<url>\S+) is$/u.exec(error.message)?.groups?.['url'], right && new URL(right, server).href);
      return true;
    });
  });
}

test('examineRepository() throws store/missing when a page is in the place of timestamp.json', async (t) => {
  const page: Ailment = (answer) => ({
    status: 200,
    headers: { 'content-type': 'text/html' },
    body: answer.status === 404 ? Buffer.from('<html>') : answer.body,
  });
  const server = await startAilingServer(t, { files, ailment: page });
  await assert.rejects(examineRepository(new URL('/metal/', server).href), {
    code: 'store/missing',
    message: `Cannot examine ${new URL('/metal/', server).href}: its timestamp.json is no timestamp metadata; expected the folder of timestamp.json, which ${new URL(METADATA, server).href} is`,
  });
});

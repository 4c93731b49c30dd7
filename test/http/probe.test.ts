import assert from 'node:assert/strict';
import { test } from 'node:test';
import { probe, rotate } from '../../lib/http/probe.ts';
import { cutAfter, endless, redirectTo, send, stallAfter, startHostileServer } from '../support/hostile-server.ts';

const BODY = Buffer.from('0123456789'.repeat(100));

test('probe() gives any answer as it came: statuses, redirects, encodings', async (t) => {
  const server = await startHostileServer(t, new Map());
  const before = Date.now();
  server.lies.set('gone', send(BODY, 410));
  server.lies.set('moved', redirectTo('/elsewhere'));
  server.lies.set('packed', (response) => response.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': 10 }).end('0123456789'));

  const gone = await probe(new URL('gone', server.url), { maxBytes: 2000 });
  assert.deepEqual([gone.status, gone.end, Buffer.from(gone.body).equals(BODY)], [410, 'whole', true]);
  assert.equal(gone.address, '127.0.0.1');
  assert.equal(gone.certificateExpires, undefined);
  assert.ok(before <= gone.askedMs && gone.askedMs <= gone.answeredMs && gone.answeredMs <= Date.now());
  const moved = await probe(new URL('moved', server.url), { maxBytes: 2000 });
  assert.deepEqual([moved.status, moved.headers.location], [302, '/elsewhere']);
  const packed = await probe(new URL('packed', server.url), { maxBytes: 2000 });
  assert.equal(Buffer.from(packed.body).toString(), '0123456789');
  assert.deepEqual(server.requests, ['gone', 'moved', 'packed']);
  assert.equal(server.connections(), 3);
});

test('probe() reads no more of a body than it was asked to, and closes the connection', async (t) => {
  const server = await startHostileServer(t, new Map());
  server.lies.set('endless', endless());
  const answer = await probe(new URL('endless', server.url), { maxBytes: 1000 });
  assert.deepEqual([answer.end, answer.body.length], ['cut', 1000]);
  await server.deserted();
});

test('probe() gives what came of a body that broke off', async (t) => {
  const server = await startHostileServer(t, new Map([['file', BODY]]));
  server.lies.set('file', cutAfter(7));
  const answer = await probe(new URL('file', server.url), { maxBytes: 2000 });
  assert.deepEqual([answer.status, answer.end, Buffer.from(answer.body).toString()], [200, 'broken', '0123456']);
});

test('probe() throws http/stalled when nothing comes, and aborted when it is cancelled', async (t) => {
  const server = await startHostileServer(t, new Map([['file', BODY]]));
  server.lies.set('file', stallAfter(7));
  const url = new URL('file', server.url);
  await assert.rejects(probe(url, { maxBytes: 2000, idleTimeoutMs: 100 }), { code: 'http/stalled' });
  await assert.rejects(probe(url, { maxBytes: 2000, signal: AbortSignal.timeout(50) }), { code: 'aborted' });
  await server.deserted();
});

test('probe() finds a name on whichever address answers', async (t) => {
  const server = await startHostileServer(t, new Map([['file', BODY]]));
  const url = new URL('file', server.url);
  url.hostname = 'localhost';
  for (const address of [0, 1, 2]) assert.equal((await probe(url, { maxBytes: 2000, address })).status, 200);
  url.hostname = 'no-such-host.invalid';
  await assert.rejects(probe(url, { maxBytes: 2000 }), { code: 'http/unreachable' });
});

test('rotate() begins with another item, and keeps all of them', () => {
  assert.deepEqual(
    [0, 1, 2, 3].map((first) => rotate(['a', 'b', 'c'], first).join('')),
    ['abc', 'bca', 'cab', 'abc'],
  );
  assert.deepEqual(rotate([], 3), []);
});

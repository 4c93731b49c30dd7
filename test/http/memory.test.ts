import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { createHttpClient } from '../../lib/http/request.ts';
import { startHostileServer } from '../support/hostile-server.ts';

const FILE = createHash('shake256', { outputLength: 3 << 20 })
  .update('memory')
  .digest();

test('fetchRange() on a connection that is used again gives every byte, and release() empties a chunk', async (t) => {
  const server = await startHostileServer(t, new Map([['file', FILE]]));
  const client = createHttpClient();
  t.after(() => client.close());
  for (let round = 0; round < 3; round += 1) {
    const { body } = await client.fetchRange(new URL('file', server.url), { offset: 0, length: FILE.length, totalBytes: FILE.length });
    const digest = createHash('sha256');
    let released = 0;
    for await (const chunk of body) {
      digest.update(chunk);
      client.release?.(chunk);
      if (chunk.length === 0) released += 1;
    }
    assert.equal(digest.digest('hex'), createHash('sha256').update(FILE).digest('hex'));
    assert.ok(released > 0);
    assert.deepEqual(Buffer.from(await client.fetchBytes(new URL('file', server.url), { maxBytes: FILE.length })), FILE);
  }
  assert.equal(server.connections(), 1);
});

test('release() leaves a part of a larger buffer as it is', () => {
  const client = createHttpClient();
  const whole = Buffer.from('abcdef');
  client.release?.(whole.subarray(1, 3));
  assert.equal(whole.toString(), 'abcdef');
  client.close();
});
